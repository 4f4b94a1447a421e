// The dashboard: frames come in, and every instrument on the page is told.
//
// A frame has counts since the start, so that one that is missed costs nothing: what happened is the
// difference between two frames, and how fast, that difference over the time between them.

import { Charts } from "./dashboard/charts.js";
import { Diagram, Tabs } from "./dashboard/diagram.js";
import { follow } from "./dashboard/feed.js";
import { tell } from "./dashboard/format.js";
import { Inspector } from "./dashboard/inspector.js";
import { Latency } from "./dashboard/latency.js";
import * as rail from "./dashboard/rail.js";
import { readSpec } from "./dashboard/spec.js";
import { Workers } from "./dashboard/workers.js";

const THEMES = ["auto", "light", "dark"];
const NARROW = matchMedia("(max-width: 40rem)"); // as the stylesheet has it
const LISTED = new Set(["connection", "worker"]); // whose objects a state's drawer tells one by one
const PATIENCE_SECONDS = 4; // with who is asked: one of several processes may stand still
const RATE_SECONDS = 1; // over which a rate is taken: shorter, and it would flicker

let before = []; // the frames of the last second, the oldest first
let latest = null;
let status = "connecting";
let silent = 0;
let shown = "connection";

const machines = new Map(
  (await readSpec("/-/spec")).map((machine) => [machine.name, machine]),
);

const diagram = new Diagram(document.getElementById("diagram"), select);
const tabs = new Tabs(document.getElementById("tabs"), [...machines.values()], show);
const workers = new Workers(document.getElementById("lanes"));
const charts = new Charts();
const latency = new Latency();
const inspector = new Inspector(connections, (state) => {
  diagram.select(null);
  diagram.focus(state);
});

theme(localStorage.getItem("theme") ?? "auto");
document.getElementById("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme;
  theme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});
document.getElementById("sign-out").addEventListener("click", async () => {
  await fetch("/-/logout", { method: "POST", redirect: "manual" });
  location.reload();
});
showSession();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
NARROW.addEventListener("change", draw); // a phone was turned: who has a drawer open keeps it
await show(shown);
follow("/-/feed", frameCame, (now, seconds) => {
  [status, silent] = [now, seconds];
  rail.showStatus(status, silent);
  if (latest !== null) rail.showWarnings(rail.warnings(latest, status, silent));
});

async function show(name) {
  shown = name;
  tabs.choose(name);
  if (!document.getElementById("inspector").hidden) inspector.close();
  await draw();
  tell(document.getElementById("machine-means"), machines.get(shown).means);
  const who = LISTED.has(shown) ? "see who is in it" : "see what it means and where it leads";
  tell(document.getElementById("machine-choose"), `Choose a state to ${who}.`);
}

async function draw() {
  await diagram.show(machines.get(shown), NARROW.matches);
  if (latest !== null) drawn(latest, rates(latest));
}

/** Bring the diagram up to date, which may still be of the machine that was shown before. */
function drawn(frame, paces) {
  const { machine } = diagram;
  if (machine === null) return;
  const { name } = machine;
  diagram.update(frame.states[name], frame.taken[name], paces[name]);
}

function select(state) {
  diagram.select(state);
  inspector.open(machines.get(shown), state);
}

async function connections(state, page) {
  const signal = AbortSignal.timeout(PATIENCE_SECONDS * 1000);
  const answer = await fetch(`/-/connections?state=${state}&page=${page}`, { signal });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

function frameCame(frame) {
  if (latest !== null && frame.at < latest.at) restart();
  latest = frame;
  const paces = rates(frame);
  const ledger = since(frame);
  before.push(frame);
  while (before.length > 1 && frame.at - before[0].at > RATE_SECONDS) before.shift();
  tabs.update(frame.states, frame.processes !== null);
  drawn(frame, paces);
  workers.update(frame.workers, frame.at);
  inspector.update(frame, paces);
  rail.showPhase(frame.phase);
  rail.showLight("readiness", frame.readiness, frame.readiness === "READY");
  rail.showLight("listener", frame.listener, frame.listener === "ACCEPTING");
  const percentiles = latency.add(frame);
  rail.showFigures(frame, ledger.answered, percentiles);
  rail.showLedger(frame.ledger);
  rail.showWarnings(rail.warnings(frame, status, silent));
  const { p50, p90, p99 } = percentiles.latency;
  const running = frame.workers.filter((worker) => worker.request !== null).length;
  charts.add(frame.at, [
    [ledger.answered, ledger.shed],
    [p50, p90, p99],
    [frame.queue.jobs, running],
  ]);
}

/** Of each arrow, how often it was taken a second, of late. */
function rates(frame) {
  const [first] = before;
  const seconds = first ? frame.at - first.at : 0;
  const found = {};
  for (const [name, taken] of Object.entries(frame.taken)) {
    const was = first?.taken[name];
    found[name] = taken.map((number, place) => (seconds > 0 ? (number - was[place]) / seconds : 0));
  }
  return found;
}

/** Of each term of the ledger, how much it grew a second, of late. */
function since(frame) {
  const [first] = before;
  const seconds = first ? frame.at - first.at : 0;
  const grown = (term) => {
    return seconds > 0 ? (frame.ledger[term] - first.ledger[term]) / seconds : 0;
  };
  return { answered: grown("answered"), shed: grown("shed") };
}

/** Another server answers, or the same one after a restart: what was counted is another's. */
function restart() {
  before = [];
  charts.clear();
  latency.clear();
}

/** Who has signed in by the form can sign out; to others there is nothing to sign out of. */
async function showSession() {
  const answer = await fetch("/-/session");
  const { signed_in: signedIn } = await answer.json();
  document.getElementById("sign-out").hidden = !signedIn;
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("theme", name);
  tell(document.getElementById("theme-name"), name);
  dress();
}

function dress() {
  workers.dress();
  charts.dress();
}
