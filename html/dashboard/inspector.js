// The drawer of one state: what it means, its arrows, and who is in it.
//
// What connections send is shown as text and never read as markup: a target comes from a stranger.

import { count, element, rate, seconds, tell } from "./format.js";

const REFRESH_SECONDS = 1;

const byId = (id) => document.getElementById(id);

export class Inspector {
  /** `ask(state, page)` fetches connections that are in a state; `onClose` is told of the end. */
  constructor(ask, onClose) {
    this.ask = ask;
    this.onClose = onClose;
    this.drawer = byId("inspector");
    this.machine = null;
    this.state = null;
    this.timer = 0;
    this.drawn = 0;
    byId("inspector-close").addEventListener("click", () => this.close());
    byId("inspector-before").addEventListener("click", () => this.turn(-1));
    byId("inspector-after").addEventListener("click", () => this.turn(1));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.state !== null) this.close();
    });
  }

  open(machine, state) {
    clearTimeout(this.timer);
    this.machine = machine;
    this.page = 0;
    this.state = machine.states.find((one) => one.name === state);
    const { name, means, owner, deadline, final } = this.state;
    tell(byId("inspector-title"), name);
    tell(byId("inspector-means"), means);
    const facts = [`machine ${machine.name}`];
    if (owner) facts.push(`owner: ${owner}`);
    if (deadline) facts.push(`at most ${deadline}`);
    if (final) facts.push("final");
    tell(byId("inspector-facts"), facts.join(" · "));
    this.places = machine.arrows
      .map((arrow, place) => ({ arrow, place }))
      .filter(({ arrow }) => arrow.from === name || arrow.to === name);
    byId("inspector-arrows").replaceChildren(...this.places.map((one) => this.row(one, name)));
    byId("inspector-who").replaceChildren();
    tell(byId("inspector-who-title"), "");
    byId("inspector-pages").hidden = true;
    this.drawn = 0;
    this.drawer.hidden = false;
    byId("inspector-title").focus();
    if (machine.name === "connection" && !final) this.refresh();
  }

  row(one, name) {
    const { arrow } = one;
    const row = element("tr");
    const way = arrow.from === name ? `→ ${arrow.to}` : `${arrow.from} →`;
    const event = element("td", "arrow-event", arrow.on);
    const guard = arrow.guard ? ` [${arrow.guard}]` : "";
    if (guard) event.append(element("span", "soft", guard));
    event.title = arrow.why;
    one.taken = element("td", "number", "0");
    one.rate = element("td", "number soft", "");
    row.append(element("td", "arrow-id", arrow.id), event, element("td", "arrow-way", way));
    row.append(one.taken, one.rate);
    one.row = row;
    return row;
  }

  close() {
    clearTimeout(this.timer);
    const state = this.state.name;
    this.state = null;
    this.drawer.hidden = true;
    this.onClose(state);
  }

  update(frame, rates) {
    if (this.state === null || frame.at - this.drawn < 0.5) return;
    this.drawn = frame.at;
    const { name } = this.machine;
    const place = this.machine.states.indexOf(this.state);
    tell(byId("inspector-number"), count(frame.states[name][place]));
    for (const one of this.places) {
      const taken = frame.taken[name][one.place];
      tell(one.taken, count(taken));
      tell(one.rate, rates[name][one.place] > 0 ? `${rate(rates[name][one.place])}/s` : "");
      one.row.classList.toggle("never", taken === 0);
    }
    if (name === "worker") {
      const inside = frame.workers.filter((worker) => worker.state === this.state.name);
      this.list(inside.map(workerEntry), inside.length, "workers");
    }
  }

  /** Show the page before, or the one after. */
  turn(step) {
    clearTimeout(this.timer);
    this.page = Math.max(0, this.page + step);
    this.refresh();
  }

  async refresh() {
    const { state, page } = this;
    const isStill = () => this.state === state && this.page === page;
    try {
      const answer = await this.ask(state.name, page);
      if (!isStill()) return;
      this.list(answer.connections.map(connectionEntry), answer.total, "connections");
      byId("inspector-pages").hidden = answer.pages < 2;
      byId("inspector-before").disabled = page === 0;
      byId("inspector-after").disabled = page + 1 >= answer.pages;
      tell(byId("inspector-page"), `page ${page + 1} of ${answer.pages}`);
    } catch (error) {
      if (!isStill()) return;
      tell(byId("inspector-who-title"), `The connections cannot be had: ${error.message}`);
    }
    this.timer = setTimeout(() => this.refresh(), REFRESH_SECONDS * 1000);
  }

  list(entries, total, what) {
    const one = total === 1 ? what.slice(0, -1) : what;
    tell(byId("inspector-who-title"), total ? `${count(total)} ${one} in it` : `no ${what} in it`);
    byId("inspector-who").replaceChildren(...entries);
  }
}

function entry(head, age, lines) {
  const item = element("li");
  const top = element("p", "who-head");
  top.append(element("span", "who-name", head), element("span", "number", age));
  item.append(top);
  for (const [kind, text] of lines) if (text) item.append(element("p", kind, text));
  return item;
}

function workerEntry(worker) {
  return entry(worker.name, seconds(worker.seconds), [["who-request", worker.request]]);
}

function connectionEntry(one) {
  const { tcp } = one;
  const requests = one.requests === 1 ? "1 request" : `${count(one.requests)} requests`;
  const kernel =
    tcp &&
    `${tcp.state} · rtt ${seconds(tcp.rtt_seconds)} ± ${seconds(tcp.rtt_variation_seconds)}` +
      ` · unacked ${tcp.unacked} · lost ${tcp.lost} · sent again ${tcp.retransmits}`;
  const whose = one.process === undefined ? "" : `process ${one.process} `;
  return entry(`${whose}#${one.serial}`, one.seconds === null ? "" : seconds(one.seconds), [
    ["who-peer", `${address(one.peer)} → ${address(one.local)} · ${requests}`],
    ["who-request", one.request],
    ["who-tcp", kernel],
  ]);
}

function address([host, port]) {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
