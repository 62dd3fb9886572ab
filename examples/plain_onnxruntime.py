"""Beats with ONNX Runtime and NumPy alone: one graph, ECG and state in, beats and state out.

python examples/plain_onnxruntime.py artifacts/ekg.onnx < samples.txt
Samples are numbers in mV at 360 Hz, one a line; nan is missing, and the graph finds what else is: a
converter's -32768, spikes, a repeated value. Prints of each beat its R peak (sample), label, score
and probability of atrial fibrillation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime

CHUNK = 100  # frames; any number gives the same beats
THERE, PAST_END = 0, 2  # of `missing`; what is missing the graph finds itself


class Stream:
    """One patient: the graph's state, and the samples that do not fill a frame yet."""

    def __init__(self, path: str):
        options = onnxruntime.SessionOptions()
        options.enable_mem_pattern = False  # sizes in the graph depend on the signal
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.hop, self.hold = int(metadata["hop"]), int(metadata["hold_samples"])
        self.labels = metadata["beat_classes"].split(",")
        self.state_size = int(metadata["state_size"])
        self.check(Path(path).with_name("golden_ekg.npz"))
        self.start()

    def start(self) -> None:
        """Begin a recording."""
        self.state = np.zeros((1, self.state_size), dtype=np.float32)
        self.waiting = np.zeros((2, 0))  # samples, and which are missing

    def check(self, golden: Path) -> None:
        """Refuse a graph that finds other beats here than when it was exported."""
        with np.load(golden) as arrays:
            there = arrays["flawed_valid"]
            labels = [self.labels[one] for one in arrays["flawed_labels"][there]]
            expected = list(zip(arrays["flawed_r_peaks"][there].tolist(), labels, strict=True))
            self.start()
            found = [(r_peak, label) for r_peak, label, *_ in self.push(arrays["flawed"])]
        if found != expected:
            sys.exit(f"{golden.name}: the graph finds other beats than when it was exported.")

    def push(self, samples: np.ndarray) -> Iterator[tuple[int, str, float, float]]:
        """R peak, label, score and probability of AF of each beat that the samples decide."""
        yield from self._run(samples, THERE)

    def finish(self) -> Iterator[tuple[int, str, float, float]]:
        """The last beats: the last value is held until the graph has looked ahead."""
        yield from self._run(np.full(self.hold + self.hop, np.nan), PAST_END)

    def _run(self, samples: np.ndarray, flag: int) -> Iterator[tuple]:
        new = [samples, np.full(len(samples), flag)]
        both = np.concatenate([self.waiting, new], axis=1)
        whole = both.shape[1] // self.hop * self.hop
        self.waiting = both[:, whole:]
        size = CHUNK * self.hop
        names = ["r_peaks", "valid", "labels", "scores", "af_probabilities", "state_out"]
        for at in range(0, whole, size):
            ecg, flags = both[:, None, at : min(at + size, whole)]
            inputs = {"ecg": ecg, "missing": flags.astype(np.uint8), "state": self.state}
            r_peaks, valid, labels, scores, af, self.state = self.session.run(names, inputs)
            for slot in np.flatnonzero(valid[0]):
                label = self.labels[labels[0, slot]]
                yield int(r_peaks[0, slot]), label, float(scores[0, slot]), float(af[0, slot])


def main() -> None:
    """Read samples, print beats."""
    ecg = np.loadtxt(sys.stdin, ndmin=1)
    if np.isnan(ecg).all():
        sys.exit("expected a number a line, or nan for a sample that is missing.")
    stream = Stream(sys.argv[1])
    show(stream.push(ecg))
    show(stream.finish())


def show(beats: Iterator[tuple[int, str, float, float]]) -> None:
    """Print beats, one a line."""
    for r_peak, label, score, af in beats:
        print(r_peak, label, f"{score:.5f} {af:.5f}")


if __name__ == "__main__":
    main()
