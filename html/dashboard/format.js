// Numbers and times as an operator reads them: three digits at most, and a unit that fits.

const WHOLE = new Intl.NumberFormat("en");

export function count(number) {
  return WHOLE.format(number);
}

/** A count in a narrow place: 940, 12.3k, 4.1M. */
export function short(number) {
  if (number < 1000) return String(number);
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) {
      const scaled = number / size;
      return (scaled < 100 ? scaled.toFixed(1) : scaled.toFixed(0)) + unit;
    }
  }
  return String(number);
}

export function rate(perSecond) {
  if (perSecond === 0) return "0";
  if (perSecond < 10) return perSecond.toFixed(1);
  return short(Math.round(perSecond));
}

/** A short time: 840 µs, 12.4 ms, 3.2 s. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${(value * 1000).toFixed(value < 0.1 ? 1 : 0)} ms`;
  if (value < 60) return `${value.toFixed(1)} s`;
  return span(value);
}

/** A long time: 12 s, 3 min 20 s, 2 h 5 min, 4 d 3 h. */
export function span(value) {
  const whole = Math.floor(value);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** A state's name in running words: LAME_DUCK is "lame duck". */
export function words(name) {
  return name.toLowerCase().replaceAll("_", " ");
}

/** An element with text, which is never read as markup: much of it comes from strangers. */
export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Set a text only where it differs, so that nothing is laid out or read aloud again for nothing. */
export function tell(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** What a colour of the stylesheet is at the moment, for a canvas. */
export function colour(name) {
  const probe = document.getElementById("probe");
  probe.className = `probe-${name}`;
  return getComputedStyle(probe).color;
}
