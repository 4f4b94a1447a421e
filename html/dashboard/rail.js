// What is read first: the phase, the lights, the figures, the ledger, and what is wrong.

import { count, element, rate, seconds, short, span, tell, words } from "./format.js";

const LADDER = ["STARTING", "SERVING", "LAME_DUCK", "DRAINING", "STOPPED"];
const ENDING = new Set(["DRAINING", "CUTTING", "STOPPED", "FORCED", "UNBALANCED"]);
const QUEUE_IS_FULL = 0.8; // of its places: beyond it the page warns

const byId = (id) => document.getElementById(id);

/** The ladder of phases. A server that is cut leaves it, and the page says so in its place. */
export function showPhase(phase) {
  const ladder = byId("ladder");
  if (ladder.dataset.phase === phase) return;
  ladder.dataset.phase = phase;
  const rungs = LADDER.includes(phase) ? LADDER : [...LADDER.slice(0, -1), phase];
  const here = rungs.indexOf(phase);
  ladder.replaceChildren(
    ...rungs.map((name, place) => {
      const rung = element("li", place < here ? "passed" : "", words(name));
      if (place === here) rung.setAttribute("aria-current", "step");
      return rung;
    }),
  );
}

export function showLight(id, state, good) {
  const light = byId(id);
  light.dataset.good = String(good);
  tell(light.querySelector(".light-word"), words(state));
}

export function showFigures(frame, answered, { latency, queueing }) {
  const several = frame.processes === null ? "" : ` · ${frame.processes.length} processes`;
  tell(byId("version"), `${frame.version} · ${location.host} · pid ${frame.pid}${several}`);
  tell(byId("uptime"), span(frame.at));
  tell(byId("figure-rate"), rate(answered));
  tell(byId("figure-p50"), seconds(latency.p50));
  tell(byId("figure-p99"), seconds(latency.p99));
  tell(byId("figure-open"), short(frame.connections.open));
  tell(byId("figure-queue"), short(frame.queue.jobs));
  tell(byId("figure-wait"), seconds(queueing.p99));
  tell(byId("figure-open-max"), `of ${short(frame.connections.max)}`);
  tell(byId("figure-queue-max"), `of ${short(frame.queue.max)}`);
  const busy = frame.workers.filter((worker) => worker.request !== null).length;
  tell(byId("figure-busy"), String(busy));
  tell(byId("figure-busy-max"), `of ${frame.workers.length}`);
}

/** A term more where there are several processes: what was lost with one that crashed. */
export function showLedger(ledger) {
  byId("ledger-crash").hidden = ledger.lost_by_crash === undefined;
  let missing = ledger.accepted;
  for (const [term, number] of Object.entries(ledger)) {
    tell(byId(`ledger-${term}`), count(number));
    if (term !== "accepted") missing -= number;
  }
  const light = byId("balance");
  light.dataset.good = String(missing === 0);
  const text = missing === 0 ? "nothing is lost" : `${count(Math.abs(missing))} do not add up`;
  tell(light.querySelector(".light-word"), text);
}

/** What an operator must know now, the worst first; an empty list when all is well. */
export function warnings(frame, status, silent) {
  const found = [];
  const say = (grade, text) => found.push({ grade, text });
  const old = status === "stale" || status === "gone";
  if (old && ENDING.has(frame.phase)) {
    say("warn", "The server has stopped, or is about to. This page goes on when it is back.");
    return found;
  }
  if (status === "gone") {
    const since = Math.floor(silent);
    say("bad", `Nobody answers for ${since} s: the server has ended, or cannot be reached.`);
    return found;
  }
  if (status === "stale") say("bad", `No news for ${Math.floor(silent)} s: what is shown is old.`);
  for (const fault of frame.faults) say("bad", `This does not hold: ${fault}`);
  const { phase } = frame;
  if (phase === "CUTTING" || phase === "FORCED") say("bad", "Cutting off what is left.");
  if (phase === "UNBALANCED") say("bad", "Stopped, and the ledger does not balance.");
  if (phase === "LAME_DUCK") say("warn", "About to stop: not ready any more, still serving.");
  if (phase === "DRAINING") {
    const { open } = frame.connections;
    say("warn", `Draining: nobody new is let in, ${count(open)} still connected.`);
  }
  if (frame.readiness === "OVERCOMMITTED") {
    say("bad", "Overcommitted: so many workers are stuck that no stand-in is left.");
  }
  if (frame.processes !== null) sayProcesses(frame, say);
  if (frame.listener === "FULL") say("warn", "Full: newcomers wait in the kernel's backlog.");
  if (frame.listener === "PAUSED") say("bad", "Out of descriptors: newcomers wait.");
  if (frame.pool === "BROKEN") say("bad", "The pool is broken: no request finds a worker.");
  const { jobs, max } = frame.queue;
  if (max > 0 && jobs >= max) say("bad", "Overload: the queue is full, newcomers are told 503.");
  else if (max > 0 && jobs >= max * QUEUE_IS_FULL) say("warn", "The queue is nearly full.");
  return found;
}

/** Of several processes, who does not answer, comes or goes. */
function sayProcesses({ phase, processes, places }, say) {
  for (const one of processes) {
    if (one.silent) say("bad", `Process ${one.number} does not answer: it is left out of what is now.`);
  }
  const serving = processes.filter((one) => one.state === "SERVING").length;
  if (phase !== "SERVING") return;
  if (serving < places) say("bad", `Only ${serving} of ${places} processes serve.`);
  const names = (state) => processes.filter((one) => one.state === state).map((one) => one.number);
  const going = names("DRAINING");
  const coming = names("STARTING");
  if (going.length > 0) say("warn", `On the way out: process ${going.join(", ")}.`);
  if (coming.length > 0) say("warn", `Being started: process ${coming.join(", ")}.`);
}

export function showWarnings(found) {
  const place = byId("banner");
  const text = found.map((one) => one.text).join(" ");
  place.hidden = found.length === 0;
  place.dataset.grade = found.some((one) => one.grade === "bad") ? "bad" : "warn";
  tell(place, text);
  // Read aloud only what is new in kind: not every second that a number in it changes.
  tell(byId("aloud"), text.replace(/[\d,]+/g, "").replace(/\s+/g, " "));
}

export function showStatus(status, silent) {
  const place = byId("feed");
  place.dataset.good = String(status === "live");
  const text = ["stale", "gone"].includes(status) ? `${status} ${Math.floor(silent)} s` : status;
  tell(place.querySelector(".light-word"), text);
  document.documentElement.dataset.feed = status;
}
