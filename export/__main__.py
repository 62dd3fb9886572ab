"""``python -m export``: from a checkpoint to ``artifacts/``."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray

from export import embedded, graphs, int8, manifest, rhythm
from export.card import card
from export.half import Half
from runtime.detector import DEFAULT_ARTIFACTS, Detector
from runtime.errors import EkgError
from runtime.model.artifacts import Artifacts
from runtime.model.contract import BeatPolicy
from runtime.model.session import Session
from runtime.simulate import simulate
from training.checkpoint import load as load_checkpoint
from training.confusion import draw_confusion
from training.databases import DS1, DS2, PACED_TEST
from training.download import data_folder, require_data
from training.errors import DataError
from training.evaluate import evaluate
from training.model import HOP, EkgNet, deployed, parameter_count
from training.recordings import FS, Record, load_all
from training.results import as_json, from_json, require_writable
from training.strips import draw_hardest
from training.tables import tables
from training.torch_detector import TorchSession

# Every provider has to give the golden answer this closely. GPUs sum in another order and may
# use TF32 or Winograd; a wrong kernel is off by far more than this.
GOLDEN_TOLERANCE = 1e-3
LATEST_S = 1.5  # from an R peak to its label: the contract


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit status 1 if a graph is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("runs/latest/model.pt"))
    parser.add_argument("--out", type=Path, default=DEFAULT_ARTIFACTS)
    parser.add_argument(
        "--beside",
        nargs="*",
        default=[],
        metavar="WHAT=FILE",
        help="other runs for the model card, measured by training.seeds: "
        "'same recipe, five seeds=runs/seeds.json'",
    )
    args = parser.parse_args(arguments)
    try:
        export(args.checkpoint, args.out, beside=read_other_runs(args.beside))
    except (DataError, graphs.ExportError, EkgError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def export(checkpoint: Path, out: Path, *, beside: dict[str, Any] | None = None) -> None:
    """Export, prove, measure, describe; the old artifacts stay until all of it is done.

    ``beside``: figures of other runs, by their description, for the model card.
    """
    require_writable(out)  # before what takes long
    net, saved = load_checkpoint(checkpoint)
    policy = BeatPolicy.from_dict(cast(dict[str, Any], saved["policy"]))
    decided_s = (net.design.delay_samples + (policy.context_after + 1) * HOP) / FS
    if decided_s > LATEST_S:
        raise DataError(
            f"{checkpoint} decides a beat {decided_s:.2f} s after its R peak; "
            f"expected at most {LATEST_S:g} s: less look-ahead, or fewer taps."
        )
    parameters = parameter_count(net)
    net = deployed(net)
    described = graphs.describe(net, policy=policy, data=cast(str, saved["data"]), commit=_commit())
    records = records_to_measure()
    roles: dict[str, dict[str, object]] = {}
    worst = {}
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        built = list(graphs.graphs(net, described))
        for graph in built:
            worst[graph.name] = graphs.prove(graph, _signals(records))
            onnx.save(graph.model, staged / graph.name)
            roles[graph.name] = {"role": graph.role, "tolerance": graphs.TOLERANCE}
            print(f"{graph.name}: differs from torch by {worst[graph.name]:.1g}")
        worst |= write_core_ml(net, described, staged, roles, _signals(records))
        ecg, probabilities = graphs.golden(net, simulate(8.0, seed=7).signal)
        np.savez(staged / "golden.npz", ecg=ecg, probabilities=probabilities)
        roles["golden.npz"] = {"role": "an input and its answer", "tolerance": GOLDEN_TOLERANCE}
        rhythm.carry_over(staged)
        rhythm.write(staged, Artifacts(DEFAULT_ARTIFACTS).json(rhythm.NAME))
        roles |= rhythm.ROLES
        manifest.seal(staged, roles)
        detector = Detector.load(staged, provider="cpu")  # as a device will
        embedded.write(staged, detector)
        roles |= embedded.ROLES
        metrics: dict[str, Any] | None = None
        if records:
            metrics = evaluate(detector, records, paced=records_to_measure(PACED_TEST))
            print(tables(metrics))
            metrics["beside"] = beside or {}
            metrics["int8"] = _quantized(built[0], staged, roles, records)
            metrics["fp16"] = _halved(net, detector, records)
            draw_confusion(metrics, staged / "confusion.png")
            roles["confusion.png"] = {"role": "the confusion matrix, drawn"}
            draw_hardest(detector, records, staged / "hardest.png")
            roles["hardest.png"] = {"role": "the records with most S and V beats wrong, drawn"}
        if (log := checkpoint.with_name("log.jsonl")).is_file():
            shutil.copy(log, staged / "training_log.jsonl")
            roles["training_log.jsonl"] = {"role": "loss, and figures of whom the run held out"}
        (staged / "metrics.json").write_text(
            as_json(metrics or {"none": "no recordings were at hand"}) + "\n"
        )
        (staged / "MODEL_CARD.md").write_text(
            card(
                metrics,
                parameters=parameters,
                described=described,
                recipe=cast(dict[str, Any], saved["recipe"]),
                held_out=cast(dict[str, float], saved["held_out"]),
                worst=worst,
            )
        )
        roles["metrics.json"] = {"role": "what was measured"}
        roles["MODEL_CARD.md"] = {"role": "what the model is, can and cannot do"}
        manifest.publish(staged, out, roles)
    print(f"{out}: {', '.join(roles)}, manifest.json")


def read_other_runs(named: Sequence[str]) -> dict[str, Any]:
    """Mean and SD of each figure of other runs, by what they are."""
    measured = {}
    for entry in named:
        what, _, path = entry.rpartition("=")
        try:
            found = from_json(Path(path).read_text())
            measured[what] = {
                "runs": len(found["runs"]),
                "figures": {
                    name: {key: figure[key] for key in ("mean", "sd")}
                    for name, figure in found["figures"].items()
                },
            }
            same = found["records"] == f"mitdb: {' '.join(DS2)}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"--beside {entry}: {path} cannot be read ({error!r}); expected "
                "WHAT=FILE, the file by `python -m training.seeds --out`."
            ) from None
        if not (what and same):
            raise DataError(
                f"--beside {entry}: expected WHAT=FILE, and what was measured of "
                f"{what or 'other runs'} to be of DS2, as the model's own figures "
                f"are; it is of {found['records']}."
            )
    return measured


def write_core_ml(
    net: EkgNet,
    described: dict[str, str],
    staged: Path,
    roles: dict[str, dict[str, object]],
    signals: NDArray[np.float32],
) -> dict[str, float]:
    """Write the Core ML package; gives its difference from torch, and that in float16."""
    try:
        from export import coreml
    except ImportError as error:  # coremltools has no wheel for Linux on ARM
        print(f"The Core ML package is left out: coremltools cannot be used here ({error}).")
        return {}
    package = coreml.write(net, described, staged)
    roles |= {
        name: {"role": "Core ML package", "tolerance": graphs.TOLERANCE} for name in coreml.FILES
    }
    worst = coreml.prove(package, net, signals)
    print(f"{coreml.NAME}: differs from torch by {worst:.1g}")
    return {
        coreml.NAME: worst,
        "the package in float16, which is not shipped,": coreml.half_difference(
            net, described, signals
        ),
    }


def _quantized(
    fused: graphs.Graph,
    staged: Path,
    roles: dict[str, dict[str, object]],
    records: Sequence[Record],
) -> dict[str, Any]:
    """Write the quantized graph, measure it as the main one was; gives its part of the metrics."""
    onnx.save(int8.quantize(fused, calibration_signals()), staged / int8.NAME)
    roles[int8.NAME] = {
        "role": "quantized; its accuracy stands in metrics.json",
        "tolerance": int8.TOLERANCE,
    }
    manifest.seal(staged, roles)
    detector = Detector.load(staged, provider="cpu", model=int8.NAME)
    measured = evaluate(detector, records)
    print(f"{int8.NAME}:\n{tables(measured)}")
    return {"file": int8.NAME} | _summary(measured)


def _halved(net: EkgNet, detector: Detector, records: Sequence[Record]) -> dict[str, Any]:
    """Figures of the network in float16, measured as the main one was."""
    session = cast(Session, TorchSession(Half(net)))
    measured = evaluate(detector.with_network(session.run, detector.contract), records)
    print(f"float16:\n{tables(measured)}")
    return _summary(measured)


def _summary(measured: dict[str, Any]) -> dict[str, Any]:
    """The figures of a variant that are kept."""
    return {key: value for key, value in measured.items() if key not in ("per record", "confusion")}


def calibration_signals() -> list[NDArray[np.float32]]:
    """A minute of every patient of DS1, who were trained on; none may be of DS2."""
    start, end = 300 * FS, 360 * FS
    signals = [
        record.signal[:1, start:end] for record in load_all("mitdb", DS1, require_data(["mitdb"]))
    ]
    return [signal - signal[:, :1] for signal in signals]


def records_to_measure(names: Sequence[str] = DS2) -> list[Record]:
    """Records of mitdb to measure on; none without real data."""
    if data_folder() is None:
        return []
    return load_all("mitdb", names, require_data(["mitdb"]))


def _signals(records: Sequence[Record]) -> NDArray[np.float32]:
    """Signal to prove the graphs on, float32 [signals, samples], mV: random, simulated, real."""
    samples = 40 * 20 * HOP  # 40 s
    rng = np.random.default_rng(0)
    rows = [rng.normal(0.0, scale, samples).astype(np.float32) for scale in (0.1, 1.0, 5.0)]
    rows.append(simulate(samples / FS, seed=3).signal)
    rows += [record.signal[0, :samples] for record in records[::4]]
    return np.stack([row - row[0] for row in rows])


def _commit() -> str:
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
