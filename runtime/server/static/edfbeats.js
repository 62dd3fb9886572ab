// Beats that stand as annotations in an EDF+ file (https://www.edfplus.info/specs/edfplus.html).

/** @typedef {import("./annotations.js").Mark} Mark */

const ANNOTATIONS = "EDF Annotations";
const FIXED = 256; // bytes of a header, and as many for each signal
/** AAMI classes of the words that annotations of beats use. @type {Record<string, string>} */
const BEATS = { N: "N", L: "N", R: "N", B: "N", e: "N", j: "N", S: "S", A: "S", a: "S", J: "S", n: "S",
  V: "V", E: "V", F: "F", Q: "Q", "/": "Q", f: "Q" };

/**
 * @param {Uint8Array} data a file that the server has read
 * @param {string} name
 * @returns {Mark[]} in order
 * @throws {Error} it has none
 */
export function readEdfBeats(data, name) {
  const text = (/** @type {number} */ from, /** @type {number} */ to) =>
    new TextDecoder("latin1").decode(data.subarray(from, to)).trim();
  const [headerBytes, count] = [[184, 192], [252, 256]].map(([from, to]) => Number(text(from, to)));
  const field = (/** @type {number} */ before, /** @type {number} */ width) => Array.from({ length: count },
    (_, i) => text(FIXED + count * before + i * width, FIXED + count * before + (i + 1) * width));
  const names = field(0, 16);
  const sizes = field(216, 8).map((samples) => 2 * Number(samples)); // bytes in a data record
  const recordBytes = sizes.reduce((sum, size) => sum + size, 0);
  const decoder = new TextDecoder();
  /** @type {{onset: number, text: string}[]} */
  const words = [];
  for (let record = headerBytes; record + recordBytes <= data.length; record += recordBytes) {
    let at = record;
    sizes.forEach((size, i) => {
      if (names[i] === ANNOTATIONS) {
        words.push(...listed(decoder.decode(data.subarray(at, at + size)))
          .filter(({ text: word }) => word === "" || word in BEATS));
      }
      at += size;
    });
  }
  const begin = words.find(({ text: word }) => word === "")?.onset ?? 0; // of the first data record
  const marks = words.filter(({ text: word }) => word in BEATS)
    .map(({ onset, text: word }) => ({ time: onset - begin, label: BEATS[word] }));
  if (!marks.length) throw new Error(`${name} has no beats as annotations.`);
  return marks.sort((a, b) => a.time - b.time);
}

/**
 * The annotations of one data record: onset, 0x15, length, 0x14, texts, each with 0x14 behind it.
 * @param {string} record
 */
function listed(record) {
  return record.split("\0").filter(Boolean).flatMap((list) => {
    const [times, ...texts] = list.split("\x14");
    return texts.slice(0, -1).map((text) => ({ onset: Number(times.split("\x15")[0]), text }));
  });
}
