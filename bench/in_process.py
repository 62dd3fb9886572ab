"""One process, all candidates in turn: latency and throughput by provider, graph and batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bench.candidates import Candidate, candidates
from bench.measure import Timing, sgemms, take_turns
from bench.reference import (
    CHUNKS,
    PAST_S,
    TOLERANCE,
    Array,
    agreement,
    differing_beats,
    expected_answers,
    multiply_adds,
    network,
    seconds,
)
from runtime import Detector
from runtime.errors import EkgError
from runtime.model.providers import ONNX_NAMES
from runtime.simulate import simulate
from training.model import EkgNet
from training.recordings import FS

PUSH = "ekg Stream.push, to beats"
FOLLOWED = "ekg Stream.push, rhythm followed"
BEATS_S = 600  # of signal whose beats are compared with the reference's


@dataclass(frozen=True)
class Effort:
    """Amount of measuring.

    Attributes
    ----------
    batches : patients in a call
    rounds, block_s : turns of each candidate, and the length of one, s
    compiled : also torch.compile
    """

    batches: tuple[int, ...]
    rounds: int
    block_s: float
    compiled: bool


def measure(artifacts: Path, effort: Effort) -> dict[str, Any]:
    """Rows for every candidate and batch, the candidates refused, and this machine's sgemm."""
    torch.set_num_threads(1)
    net = network(artifacts)
    chosen, refused = candidates(artifacts, compiled=effort.compiled)
    detectors = _detectors(artifacts, refused)
    signal = simulate(BEATS_S, seed=6).signal
    differing = {
        (name, detector): differing_beats(detector, net, signal, events=name == FOLLOWED)
        for detector in detectors
        for name in (PUSH, FOLLOWED)
    }
    sgemm = sgemms(lambda calls: take_turns(calls, rounds=effort.rounds, block_s=effort.block_s))
    flops = 2 * multiply_adds(net)
    rows: list[dict[str, Any]] = []
    for batch in effort.batches:
        agreed = agreeing([c for c in chosen if c.takes(batch)], net, batch, refused)
        calls = _calls([c for c, _ in agreed], detectors, batch)
        with tqdm(total=effort.rounds * len(calls), desc=f"batch {batch}", leave=False) as bar:

            def step(name: str, bar: Any = bar) -> None:
                bar.set_postfix_str(name)
                bar.update()

            timings = take_turns(calls, rounds=effort.rounds, block_s=effort.block_s, step=step)
        common: Any = {"batch": batch, "flops": flops, "sgemm_gflops": max(sgemm.values())}
        rows += [_row(c, timings, worst, **common) for c, worst in agreed]
        rows += [
            _product_row(name, detector, *counts, timings[f"{name} {detector.provider}"], **common)
            for (name, detector), counts in differing.items()
        ]
    return {
        "rows": rows,
        "refused": _unique(refused),
        "sgemm_gflops": sgemm,
        "flops_per_second_of_signal": flops,
    }


def patients(batch: int) -> Array:
    """Some seconds of as many simulated patients, float32 [batch, samples]; each is different."""
    samples = (PAST_S + CHUNKS) * FS
    long = simulate(60.0, seed=5).signal
    starts = np.random.default_rng(5).integers(0, len(long) - samples, batch)
    rows = np.stack([long[at : at + samples] for at in starts])
    return np.ascontiguousarray(rows - rows[:, :1])


def _detectors(artifacts: Path, refused: list[dict[str, str]]) -> list[Detector]:
    found = []
    for provider in ONNX_NAMES:
        try:
            found.append(Detector.load(artifacts, provider=provider))
        except EkgError as reason:
            refused.append({"what": f"{PUSH}, {provider}", "reason": str(reason)})
    return found


def agreeing(
    chosen: Sequence[Candidate], net: EkgNet, batch: int, refused: list[dict[str, str]]
) -> list[tuple[Candidate, float]]:
    """The candidates that answer as the reference does, each with its largest difference."""
    ecg = patients(batch)
    expected, kept = expected_answers(net, ecg), []
    for candidate in chosen:
        worst = agreement(candidate.run, candidate.start(batch), expected, ecg)
        if candidate.exact and not worst <= TOLERANCE:
            refused.append(
                {
                    "what": f"{candidate.name}, {candidate.provider}, batch {batch}",
                    "reason": f"its probabilities differ from the reference's by "
                    f"{worst:.2g}; {TOLERANCE:g} is allowed",
                }
            )
        else:
            kept.append((candidate, worst))
    return kept


def _calls(
    chosen: Sequence[Candidate], detectors: Sequence[Detector], batch: int
) -> dict[str, Callable[[], object]]:
    chunks = list(seconds(patients(batch)))
    calls: dict[str, Callable[[], object]] = {}
    for candidate in chosen:
        carry = candidate.start(batch)
        calls[_key(candidate)] = partial(candidate.run, chunks[0], carry)
        for stage, call in candidate.stages.items():
            # The CNN takes filtered signal; for its speed any will do.
            calls[f"{_key(candidate)}: {stage}"] = partial(call, chunks[0], carry)
    for detector in detectors:
        for name in (PUSH, FOLLOWED):
            calls[f"{name} {detector.provider}"] = live(detector, chunks, events=name == FOLLOWED)
    return calls


def live(
    detector: Detector, chunks: Sequence[Array], *, events: bool = False
) -> Callable[[], object]:
    """A call that feeds each of the patients' streams its next second."""
    turns = itertools.cycle([list(chunk) for chunk in chunks])
    streams = [detector.stream(FS, events=events) for _ in chunks[0]]
    if len(streams) == 1:
        return lambda: streams[0].push(next(turns)[0])
    return lambda: detector.push(streams, next(turns))


def _row(
    candidate: Candidate,
    timings: dict[str, Timing],
    worst: float,
    *,
    batch: int,
    flops: int,
    sgemm_gflops: float,
) -> dict[str, Any]:
    stages = {stage: timings[f"{_key(candidate)}: {stage}"].to_dict() for stage in candidate.stages}
    return {
        "name": candidate.name,
        "provider": candidate.provider,
        "ours": candidate.ours,
        "nodes": candidate.nodes,
        "stages": stages,
        "agreement": f"probabilities within {worst:.1g}",
        "largest_difference": worst,
        **_speed(timings[_key(candidate)], batch, flops, sgemm_gflops),
    }


def _product_row(
    name: str,
    detector: Detector,
    differing: int,
    beats: int,
    timing: Timing,
    *,
    batch: int,
    flops: int,
    sgemm_gflops: float,
) -> dict[str, Any]:
    return {
        "name": name,
        "provider": detector.provider,
        "ours": True,
        "nodes": detector.session.placement,
        "stages": {},
        "agreement": f"{beats - differing} of {beats} beats the same",
        "largest_difference": None,
        "differing_beats": differing,
        **_speed(timing, batch, flops, sgemm_gflops),
    }


def _speed(timing: Timing, batch: int, flops: int, sgemm_gflops: float) -> dict[str, Any]:
    """The figures of a call that labels one second of `batch` patients."""
    per_second = 1000 * batch / timing.p50_ms
    # A pool of spinning threads uses more than one core; it is counted by what it uses.
    per_core = 1000 * batch / max(timing.cpu_ms, timing.p50_ms)
    return {
        "batch": batch,
        "end_to_end": timing.to_dict(),
        "windows_per_s": per_second,
        "real_time_factor": per_second,
        "patients_per_core": per_core,
        "share_of_sgemm": per_core * flops / 1e9 / sgemm_gflops,
    }


def _key(candidate: Candidate) -> str:
    return f"{candidate.name} {candidate.provider}"


def _unique(refused: list[dict[str, str]]) -> list[dict[str, str]]:
    return list({entry["what"]: entry for entry in refused}.values())
