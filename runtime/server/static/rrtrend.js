// RR intervals of a strap that gives no ECG, as a line: all that can be shown of them.

const [WIDTH, HEIGHT] = [600, 120];
const LEAST_RANGE_S = 0.2;

/**
 * Draw intervals from the oldest to the newest; the least and the greatest stand at the line's left.
 * @param {SVGSVGElement} svg
 * @param {number[]} intervals s
 */
export function drawIntervals(svg, intervals) {
  const key = `${intervals.length} ${intervals.at(-1) ?? ""} ${intervals[0] ?? ""}`;
  if (svg.dataset.drawn === key) return;
  svg.dataset.drawn = key;
  const [low, high] = [Math.min(...intervals), Math.max(...intervals)];
  const range = Math.max(LEAST_RANGE_S, high - low);
  const step = WIDTH / Math.max(1, intervals.length - 1);
  const points = intervals.map((rr, i) =>
    `${(i * step).toFixed(1)},${(HEIGHT * (0.9 - (0.8 * (rr - low)) / range)).toFixed(1)}`);
  const line = document.createElementNS(svg.namespaceURI, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-label", intervals.length
    ? `RR intervals, the last ${intervals.length}: ${(1000 * low).toFixed(0)} to ${(1000 * high).toFixed(0)} ms`
    : "RR intervals: none yet");
  svg.replaceChildren(line);
}
