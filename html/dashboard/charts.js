// Three small charts of the last two minutes. uPlot is vendored: uplot/VERSION.

import { colour, rate, seconds, short } from "./format.js";

const WINDOW_SECONDS = 120;
const DRAW_SECONDS = 0.5;
const HEIGHT = 84;

const CHARTS = [
  {
    place: "chart-requests",
    write: rate,
    lines: [["answered", "line"], ["shed", "bad"]],
  },
  {
    place: "chart-latency",
    write: (value) => (value === null ? "" : seconds(value).replace(".0 ", " ")),
    decades: true, // from half a millisecond to a minute: no other scale shows both
    lines: [["p50", "line"], ["p90", "soft"], ["p99", "warn"]],
  },
  {
    place: "chart-queue",
    write: short,
    lines: [["queued", "line"], ["running", "busy"]],
  },
];

/** Every half minute back from now. */
function marks(plot, axis, low, high) {
  return [90, 60, 30, 0].map((back) => high - back);
}

/** The powers of ten around what there is to show; of a second where there is nothing. */
function decades(low, high) {
  if (!(low > 0)) return [0.0001, 1];
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  return [10 ** from, 10 ** Math.max(to, from + 1)];
}

function powers(plot, axis, low, high) {
  const found = [];
  for (let power = Math.round(Math.log10(low)); power <= Math.log10(high) + 1e-9; power += 1) {
    found.push(10 ** power);
  }
  return found;
}

/** Every power has a line; where they are many, every second one has words. */
function thinned(plot, splits) {
  return splits.map((value, place) => (splits.length > 4 && place % 2 ? null : value));
}

export class Charts {
  constructor() {
    this.drawn = 0;
    this.times = [];
    this.charts = CHARTS.map((one) => ({ ...one, values: one.lines.map(() => []), plot: null }));
    addEventListener("resize", () => this.fit());
  }

  /** Make them anew, in the colours of the theme. */
  dress() {
    for (const chart of this.charts) {
      chart.plot?.destroy();
      const place = document.getElementById(chart.place);
      chart.plot = new window.uPlot(this.options(chart, place), this.data(chart), place);
      chart.plot.root.setAttribute("aria-hidden", "true");
    }
  }

  options(chart, place) {
    const grid = { stroke: colour("grid"), width: 1 };
    const ticks = { show: false };
    const font = `11px ${getComputedStyle(place).fontFamily}`;
    const axis = { stroke: colour("soft"), font, grid, ticks };
    return {
      width: place.clientWidth,
      height: HEIGHT,
      padding: [6, 14, 0, 0],
      cursor: { show: false },
      legend: { show: false },
      scales: {
        x: { time: false, range: (_, low, high) => [high - WINDOW_SECONDS, high] },
        y: chart.decades
          ? { distr: 3, range: (_, low, high) => decades(low, high) }
          : { range: (_, low, high) => [0, high > 0 ? high * 1.15 : 1] },
      },
      axes: [
        { ...axis, size: 18, gap: 3, splits: marks, values: (_, s) => s.map((v) => this.ago(v)) },
        {
          ...axis,
          ...(chart.decades ? { splits: powers, filter: thinned } : {}),
          size: 52,
          gap: 4,
          space: 30,
          values: (_, s) => s.map(chart.write),
        },
      ],
      series: [
        {},
        ...chart.lines.map(([label, paint]) => ({
          label,
          stroke: colour(paint),
          width: 1.5,
          points: { show: false },
        })),
      ],
    };
  }

  ago(value) {
    const back = Math.round((this.times.at(-1) ?? 0) - value);
    return back <= 0 ? "now" : `−${back} s`;
  }

  data(chart) {
    return [this.times, ...chart.values];
  }

  /** `points` has, in the order of CHARTS, a value for each line; null where there is none. */
  add(now, points) {
    this.times.push(now);
    let over = 0;
    while (this.times[over] < now - WINDOW_SECONDS) over += 1;
    this.times.splice(0, over);
    this.charts.forEach((chart, place) => {
      chart.values.forEach((values, line) => {
        values.push(points[place][line]);
        values.splice(0, over);
      });
    });
    if (now - this.drawn < DRAW_SECONDS && now > this.drawn) return;
    this.drawn = now;
    for (const chart of this.charts) chart.plot?.setData(this.data(chart));
  }

  /** Forget all: another server answers now, or the same one after a restart. */
  clear() {
    this.times.length = 0;
    this.drawn = 0;
    for (const chart of this.charts) for (const values of chart.values) values.length = 0;
  }

  fit() {
    for (const chart of this.charts) {
      const width = document.getElementById(chart.place).clientWidth;
      chart.plot?.setSize({ width, height: HEIGHT });
    }
  }
}
