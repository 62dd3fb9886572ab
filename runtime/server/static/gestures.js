// Wheel, drag, pinch: what the hand does to a strip, in px of it.

const PINCH = 1.35; // the fingers' distance grows so much for one step
const WHEEL_STEP = 60; // of deltaY for one step
const STILL_PX = 4; // a press that moves less is a click

/**
 * @param {HTMLElement} box
 * @param {object} on
 * @param {(px: number) => void} on.drag the paper by so much to the right
 * @param {(steps: number, x: number) => void} on.zoom
 * @param {(x: number, y: number) => void} on.click
 * @param {(x: number, y: number) => void} on.hover
 * @param {() => void} on.leave
 * @param {(x: number, y: number) => boolean} [on.grab] true if the press is for another tool
 * @param {(x: number, y: number) => void} [on.pull] that tool is moved
 */
export function watchGestures(box, on) {
  /** @type {Map<number, {x: number, y: number}>} */
  const held = new Map();
  let moved = 0;
  let apart = 0;
  let wheeled = 0;
  let grabbed = false;
  const place = (/** @type {MouseEvent} */ at) => {
    const { left, top } = box.getBoundingClientRect();
    return { x: at.clientX - left, y: at.clientY - top };
  };

  box.addEventListener("wheel", (wheel) => {
    wheel.preventDefault();
    if (wheel.shiftKey || Math.abs(wheel.deltaX) > Math.abs(wheel.deltaY)) {
      on.drag(-(wheel.deltaX || wheel.deltaY));
      return;
    }
    wheeled -= wheel.deltaY;
    const steps = Math.trunc(wheeled / WHEEL_STEP);
    if (!steps) return;
    wheeled = 0;
    on.zoom(Math.sign(steps), place(wheel).x);
  }, { passive: false });

  box.addEventListener("pointerdown", (down) => {
    if (down.button) return;
    const at = place(down);
    held.set(down.pointerId, at);
    box.setPointerCapture(down.pointerId);
    moved = 0;
    apart = 0;
    grabbed = held.size === 1 && Boolean(on.grab?.(at.x, at.y));
  });

  box.addEventListener("pointermove", (move) => {
    const at = place(move);
    const before = held.get(move.pointerId);
    if (!before) {
      on.hover(at.x, at.y);
      return;
    }
    held.set(move.pointerId, at);
    if (grabbed) on.pull?.(at.x, at.y);
    else if (held.size === 1) {
      moved += Math.abs(at.x - before.x);
      if (moved >= STILL_PX) on.drag(at.x - before.x);
    } else pinch();
  });

  function pinch() {
    const [a, b] = [...held.values()];
    const distance = Math.hypot(a.x - b.x, a.y - b.y);
    apart ||= distance;
    moved = STILL_PX;
    const ratio = distance / apart;
    if (ratio < PINCH && ratio > 1 / PINCH) return;
    on.zoom(ratio > 1 ? 1 : -1, (a.x + b.x) / 2);
    apart = distance;
  }

  const release = (/** @type {PointerEvent} */ up) => {
    if (!held.delete(up.pointerId)) return;
    const { x, y } = place(up);
    if (up.type === "pointerup" && moved < STILL_PX && !grabbed && !held.size) on.click(x, y);
    grabbed = false;
    apart = 0;
  };
  box.addEventListener("pointerup", release);
  box.addEventListener("pointercancel", release);
  box.addEventListener("pointerleave", () => on.leave());
}
