// The stream of frames: opened while the page is seen, closed while it is not, and told apart from
// one that has fallen silent, and from one that has ended and is not to be had again.

const STALE_SECONDS = 2.5;
const AGAIN_SECONDS = 2;
const LOST_SECONDS = 6; // of silence: then another of several processes may know more

/**
 * Calls `onFrame(frame)` for each frame, and `onStatus(status, seconds)` at least once a second:
 * "connecting", "live", "paused", or with the seconds since the last frame "stale", or "gone" where
 * the stream has ended since.
 */
export function follow(address, onFrame, onStatus) {
  let source = null;
  let last = null;
  let ended = 0;
  let again = 0;
  let opened = 0;

  function open() {
    close();
    opened = performance.now();
    source = new EventSource(address);
    source.addEventListener("frame", (event) => {
      last = performance.now();
      onFrame(JSON.parse(event.data));
      onStatus("live", 0);
    });
    source.addEventListener("error", () => {
      ended = performance.now();
      // A browser comes back by itself, unless it was refused: then we ask again.
      if (source !== null && source.readyState === EventSource.CLOSED) {
        clearTimeout(again);
        again = setTimeout(comeBack, AGAIN_SECONDS * 1000);
      }
    });
  }

  /** Open it again; where the session has ended, ask for the token in place of the page. */
  async function comeBack() {
    const signal = AbortSignal.timeout(LOST_SECONDS * 1000);
    const answer = await fetch("/-/session", { signal }).catch(() => null);
    if (answer?.status === 401) location.reload();
    else if (!document.hidden) open();
  }

  function close() {
    clearTimeout(again);
    if (source !== null) source.close();
    source = null;
  }

  function look() {
    if (document.hidden) return onStatus("paused", 0);
    if (last === null) return onStatus("connecting", 0);
    const silent = (performance.now() - last) / 1000;
    if (Math.min(silent, (performance.now() - opened) / 1000) > LOST_SECONDS) open();
    if (silent <= STALE_SECONDS) return onStatus("live", silent);
    return onStatus(ended > last ? "gone" : "stale", silent);
  }

  // Nobody looks: the server need not send, and counts one viewer less.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else open();
    look();
  });
  addEventListener("pagehide", close);
  setInterval(look, 500);
  if (!document.hidden) open();
  look();
}
