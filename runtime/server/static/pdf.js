// A page of PDF with lines and text, to scale: millimetres from the top left.

const POINT = 72 / 25.4; // a mm
/** @typedef {[number, number][]} Line mm */

export class PdfPage {
  /** @type {string[]} */
  #marks = [];

  /**
   * @param {number} width mm
   * @param {number} height mm
   */
  constructor(width, height) {
    this.width = width;
    this.height = height;
  }

  /**
   * @param {Line[]} lines
   * @param {number} pen mm
   * @param {number[]} colour red, green and blue, 0 to 1
   */
  lines(lines, pen, colour) {
    this.#marks.push(`${colour.join(" ")} RG ${two(pen * POINT)} w 1 j`,
      ...lines.map((line) => `${line.map(([x, y], i) => `${this.#at(x, y)} ${i ? "l" : "m"}`).join("\n")} S`));
  }

  /**
   * @param {number} x mm
   * @param {number} y mm, of its foot
   * @param {string} text
   * @param {number} size mm
   * @param {number[]} colour
   */
  text(x, y, text, size, colour) {
    this.#marks.push(`BT ${colour.join(" ")} rg /F ${two(size * POINT)} Tf ${this.#at(x, y)} Td <${latin(text)}> Tj ET`);
  }

  /**
   * @param {string} title
   * @returns {Uint8Array<ArrayBuffer>}
   */
  file(title) {
    const content = this.#marks.join("\n");
    const objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${two(this.width * POINT)} ${two(this.height * POINT)}] `
        + "/Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
      `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
      "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
      `<< /Title <${latin(title)}> /Producer (EKG monitor) >>`];
    let text = "%PDF-1.4\n";
    const places = objects.map((object, i) => {
      const at = text.length;
      text += `${i + 1} 0 obj\n${object}\nendobj\n`;
      return at;
    });
    const rows = places.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("");
    const table = text.length;
    text += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}trailer\n`
      + `<< /Size ${objects.length + 1} /Root 1 0 R /Info 6 0 R >>\nstartxref\n${table}\n%%EOF\n`;
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  }

  /**
   * @param {number} x mm
   * @param {number} y mm
   */
  #at(x, y) {
    return `${two(x * POINT)} ${two((this.height - y) * POINT)}`;
  }
}

/** @param {number} value */
const two = (value) => String(Math.round(100 * value) / 100);

/** The codes of a text in the font's encoding, in hexadecimal; signs that it lacks are `?`. @param {string} text */
const latin = (text) => Array.from(text, (sign) => (sign.charCodeAt(0) > 255 ? "?" : sign).charCodeAt(0)
  .toString(16).padStart(2, "0")).join("");
