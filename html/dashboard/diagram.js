// One machine's diagram, alive: how many objects are in each state, and which arrows are taken.
//
// The drawing is the spec's own (`python -m statemachine draw`). A state is a group with the id
// `state-NAME`; a line is `arrow-ID`, or `way-ID-ID` where several arrows lead the same way.

import { count, element, rate, short, tell } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const COOLING = 0.5; // what is left of an arrow's glow after a frame in which it was not taken
const DRAWINGS = "/-/diagrams/live";
const GRAPH_MARGIN = 11; // graphviz's, to the left of what is drawn
const SPEAK_SECONDS = 2; // from one change of what is read aloud of a state to the next

const WORDS_AT = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.82]; // shares of a line's length
const WORDS_OFF = [0, 1, -1]; // on it, or to one side: half the words' width and a little more
const WORDS_UP = [0, -1, 1]; // and a line of words higher or lower, where nothing else is free
const WORDS_HEIGHT = 14;
const DISTANCE_COST = 6; // to be a step beside the line is as bad as to cover so many pixels

const OF_SEVERAL = new Set(["fleet", "process"]);

function covered(one, other) {
  const width = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const height = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  return width > 0 && height > 0 ? width * height : 0;
}

export class Diagram {
  /** `onSelect(state)` is called when a state is clicked, or Enter is pressed on it. */
  constructor(place, onSelect) {
    this.place = place;
    this.onSelect = onSelect;
    this.machine = null; // the one that is drawn
    this.wanted = null; // what was chosen last
    this.states = new Map();
    this.lines = [];
    this.selected = null;
    this.spoken = 0;
  }

  /** Show a machine, which is its part of the spec: in a drawing for a narrow page, or a wide one. */
  async show(machine, narrow) {
    this.wanted = { machine, narrow };
    const { wanted } = this;
    const answer = await fetch(`${DRAWINGS}/${narrow ? "narrow/" : ""}${machine.name}.svg`);
    // Its stylesheet is for who opens it by itself; on this page it is the page's.
    const text = (await answer.text()).replace(/<style>[^]*?<\/style>/, "");
    if (this.wanted !== wanted) return; // another has been chosen meanwhile
    const drawn = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    const focused = this.place.contains(document.activeElement) && document.activeElement.id;
    if (this.machine !== machine) this.selected = null;
    this.machine = machine;
    this.states.clear();
    this.lines = [];
    this.svg = document.importNode(drawn, true);
    this.svg.removeAttribute("aria-labelledby");
    this.svg.setAttribute("role", "group");
    this.svg.setAttribute("aria-label", `State diagram of ${machine.name}. ${machine.means}`);
    this.svg.querySelector("title").remove();
    for (const group of this.svg.querySelectorAll(".legend, .edge, #start")) {
      group.setAttribute("aria-hidden", "true");
    }
    this.place.replaceChildren(this.svg);
    this.room = this.svg.querySelector(".graph").getBBox();
    if (narrow) this.widen();
    this.taken = []; // the rectangles in which no words may be put
    for (const state of machine.states) this.adoptState(state);
    const index = new Map(machine.arrows.map((arrow, place) => [arrow.id, place]));
    for (const group of this.svg.querySelectorAll("g.edge")) this.adoptLine(group, index);
    this.select(this.selected);
    if (focused) this.svg.getElementById(focused)?.focus(); // the page was turned meanwhile
  }

  /** Give a drawing that is narrower than the page all of its width: words need it at both sides. */
  widen() {
    const { width, height } = this.svg.viewBox.baseVal;
    const wide = Math.max(width, this.place.clientWidth);
    const { room } = this;
    const spare = (wide - room.width) / 2;
    const shift = spare - GRAPH_MARGIN;
    this.room = { x: room.x - spare, y: room.y, width: wide, height: room.height };
    this.svg.setAttribute("viewBox", `${-shift} 0 ${wide} ${height}`);
    this.svg.setAttribute("width", wide);
    const legend = this.svg.querySelector(".legend");
    const { x, width: long } = legend.getBBox();
    legend.setAttribute("transform", `translate(${(wide - long) / 2 - x - shift})`);
  }

  adoptState(state) {
    const group = this.svg.getElementById(`state-${state.name}`);
    const box = group.querySelector("path").getBBox();
    this.taken.push(group.getBBox()); // a final state has a second rim
    const middle = box.x + box.width / 2;
    const name = group.querySelector("text");
    name.setAttribute("class", "name");
    name.setAttribute("x", middle);
    const number = document.createElementNS(SVG, "text");
    number.setAttribute("class", "number");
    number.setAttribute("x", middle);
    number.setAttribute("y", box.y + box.height - 11);
    const meter = document.createElementNS(SVG, "rect");
    meter.setAttribute("class", "meter");
    meter.setAttribute("x", box.x + 8);
    meter.setAttribute("y", box.y + box.height - 6);
    meter.setAttribute("height", 3);
    group.append(number, meter);
    group.setAttribute("tabindex", "0");
    group.setAttribute("role", "button");
    group.addEventListener("click", () => this.onSelect(state.name));
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.onSelect(state.name);
      }
    });
    const label = state.final ? "so far" : "now";
    this.states.set(state.name, { group, number, meter, room: box.width - 16, label, drawn: -1 });
  }

  adoptLine(group, index) {
    const ids = group.id.split("-").slice(1);
    const path = group.querySelector("path");
    if (!index.has(ids[0])) return; // the line to where an object begins
    group.classList.add("never");
    const flow = path.cloneNode();
    flow.setAttribute("class", "flow");
    path.after(flow);
    const places = ids.map((id) => index.get(id));
    const words = document.createElementNS(SVG, "text");
    words.setAttribute("class", "words");
    this.svg.querySelector(".graph").append(words);
    this.put(words, path, Math.max(...places.map((place) => this.machine.arrows[place].on.length)));
    this.lines.push({ group, words, places, heat: 0, pace: 0, drawn: "" });
  }

  /** Put the words of a line, so many characters and a rate, where they cover as little as may be. */
  put(words, path, characters) {
    const [width, height] = [(characters + 6) * 6, WORDS_HEIGHT];
    const [length, room] = [path.getTotalLength(), this.room];
    let best = null;
    for (const [up, off] of WORDS_UP.flatMap((one) => WORDS_OFF.map((other) => [one, other]))) {
      for (const share of WORDS_AT) {
        const at = path.getPointAtLength(length * share);
        const right = room.x + room.width - width;
        const middle = at.x + off * (width / 2 + 5);
        const x = Math.min(Math.max(middle - width / 2, room.x), right);
        const box = { x, y: at.y + (up - 0.5) * height, width, height };
        const away = (Math.abs(up) + Math.abs(off)) * DISTANCE_COST;
        const cost = this.taken.reduce((sum, other) => sum + covered(box, other), away);
        if (best === null || cost < best.cost) best = { box, cost };
      }
    }
    this.taken.push(best.box);
    words.setAttribute("x", best.box.x + width / 2);
    words.setAttribute("y", best.box.y + height - 3);
  }

  select(name) {
    this.selected = name;
    for (const [state, one] of this.states) {
      one.group.classList.toggle("selected", state === name);
    }
  }

  focus(name) {
    this.states.get(name)?.group.focus();
  }

  /** `numbers` are of the states, `taken` of the arrows since the start, `rates` of them a second. */
  update(numbers, taken, rates) {
    if (numbers === undefined) return;
    const living = this.machine.states.reduce((sum, state, place) => {
      return state.final ? sum : sum + numbers[place];
    }, 0);
    const ended = this.ended(taken);
    const speak = performance.now() - this.spoken > SPEAK_SECONDS * 1000;
    if (speak) this.spoken = performance.now();
    this.machine.states.forEach((state, place) => {
      const one = this.states.get(state.name);
      const number = state.final ? ended.get(state.name) : numbers[place];
      this.fill(one, state, number, living);
      if (speak) one.group.setAttribute("aria-label", this.spell(state, number, one.label));
    });
    for (const line of this.lines) this.light(line, taken, rates);
  }

  /** How many objects have come to each final state since the start. */
  ended(taken) {
    const found = new Map(this.machine.states.map((state) => [state.name, 0]));
    this.machine.arrows.forEach((arrow, place) => {
      found.set(arrow.to, found.get(arrow.to) + taken[place]);
    });
    return found;
  }

  fill(one, state, number, living) {
    tell(one.number, number < 100_000 ? count(number) : short(number));
    const share = state.final || living === 0 ? 0 : number / living;
    const width = number > 0 && !state.final ? Math.max(3, share * one.room) : 0;
    if (width !== one.drawn) one.meter.setAttribute("width", (one.drawn = width));
    one.group.classList.toggle("occupied", number > 0 && !state.final);
  }

  spell(state, number, label) {
    return `${state.name}: ${count(number)} ${label}. ${state.means}`;
  }

  light(line, taken, rates) {
    const total = line.places.reduce((sum, place) => sum + taken[place], 0);
    const perSecond = line.places.reduce((sum, place) => sum + rates[place], 0);
    line.heat = perSecond > 0 ? 1 : line.heat * COOLING;
    if (line.heat < 0.05) line.heat = 0;
    line.group.classList.toggle("never", total === 0);
    line.group.classList.toggle("lit", line.heat > 0);
    const width = (1.4 + Math.min(3.2, Math.log10(1 + perSecond))).toFixed(1);
    const drawn = `${width} ${line.heat.toFixed(1)}`;
    if (drawn !== line.drawn) {
      line.drawn = drawn;
      line.group.style.setProperty("--flow", width);
      line.group.style.setProperty("--heat", line.heat.toFixed(2));
      line.words.style.setProperty("--heat", line.heat.toFixed(2));
    }
    if (line.heat > 0) this.name(line, rates, perSecond);
    line.words.classList.toggle("lit", line.heat > 0);
  }

  /** The words beside a lit line: the event that is taken most of those that share it. */
  name(line, rates, perSecond) {
    const busiest = line.places.reduce((best, place) => (rates[place] > rates[best] ? place : best));
    if (perSecond > 0) {
      tell(line.words, `${this.machine.arrows[busiest].on} ${rate(perSecond)}/s`);
    }
  }
}

/** The row of machines above the diagram: one tab each, with the number of those that live. */
export class Tabs {
  constructor(place, machines, onChoose) {
    this.tabs = machines.map((machine) => {
      const tab = element("button", "tab");
      tab.type = "button";
      tab.id = `tab-${machine.name}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", "diagram");
      tab.title = machine.means;
      tab.hidden = OF_SEVERAL.has(machine.name);
      const number = element("span", "tab-number", "");
      tab.append(element("span", "", machine.name), number);
      tab.addEventListener("click", () => onChoose(machine.name));
      place.append(tab);
      return { machine, tab, number };
    });
    place.addEventListener("keydown", (event) => this.walk(event));
  }

  choose(name) {
    for (const { machine, tab } of this.tabs) {
      const chosen = machine.name === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
    document.getElementById("diagram").setAttribute("aria-labelledby", `tab-${name}`);
  }

  walk(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const shown = this.tabs.filter(({ tab }) => !tab.hidden);
    const here = shown.findIndex(({ tab }) => tab === document.activeElement);
    const next = shown[(here + step + shown.length) % shown.length].tab;
    next.focus();
    next.click();
  }

  /** A machine that only several processes have is not shown where there is one. */
  update(states, several) {
    for (const { machine, tab, number } of this.tabs) {
      tab.hidden = !several && OF_SEVERAL.has(machine.name);
      const numbers = states[machine.name];
      if (numbers === undefined) continue;
      const living = machine.states.reduce((sum, s, i) => (s.final ? sum : sum + numbers[i]), 0);
      tell(number, short(living));
    }
  }
}
