"""Put the graphs that give beats into ``artifacts/``, proven equal to the runtime.

``python -m export`` writes them with a new network; ``python -m export.embedded`` writes them anew
for the present one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export import beats_graph, manifest
from export.follow_graph import Rhythm
from export.graphs import TOLERANCE, ExportError
from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from runtime.findings import CLASSES
from runtime.model.artifacts import Artifacts
from runtime.model.contract import FS, HOP, Contract
from runtime.model.embedded import (
    BEATS,
    GOLDEN,
    MISSING,
    PAST_END,
    SLOTS,
    WHOLE,
    BeatsGraph,
)
from runtime.model.rhythm_network import RHYTHM_GRAPH, RhythmGraph
from runtime.rhythm import RhythmModel
from runtime.simulate import simulate

NETWORK = "ekg_fused.onnx"
# Of probabilities, on every processor; a frame's may differ by 1e-3.
GOLDEN_TOLERANCE = 2e-3
ROLES: dict[str, dict[str, object]] = {
    BEATS: {"role": "frames and signal to beats and rhythm, for other languages"},
    WHOLE: {"role": "ECG to beats and rhythm in one graph, for other languages"},
    GOLDEN: {"role": "ECG and the beats that both find in it", "tolerance": GOLDEN_TOLERANCE},
}
GOLDEN_S = 16.0
GOLDEN_GAPS = (6.2, 7.4), (14.5, GOLDEN_S)  # missing samples, and those after the end, s
Slots = dict[str, NDArray[Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit status 1 if a graph is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m export.embedded", description=__doc__)
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    args = parser.parse_args(arguments)
    try:
        roles = manifest.roles(args.artifacts)
        with tempfile.TemporaryDirectory() as folder:
            staged = Path(folder) / "artifacts"
            shutil.copytree(args.artifacts, staged)
            write(staged, Detector.load(args.artifacts, provider="cpu"))
            manifest.publish(staged, args.artifacts, roles | ROLES)
    except (ExportError, EkgError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.artifacts}: {', '.join(ROLES)}, manifest.json")
    return 0


def write(staged: Path, detector: Detector) -> None:
    """Write both graphs and their golden beats beside the network in a folder.

    Parameters
    ----------
    detector : of that network; what the graphs have to equal

    Raises
    ------
    ExportError
        A graph finds other beats than the detector.
    """
    network = onnx.load(staged / NETWORK)
    described = {entry.key: entry.value for entry in network.metadata_props}
    contract = detector.contract
    rhythm = rhythm_of(staged, contract)
    onnx.save(beats_graph.beats_graph(contract, described, rhythm), staged / BEATS)
    onnx.save(beats_graph.whole_graph(contract, network, described, rhythm), staged / WHOLE)
    roles: dict[str, dict[str, object]] = {name: {"role": ""} for name in (NETWORK, BEATS, WHOLE)}
    with tempfile.TemporaryDirectory() as folder:
        for name in roles:
            shutil.copy(staged / name, folder)
        manifest.seal(Path(folder), roles)
        graphs = Graphs(Artifacts(folder), detector)
    signals = np.stack([simulate(40.0, seed=seed, ectopic=0.3).signal for seed in range(4)])
    worst = prove(graphs, detector, signals + np.array([[0.0], [0.3], [-5.0], [200.0]]))
    flawed = _flawed()
    worst = max(worst, prove(graphs, detector, flawed[None], names=(WHOLE,)))
    print(f"{BEATS} and {WHOLE}: the detector's beats; probabilities differ by {worst:.1g}")
    ecg = simulate(GOLDEN_S, seed=7, ectopic=0.3).signal.astype(np.float64).reshape(1, -1) + 0.1
    missing = np.zeros(ecg.shape, dtype=np.uint8)
    gap, end = (slice(*(round(second * FS) for second in one)) for one in GOLDEN_GAPS)
    ecg[0, gap], missing[0, gap] = ecg[0, gap.start], MISSING
    ecg[0, end], missing[0, end] = ecg[0, end.start - 1], PAST_END
    found = graphs.whole(ecg, [FS] * int(GOLDEN_S), missing)
    in_flawed = graphs.whole(flawed[None], [FS] * (len(flawed) // FS))
    np.savez_compressed(
        staged / GOLDEN,
        allow_pickle=False,
        ecg=ecg[0],
        missing=missing[0],
        probabilities=graphs.frames(ecg)[0],
        flawed=flawed,
        **{name: value[0] for name, value in found.items()},
        **{f"flawed_{name}": value[0] for name, value in in_flawed.items()},
    )


def _flawed() -> NDArray[np.float64]:
    """A signal of each kind of missing samples, mV: most of them at an end of a second."""
    ecg = simulate(30.0, seed=11, ectopic=0.1).signal.astype(np.float64)
    ecg[:100] = np.nan
    ecg[5 * FS - 3 : 5 * FS + 4] = -999.0  # a sentinel
    ecg[7 * FS - 1 : 8 * FS + 90] = 0.25  # one value, too often
    ecg[11 * FS : 11 * FS + 30] += 9.0  # a step, and back
    ecg[14 * FS + 50 :] += 20.0  # another level
    ecg[16 * FS : 16 * FS + 200] = np.nan
    pop = 14.0 * np.exp(-((np.arange(-90, 90) / 12.0) ** 2) / 2)
    ecg[25 * FS - 90 : 25 * FS + 90] += pop
    return ecg


def rhythm_of(folder: Path, contract: Contract) -> Rhythm:
    """Everything that follows the rhythm, of a folder of artifacts."""
    path = folder / RHYTHM_GRAPH
    beats = RhythmGraph(path)
    model = RhythmModel.read(json.loads((folder / "rhythm.json").read_text()), b"", beats)
    return Rhythm(model, onnx.load(path).graph, beats.lag, contract.policy.class_weights)


class Graphs:
    """Both graphs beside the network, fed in chunks.

    Parameters
    ----------
    detector : whose network gives the frames of the one that takes them
    """

    def __init__(self, files: Artifacts, detector: Detector):
        self._run, self._carry_size = detector.session.run, detector.contract.carry_size
        self._graphs = {name: BeatsGraph(files, name) for name in (BEATS, WHOLE)}

    def whole(
        self,
        ecg: NDArray[np.float64],
        sizes: Sequence[int],
        missing: NDArray[np.uint8] | None = None,
    ) -> Slots:
        """Outputs for ECG, mV, [batch, samples], given in chunks of these sizes."""
        parts = zip(_cut(ecg, sizes), _missing(ecg, sizes, missing), strict=True)
        return self._in_chunks(WHOLE, [{"ecg": part, "missing": mask} for part, mask in parts])

    def frames(self, ecg: NDArray[np.float64], sizes: Sequence[int] = ()) -> NDArray[np.float32]:
        """The network's frames of ECG, [batch, frames, 6]."""
        carry = np.zeros((len(ecg), self._carry_size), dtype=np.float32)
        found = []
        for part in _cut(_less_first(ecg), sizes or [ecg.shape[1]]):
            frames, carry = self._run(part, carry)
            found.append(frames)
        return np.concatenate(found, axis=1)

    def beats(
        self,
        ecg: NDArray[np.float64],
        sizes: Sequence[int],
        missing: NDArray[np.uint8] | None = None,
    ) -> Slots:
        """As `whole`, by the network and the graph after it."""
        return self.of_frames(self.frames(ecg, sizes), _less_first(ecg), sizes, missing)

    def of_frames(
        self,
        frames: NDArray[np.float32],
        ecg: NDArray[np.float32],
        sizes: Sequence[int],
        missing: NDArray[np.uint8] | None = None,
    ) -> Slots:
        """As `beats`, of frames [batch, frames, 6] and their signal, less its first sample."""
        parts = zip(
            _cut(frames, [size // HOP for size in sizes]),
            _cut(ecg, sizes),
            _missing(ecg, sizes, missing),
            strict=True,
        )
        return self._in_chunks(
            BEATS,
            [
                {"probabilities": rows, "ecg": signal, "missing": mask}
                for rows, signal, mask in parts
            ],
        )

    def _in_chunks(self, name: str, chunks: Sequence[Slots]) -> Slots:
        graph = self._graphs[name]
        state = np.zeros((len(chunks[0]["ecg"]), graph.state_size), dtype=np.float32)
        found = []
        for arrays in chunks:
            slots, state = graph.run(arrays, state)
            found.append(slots)
        return {
            output: np.concatenate([slots[output] for slots in found], axis=1)
            for output in found[0]
        }


def prove(
    graphs: Graphs,
    detector: Detector,
    signals: NDArray[np.float64],
    *,
    seed: int = 0,
    names: Sequence[str] = (WHOLE, BEATS),
) -> float:
    """Find beats by both graphs and by the detector, whole and cut at random places.

    Parameters
    ----------
    signals : [signals, samples], mV at 360 Hz, samples a multiple of the hop
    names : of the graphs; only `WHOLE` takes signals of which something is missing

    Returns
    -------
    the largest difference of a probability

    Raises
    ------
    ExportError
        A beat differs in its R peak or label, or a probability by more than `TOLERANCE`.
    """
    worst = 0.0
    expected = [detector.stream(FS, events=True).push(signal) for signal in signals]
    for sizes in _sizes(signals.shape[1], seed):
        for name in names:
            slots = (graphs.whole if name == WHOLE else graphs.beats)(signals, sizes)
            for row, beats in enumerate(expected):
                valid = slots["valid"][row]
                found = {output: slots[output][row][valid] for output in SLOTS}
                peaks = [round(beat.time * FS) for beat in beats]
                labels = [CLASSES.index(beat.label) for beat in beats]
                if found["r_peaks"].tolist() != peaks or found["labels"].tolist() != labels:
                    raise ExportError(
                        f"{name} finds other beats than the detector in signal {row}, cut in "
                        f"{len(sizes)}. Nothing was written."
                    )
                probabilities = np.array([beat.probabilities for beat in beats])
                worst = max(
                    worst, float(np.abs(found["class_probabilities"] - probabilities).max())
                )
    if not worst <= TOLERANCE:
        raise ExportError(
            f"the graphs' probabilities differ from the detector's by {worst:.2g}; at most "
            f"{TOLERANCE:g} is allowed. Nothing was written."
        )
    return worst


def _less_first(ecg: NDArray[np.float64]) -> NDArray[np.float32]:
    return (ecg - ecg[:, :1]).astype(np.float32)


def _missing(
    ecg: NDArray[Any], sizes: Sequence[int], missing: NDArray[np.uint8] | None
) -> list[NDArray[np.uint8]]:
    return _cut(np.zeros(ecg.shape, dtype=np.uint8) if missing is None else missing, sizes)


def _cut(array: NDArray[Any], sizes: Sequence[int]) -> list[NDArray[Any]]:
    return np.split(array, np.cumsum(sizes)[:-1], axis=1)


def _sizes(samples: int, seed: int) -> Iterator[list[int]]:
    """Sizes of chunks: of one, of a few, of many at random, and of the smallest there are."""
    hops = samples // HOP
    for count in (1, 4, 40, hops):
        rng = np.random.default_rng((seed, count))
        places = np.sort(rng.choice(np.arange(1, hops), size=count - 1, replace=False))
        yield (np.diff([0, *places, hops]) * HOP).tolist()


if __name__ == "__main__":
    sys.exit(main())
