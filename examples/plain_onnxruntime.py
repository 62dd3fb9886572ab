"""Beats with ONNX Runtime and NumPy alone: one graph, ECG and state in, beats and state out.

python examples/plain_onnxruntime.py artifacts/ekg.onnx < samples.txt
Samples are numbers in mV at 360 Hz, one a line. Prints R peak (sample), label and score of a beat.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import onnxruntime

CHUNK = 20  # frames; any number gives the same beats


class Stream:
    """One patient: the graph's state, and the samples that do not fill a frame yet."""

    def __init__(self, path: str):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.hop, self.hold = int(metadata["hop"]), int(metadata["hold_samples"])
        self.labels = metadata["beat_classes"].split(",")
        self.state = np.zeros((1, int(metadata["state_size"])), dtype=np.float32)
        self.waiting = np.zeros(0)
        self.taken = 0

    def push(self, samples: np.ndarray) -> Iterator[tuple[int, str, float]]:
        """R peak, label and score of each beat that the next samples decide."""
        self.taken += len(samples)
        ecg = np.concatenate([self.waiting, samples])
        whole = len(ecg) // self.hop * self.hop
        self.waiting = ecg[whole:]
        if not whole:
            return
        names = ["r_peaks", "valid", "labels", "scores", "state_out"]
        inputs = {"ecg": ecg[None, :whole], "state": self.state}
        r_peaks, valid, labels, scores, self.state = self.session.run(names, inputs)
        for slot in np.flatnonzero(valid[0]):
            yield int(r_peaks[0, slot]), self.labels[labels[0, slot]], float(scores[0, slot])

    def finish(self, last: float) -> Iterator[tuple[int, str, float]]:
        """The last beats: the last value is held until the graph has looked ahead."""
        end = self.taken
        for beat in self.push(np.full(self.hold + self.hop, last)):
            if beat[0] < end:
                yield beat


def main() -> None:
    """Read samples, print beats."""
    ecg = np.loadtxt(sys.stdin, ndmin=1)
    if not (len(ecg) and np.isfinite(ecg).all()):
        sys.exit("expected a number a line; hold the last value where samples are missing.")
    stream = Stream(sys.argv[1])
    size = CHUNK * stream.hop
    for at in range(0, len(ecg), size):
        show(stream.push(ecg[at : at + size]))
    show(stream.finish(ecg[-1]))


def show(beats: Iterator[tuple[int, str, float]]) -> None:
    """Print beats, one a line."""
    for r_peak, label, score in beats:
        print(r_peak, label, f"{score:.5f}")


if __name__ == "__main__":
    main()
