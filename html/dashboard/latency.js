// Percentiles of the last seconds, from histograms that count since the start.

const WINDOW_SECONDS = 5;
const KINDS = ["latency", "queueing"];

export class Latency {
  constructor() {
    this.frames = [];
  }

  /** For each kind `p50`, `p90` and `p99` in seconds; null while there was nothing to measure. */
  add(frame) {
    this.frames.push(frame);
    while (this.frames.length > 2 && frame.at - this.frames[1].at > WINDOW_SECONDS) {
      this.frames.shift();
    }
    const [first] = this.frames;
    return Object.fromEntries(
      KINDS.map((kind) => {
        const counts = frame[kind].map((number, place) => number - first[kind][place]);
        const at = (share) => quantile(counts, frame.bounds, share);
        return [kind, { p50: at(0.5), p90: at(0.9), p99: at(0.99) }];
      }),
    );
  }

  clear() {
    this.frames.length = 0;
  }
}

/**
 * `bounds` are the upper bounds of the buckets, in seconds; behind the last is one without. Within a
 * bucket durations are taken to lie evenly; those in the last, at its lower bound.
 */
function quantile(counts, bounds, share) {
  const total = counts.reduce((sum, number) => sum + number, 0);
  if (total <= 0) return null;
  let wanted = share * total;
  for (const [place, number] of counts.entries()) {
    if (wanted <= number && number > 0) {
      const low = place === 0 ? 0 : bounds[place - 1];
      const high = bounds[place] ?? low;
      return low + ((high - low) * wanted) / number;
    }
    wanted -= number;
  }
  return bounds.at(-1);
}
