// dist/web/: the page with its detector, static files that any web host can serve.
//
//   npm install && node build.mjs TARGET
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..");
const target = process.argv[2] ?? join(root, "dist", "web");
const resolve = createRequire(import.meta.url).resolve;
const library = dirname(resolve("onnxruntime-web"));
const edf = dirname(resolve("edfjs")); // reads headers of EDF files; loaded with the first
const OURS = ["index.html", "page.css", "page.js", "live.js", "trace.js", "files.js", "recording.js", "edf.js", "gaps.js", "resample.js", "patient.js"];
// Of the page that `ekg serve` gives: a strap, a serial port, and their recording.
const DEVICES = ["strap.js", "polar.js", "serialport.js", "lines.js", "lostsamples.js", "leads.js", "signal.js", "rrtrend.js", "edfwriter.js"];
const DETECTOR = ["ekg.js", "stream.js", "app.webmanifest", "icon.svg"];
const LIBRARY = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];

await rm(target, { recursive: true, force: true });
await mkdir(join(target, "ort"), { recursive: true });
for (const name of [...OURS, ...DETECTOR]) await cp(join(here, name), join(target, name));
await mkdir(join(target, "devices"));
for (const name of DEVICES)
  await cp(join(root, "runtime", "server", "static", name), join(target, "devices", name));
for (const name of LIBRARY) await cp(join(library, name), join(target, "ort", name));
await mkdir(join(target, "edfjs"));
for (const name of ["edf.js", "channel.js", "utils.js", "../LICENSE"])
  await cp(join(edf, name), join(target, "edfjs", basename(name)));
await cp(join(root, "artifacts", "ekg.onnx"), join(target, "ekg.onnx"));
await cp(join(root, "runtime", "sample", "sample.csv"), join(target, "sample.csv"));
await cp(join(root, "runtime", "sample", "LICENSE.md"), join(target, "sample.LICENSE.md"));

const entries = await readdir(target, { recursive: true, withFileTypes: true });
const files = entries
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(target.length + 1))
  .sort();
const hash = createHash("sha256");
let compressed = 0;
for (const name of files) {
  const content = await readFile(join(target, name));
  hash.update(name).update(content);
  compressed += gzipSync(content, { level: 9 }).length;
}
const worker = await readFile(join(here, "sw.js"), "utf8");
const kept = JSON.stringify(["./", ...files.map((name) => name.replaceAll("\\", "/"))]);
await writeFile(
  join(target, "sw.js"),
  worker
    .replace("const FILES = [];", `const FILES = ${kept};`)
    .replace('const CACHE = "ekg";', `const CACHE = "ekg-${hash.digest("hex").slice(0, 12)}";`),
);
console.log(`${target}: ${files.length + 1} files, ${(compressed / 1e6).toFixed(2)} MB compressed (gzip)`);
