// The workers as lanes: what each has owned in the last minute, and what it owns now.

import { colour, element, seconds, tell } from "./format.js";

const WINDOW_SECONDS = 60;
const LANE_HEIGHT = 14;

export class Workers {
  constructor(place) {
    this.place = place;
    this.lanes = new Map();
    this.paint = {};
  }

  /** Read the colours again: the page's theme has changed. */
  dress() {
    this.paint = {
      IDLE: colour("idle"),
      STARTING: colour("idle"),
      BUSY: colour("busy"),
      LATE: colour("late"),
      QUARANTINED: colour("stuck"),
    };
  }

  update(workers, now) {
    const present = new Set(workers.map((worker) => worker.name));
    for (const [name, lane] of this.lanes) {
      if (!present.has(name)) {
        lane.row.remove();
        this.lanes.delete(name);
      }
    }
    for (const worker of workers) {
      const lane = this.lanes.get(worker.name) ?? this.add(worker.name);
      this.note(lane, worker, now);
      this.write(lane, worker);
      this.draw(lane, now);
    }
  }

  add(name) {
    const row = element("li", "lane");
    const state = element("span", "lane-state");
    const canvas = element("canvas", "lane-strip");
    canvas.height = LANE_HEIGHT * devicePixelRatio;
    canvas.setAttribute("aria-hidden", "true");
    const job = element("span", "lane-job");
    const time = element("span", "lane-time");
    row.append(element("span", "lane-name", name), state, canvas, job, time);
    this.place.append(row);
    const lane = { row, state, canvas, job, time, runs: [] };
    this.lanes.set(name, lane);
    return lane;
  }

  /** A run is a time in which the lane's state did not change: where it began, and the state. */
  note(lane, worker, now) {
    const began = worker.state === "IDLE" ? now : Math.max(now - worker.seconds, 0);
    const last = lane.runs.at(-1);
    const other = last !== undefined && last.request !== worker.request;
    if (last === undefined || last.state !== worker.state || other) {
      if (last !== undefined) last.end = Math.max(last.began, Math.min(began, now));
      lane.runs.push({ began, end: now, state: worker.state, request: worker.request });
    } else {
      last.end = now;
    }
    while (lane.runs.length > 1 && lane.runs[0].end < now - WINDOW_SECONDS) lane.runs.shift();
  }

  write(lane, worker) {
    lane.row.dataset.state = worker.state;
    tell(lane.state, worker.state);
    tell(lane.job, worker.request === null ? "" : worker.request);
    tell(lane.time, worker.request === null ? "" : seconds(worker.seconds));
  }

  draw(lane, now) {
    const { canvas } = lane;
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== width) canvas.width = width;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    const scale = canvas.width / WINDOW_SECONDS;
    for (const run of lane.runs) {
      const left = canvas.width - (now - run.began) * scale;
      const right = canvas.width - (now - run.end) * scale;
      const idle = run.state === "IDLE" || run.state === "STARTING";
      const height = idle ? 2 * devicePixelRatio : canvas.height;
      context.fillStyle = this.paint[run.state] ?? this.paint.IDLE;
      context.fillRect(left, canvas.height - height, Math.max(right - left, 1), height);
    }
  }
}
