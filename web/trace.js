// ECG on a canvas: ten seconds in two rows, with the beats' labels at their R peaks.

const FS = 360;
export const SHOWN_S = 10;
const ROW_S = 5;
const LARGEST_MV = 500; // beyond it a value stands for a missing sample
const SQUARE_S = 0.2; // a large square of ECG paper, 0.2 s and 0.5 mV

/** Draw ten seconds from a sample on; `dropped` samples lie before the first of the signal. */
export function draw(canvas, signal, beats, from, dropped = 0) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`) || style.getPropertyValue("--ink");
  const pen = canvas.getContext("2d");
  const rows = SHOWN_S / ROW_S;
  const width = canvas.width;
  const height = canvas.height / rows;
  const shown = signal.subarray(from, from + SHOWN_S * FS);
  const isThere = (mv) => Math.abs(mv) <= LARGEST_MV;
  const sorted = shown.filter(isThere).sort();
  const middle = sorted[sorted.length >> 1] ?? 0;
  const reach = Math.max(1, (sorted[sorted.length - 1] ?? 0) - middle, middle - (sorted[0] ?? 0));
  const x = (i) => (i / (ROW_S * FS)) * width;
  const y = (row, mv) => row * height + height * (0.55 - (0.4 * (mv - middle)) / reach);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.font = "bold 16px system-ui, sans-serif";
  pen.textAlign = "center";
  for (let row = 0; row < rows; row += 1) {
    pen.strokeStyle = color("grid");
    pen.lineWidth = 1;
    pen.beginPath();
    for (let s = 0; s <= ROW_S; s += SQUARE_S) {
      pen.moveTo(x(s * FS), row * height);
      pen.lineTo(x(s * FS), (row + 1) * height);
    }
    pen.stroke();
    pen.strokeStyle = color("ink");
    pen.lineWidth = 1.5;
    pen.beginPath();
    const first = row * ROW_S * FS;
    for (let i = 0, before = false; i < ROW_S * FS && first + i < shown.length; i += 1) {
      const there = isThere(shown[first + i]);
      if (there) pen[before ? "lineTo" : "moveTo"](x(i), y(row, shown[first + i]));
      before = there;
    }
    pen.stroke();
  }
  for (const { rPeak, label } of beats) {
    const i = rPeak - dropped - from;
    if (i < 0 || i >= shown.length) continue;
    const row = Math.floor(i / (ROW_S * FS));
    pen.fillStyle = color(label);
    pen.fillText(label, x(i - row * ROW_S * FS), row * height + 18);
  }
}
