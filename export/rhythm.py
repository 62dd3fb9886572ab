"""Put the rhythm into ``artifacts/``, with the network that it belongs to named in it.

``python -m export.rhythm runs/rhythm.json`` takes the file that ``python -m training.fit_rhythm``
wrote, ``--beats runs/rhythm`` the second network, as ``python -m training.train_rhythm`` left it;
``python -m export`` carries the present ones over to a new first network. Either way the golden
recording is annotated anew, and the manifest is written.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from export import manifest, rhythm_graph
from export.graphs import ExportError
from runtime.beats import from_beats
from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from runtime.model.artifacts import Artifacts
from runtime.model.contract import FS, Contract
from runtime.model.rhythm_network import RHYTHM_GRAPH, RhythmGraph
from runtime.model.session import Session
from runtime.rhythm import RhythmModel, closed
from runtime.simulate import draw_ecg
from training import train_rhythm
from training.beat_sequences import COLUMNS
from training.errors import DataError
from training.rhythm_net import features

NAME, GOLDEN, NETWORK = "rhythm.json", "golden_rhythm.npz", "ekg_fused.onnx"
GOLDEN_BEATS = "golden_beats.npz"
# Of scores and confidences, on every provider; a frame's probability may differ by 1e-3.
GOLDEN_TOLERANCE = 0.02
# Of log-odds, which reach 15; another order of summing is off by 1e-5.
GOLDEN_BEATS_TOLERANCE = 1e-3
ROLES: dict[str, dict[str, object]] = {
    NAME: {"role": "policies and models that follow the rhythm"},
    GOLDEN: {"role": "a recording, its beats and its rhythm events", "tolerance": GOLDEN_TOLERANCE},
    RHYTHM_GRAPH: {"role": "reads beats one after another: atrial fibrillation"},
    GOLDEN_BEATS: {"role": "beats and their answer", "tolerance": GOLDEN_BEATS_TOLERANCE},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit status 1 if the rhythm cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m export.rhythm", description=__doc__)
    parser.add_argument(
        "rhythm",
        type=Path,
        nargs="?",
        help="written by python -m training.fit_rhythm (default: the present one)",
    )
    parser.add_argument(
        "--beats",
        type=Path,
        help="run of python -m training.train_rhythm (default: the present network)",
    )
    parser.add_argument("--artifacts", type=Path, default=DEFAULT_ARTIFACTS)
    args = parser.parse_args(arguments)
    try:
        stored = json.loads((args.rhythm or args.artifacts / NAME).read_text())
        roles = manifest.roles(args.artifacts)
        with tempfile.TemporaryDirectory() as folder:
            staged = Path(folder) / "artifacts"
            shutil.copytree(args.artifacts, staged)
            if args.beats:
                write_network(staged, args.beats)
            write(staged, stored)
            manifest.publish(staged, args.artifacts, roles | ROLES)
    except (DataError, ExportError, EkgError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.artifacts}: {', '.join(ROLES)}, manifest.json")
    return 0


def write_network(staged: Path, run: Path) -> None:
    """Write the second network of a run, and golden beats with its answer.

    Raises
    ------
    DataError, ExportError
        There is no such run; its graph is not what the network is.
    """
    net, saved = train_rhythm.load(run)
    beats = golden_beats()
    model = rhythm_graph.graph(net, {"trained_on": str(saved["data"])})
    worst = rhythm_graph.prove(model, net, beats)
    print(f"{RHYTHM_GRAPH}: differs from torch by {worst:.1g}")
    onnx.save(model, staged / RHYTHM_GRAPH)
    log_odds, _ = rhythm_graph.answer(net, beats)
    np.savez(staged / GOLDEN_BEATS, beats=beats, log_odds=log_odds)


def carry_over(staged: Path) -> None:
    """Copy the present second network, and its golden beats."""
    for name in (RHYTHM_GRAPH, GOLDEN_BEATS):
        shutil.copy(Artifacts(DEFAULT_ARTIFACTS).path(name), staged / name)


def golden_beats() -> NDArray[np.float32]:
    """Beats in order, without order, and after a gap, float32 [beats, 1, inputs]."""
    rng = np.random.default_rng(7)
    intervals = [*[0.8] * 40, *rng.uniform(0.4, 1.1, 80), 0.0, *[0.8] * 40]
    rows = np.zeros((1, len(intervals), len(COLUMNS)), dtype=np.float32)
    rows[0, :, 0], rows[0, :, 1] = intervals, rng.random(len(intervals)) < 0.95
    counted = np.minimum(np.arange(len(intervals)), 24)
    rows[0, :, 2], rows[0, :, 3], rows[0, :, 4] = -1.0, -0.8, counted
    rows[0, 40:120, 2:4] -= 2.5
    return features(torch.from_numpy(rows)).numpy()


def write(staged: Path, stored: Mapping[str, Any]) -> None:
    """Write the rhythm and its golden recording beside the networks in a folder.

    Parameters
    ----------
    stored : contents of a ``rhythm.json``; the networks that it names are replaced
    """
    network = staged / NETWORK
    named = {
        **stored,
        "networks": {name: manifest.sha256(staged / name) for name in (NETWORK, RHYTHM_GRAPH)},
    }
    (staged / NAME).write_text(json.dumps(named) + "\n")
    rhythm = RhythmModel.read(
        named,
        bytes.fromhex(manifest.sha256(staged / NAME)),
        RhythmGraph(staged / RHYTHM_GRAPH),
    )
    session = Session(network, "cpu")
    detector = Detector(
        session,
        Contract.read(session.metadata, NETWORK),
        bytes.fromhex(manifest.sha256(network)),
        rhythm,
    )
    np.savez_compressed(
        staged / GOLDEN, allow_pickle=False, **annotated(detector, golden_recording())
    )


def annotated(detector: Detector, ecg: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """A recording in µV, and the beats and events that are found in it, as arrays."""
    microvolts = np.rint(ecg * 1000).astype(np.int16)
    stream = detector.stream(FS, events=True)
    beats = stream.push(microvolts, units="uV") + stream.finish()
    events = closed(stream.events())
    block = from_beats(beats, FS)
    return {
        "microvolts": microvolts,
        "samples": np.array(block.samples, dtype=np.int64),
        "labels": np.array(block.labels, dtype=np.int8),
        "scores": np.array([beat.score for beat in beats]),
        "kinds": np.array([event.kind for event in events]),
        "starts": np.array([event.start for event in events]),
        "ends": np.array([event.end for event in events]),
        "confidences": np.array([event.confidence for event in events]),
    }


def golden_recording() -> NDArray[np.float32]:
    """Two minutes in which nearly every rule is met, simulated, float32 [samples], mV at 360 Hz.

    Sinus rhythm with early beats, bigeminy, a couplet, ventricular tachycardia, a run of S beats,
    a pause and a tachycardia; atrial fibrillation; ventricular fibrillation; sinus rhythm.
    """
    rng = np.random.default_rng(11)
    sinus = [("N", 0.75)] * 8
    beats = [
        *sinus,
        ("V", 0.5),
        ("N", 1.1),
        *[("V", 0.5), ("N", 1.1)] * 3,
        *sinus[:4],
        ("V", 0.5),
        ("V", 0.45),
        ("N", 1.0),
        *sinus[:4],
        *[("S", 0.48)] * 3,
        ("N", 0.9),
        *sinus,
        *[("V", 0.38)] * 6,
        ("N", 0.9),
        *sinus,
        *[("S", 0.48)] * 5,
        ("N", 0.9),
        *sinus[:4],
        ("N", 2.6),
        *sinus[:4],
        *[("N", 0.44)] * 14,
        *sinus[:4],
    ]
    first = _drawn(rng, beats)
    fibrillating = [("N", float(interval)) for interval in rng.uniform(0.34, 0.76, 96)]
    atrial = _drawn(rng, fibrillating, p_waves=False)
    time = np.arange(12 * FS) / FS
    wobble = np.interp(time, np.arange(13), rng.standard_normal(13))
    phase = np.cumsum(4.5 + 0.4 * wobble) / FS
    ventricular = (0.45 + 0.1 * wobble) * np.sin(2 * np.pi * phase)
    return np.concatenate([first, atrial, ventricular.astype(np.float32), _drawn(rng, sinus)])


def _drawn(
    rng: np.random.Generator, beats: Sequence[tuple[str, float]], *, p_waves: bool = True
) -> NDArray[np.float32]:
    """The ECG of beats, each a label and the interval before it in s."""
    times = np.cumsum([interval for _, interval in beats])
    return draw_ecg(
        rng, times, [label for label, _ in beats], float(times[-1]) + 0.4, p_waves=p_waves
    )


if __name__ == "__main__":
    sys.exit(main())
