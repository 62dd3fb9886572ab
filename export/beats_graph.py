"""The graph from frames to beats, and the one from ECG to beats, written node by node.

`ekg_beats.onnx` does what `runtime.model.frames`, `runtime.signal.r_peak` and the engine do
between the first network and the rhythm, for a program in any language. `ekg.onnx` has the first
network before it, and so takes ECG and gives beats.

No size is read from a shape: ONNX Runtime computes with shapes on the CPU, so a GPU would be
refused. Positions come from MaxPool, whose second output is where in the tensor the largest lies;
over one sample it is where that sample lies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from export.builder import END, Builder, tensor
from runtime.findings import CLASSES
from runtime.model.contract import Contract
from runtime.model.embedded import OUTPUTS
from runtime.signal.r_peak import LEVEL_S, SEARCH_S, SMOOTH_SAMPLES

COUNT = 1 << 20  # samples counted by the second number of a position, floats being exact to 2^24
OFFSET = 3  # floats that hold a float64


@dataclass(frozen=True)
class Layout:
    """Sizes of the search, in samples and frames, and so of the memory.

    Attributes
    ----------
    search : to either side of a frame's moment, in which its R peak may lie
    reach : to either side, of the level that a deflection is measured from
    wide : to either side, of all that is looked at
    before, after : frames that decide on the one between them
    centre : from the first sample of a chunk to the moment of the first frame that it decides
    past : samples of signal that are kept
    """

    search: int
    reach: int
    wide: int
    before: int
    after: int
    centre: int
    past: int

    @classmethod
    def of(cls, contract: Contract) -> Layout:
        fs, hop, policy = contract.fs, contract.hop, contract.policy
        reach = round(LEVEL_S * fs)
        wide = reach + SMOOTH_SAMPLES // 2
        centre = hop // 2 - contract.delay - policy.context_after * hop
        return cls(
            round(SEARCH_S * fs),
            reach,
            wide,
            policy.context_before,
            policy.context_after,
            centre,
            wide - centre,
        )

    def parts(self, classes: int) -> list[tuple[str, int]]:
        """Parts of the memory, in order: name and size."""
        frames = (self.before + self.after) * classes
        return [("position", 2), ("recent_frames", frames), ("past", self.past)]


def beats_graph(contract: Contract, described: Mapping[str, str]) -> onnx.ModelProto:
    """Frames, signal and memory in, beats and memory out; batch and length free.

    Parameters
    ----------
    described : the first network's metadata
    """
    layout = Layout.of(contract)
    size = sum(count for _, count in layout.parts(len(contract.classes)))
    build = Builder()
    found = _beats(build, contract, "probabilities", "ecg", "memory")
    for name in (*OUTPUTS, "memory_out"):
        build.name(found[name], name)
    return build.model(
        "beats",
        [
            tensor("probabilities", "batch", "frames", len(contract.classes)),
            tensor("ecg", "batch", f"{contract.hop}*frames"),
            tensor("memory", "batch", size),
        ],
        [*_outputs(), tensor("memory_out", "batch", size)],
        _metadata(contract, described)
        | {
            "role": "frames and signal to beats",
            "memory_size": str(size),
            "memory_layout": json.dumps(layout.parts(len(contract.classes))),
        },
    )


def whole_graph(
    contract: Contract, network: onnx.ModelProto, described: Mapping[str, str]
) -> onnx.ModelProto:
    """ECG and state in, beats and state out; batch and length free.

    Parameters
    ----------
    network : the first graph, filter included
    """
    layout = Layout.of(contract)
    parts = [
        ("carry", contract.carry_size),
        ("memory", sum(count for _, count in layout.parts(len(contract.classes)))),
        ("offset", OFFSET),
    ]
    build = Builder()
    carry, memory, offset = build.split("state", [count for _, count in parts], axis=1)
    ecg, offset = _less_first_sample(build, build.slice(memory, 0, 2, axis=1), offset)
    frames = build.inline(network.graph, {"ecg": ecg, "carry": carry})
    found = _beats(build, contract, frames["probabilities"], ecg, memory)
    state = build("Concat", frames["carry_out"], found["memory_out"], offset, axis=1)
    for name, value in {**{name: found[name] for name in OUTPUTS}, "state_out": state}.items():
        build.name(value, name)
    size = sum(count for _, count in parts)
    return build.model(
        "ekg",
        [
            tensor("ecg", "batch", f"{contract.hop}*frames", kind=TensorProto.DOUBLE),
            tensor("state", "batch", size),
        ],
        [*_outputs(), tensor("state_out", "batch", size)],
        _metadata(contract, described)
        | {
            "role": "ECG to beats: filter, CNN and what makes beats of frames",
            "state_size": str(size),
            "state_layout": json.dumps(parts),
        },
    )


def _outputs() -> list[onnx.ValueInfoProto]:
    kinds = {
        "r_peaks": TensorProto.INT64,
        "valid": TensorProto.BOOL,
        "labels": TensorProto.INT64,
        "scores": TensorProto.FLOAT,
    }
    return [
        *(tensor(name, "batch", "frames", kind=kind) for name, kind in kinds.items()),
        tensor("class_probabilities", "batch", "frames", len(CLASSES)),
    ]


def _metadata(contract: Contract, described: Mapping[str, str]) -> dict[str, str]:
    """All that a program has to know to use either graph."""
    policy = contract.policy
    hold = contract.delay + (policy.context_after + 3) * contract.hop
    of_beats = {
        "slots": "one for each frame: it holds the beat that the frame of `after` frames before "
        f"found, if any; of {policy.min_frames_between} neighbours one at most does",
        "after": str(policy.context_after),
        "r_peaks": "sample from the recording's start, -1 in an empty slot",
        "valid": "true if the slot holds a beat",
        "labels": f"index into {','.join(CLASSES)}, -1 in an empty slot",
        "scores": "probability of the label, 0 in an empty slot",
        "class_probabilities": f"of {','.join(CLASSES)}, sum 1; 0 in an empty slot",
        "beat_classes": ",".join(CLASSES),
        "hold_samples": str(hold),
        "end": "after a recording give its last value for hold_samples more, up to a whole frame, "
        "and take no beat from beyond its last sample",
        "missing": "no NaN; hold the last value, and take no beat from a gap of 0.08 s or more",
    }
    left_out = ("carry_layout", "carry_size", "role", "input", "fir_taps")
    return {key: value for key, value in described.items() if key not in left_out} | of_beats


def _less_first_sample(build: Builder, position: str, offset: str) -> tuple[str, str]:
    """The signal, float32, less the recording's first sample, and that sample as floats."""
    first = build.slice("ecg", 0, 1, axis=1)
    parts, rest = [], first
    for _ in range(OFFSET):  # together they hold each of a float64's bits
        parts.append(build.cast(rest, TensorProto.FLOAT))
        rest = build("Sub", rest, build.cast(parts[-1], TensorProto.DOUBLE))
    kept = build("Where", _begun(build, position), offset, build("Concat", *parts, axis=1))
    wide = build.cast(kept, TensorProto.DOUBLE)
    level = build("ReduceSum", wide, build.axes(1), keepdims=1)
    return build.cast(build("Sub", "ecg", level), TensorProto.FLOAT), kept


def _begun(build: Builder, position: str) -> str:
    """True for rows with signal before this chunk, bool [batch, 1]."""
    total = build("ReduceSum", position, build.axes(1), keepdims=1)
    return build("Greater", total, build.number(0.0))


def _beats(
    build: Builder, contract: Contract, probabilities: str, ecg: str, memory: str
) -> dict[str, str]:
    """Values of `OUTPUTS` and of the memory after them, by name."""
    layout = Layout.of(contract)
    parts = layout.parts(len(contract.classes))
    position, recent, past = build.split(memory, [size for _, size in parts], axis=1)
    frames = _with_recent(build, contract, position, recent, probabilities)
    strong, class_sums = _strongest(build, contract, frames)
    line = build("Concat", past, ecg, axis=1)
    peaks, moments = _r_peaks(build, contract, line)
    before = build.add(
        build("Mul", _whole(build, position, 0), build.number(COUNT, np.int64)),
        _whole(build, position, 1),
    )
    centres = build.add(moments, before, build.number(layout.centre, np.int64))
    # A beat of before the recording's start does not count.
    counts = build("Greater", centres, build.number(-contract.hop, np.int64))
    valid = build("And", strong, counts)
    r_peaks = build("Max", build.add(peaks, before), build.number(0, np.int64))
    class_probabilities, labels, scores = _labelled(build, contract, class_sums, valid)
    newest = build("Add", build.slice(moments, -1, END, axis=1), before)
    after = build("Add", newest, build.number(contract.hop, np.int64))
    count = build.number(COUNT, np.int64)
    counted = build("Concat", build("Div", after, count), build("Mod", after, count), axis=1)
    kept = build.slice(frames, -(layout.before + layout.after), END, axis=1)
    memory_out = build(
        "Concat",
        build.cast(counted, TensorProto.FLOAT),
        build("Reshape", kept, build.axes(0, parts[1][1])),
        build.slice(line, -layout.past, END, axis=1),
        axis=1,
    )
    empty = build.number(-1, np.int64)
    return {
        "r_peaks": build("Where", valid, r_peaks, empty),
        "valid": valid,
        "labels": build("Where", valid, labels, empty),
        "scores": scores,
        "class_probabilities": class_probabilities,
        "memory_out": memory_out,
    }


def _with_recent(
    build: Builder, contract: Contract, position: str, recent: str, probabilities: str
) -> str:
    """The last frames before the chunk and its own; before a recording's start there is no beat."""
    layout, classes = Layout.of(contract), len(contract.classes)
    shape = build.axes(0, layout.before + layout.after, classes)
    known = build("Reshape", recent, shape)
    new = build.cast(build("Not", _begun(build, position)), TensorProto.FLOAT)
    no_beat = build.constant(np.eye(1, classes, dtype=np.float32))
    start = build("Mul", build("Unsqueeze", new, build.axes(2)), no_beat)
    return build("Concat", build("Add", known, start), probabilities, axis=1)


def _strongest(build: Builder, contract: Contract, frames: str) -> tuple[str, str]:
    """Frames that find a beat, bool [batch, frames], and sums of their classes over three frames.

    As `runtime.model.frames.find_beats`, in float64 as well.
    """
    gap = contract.policy.min_frames_between
    wide = build.cast(frames, TensorProto.DOUBLE)
    sums = build.add(*(build.slice(wide, i, i - 2 or END, axis=1) for i in range(3)))
    none = build("Squeeze", build.slice(sums, 0, 1, axis=2), build.axes(2))
    around = [build.slice(none, i, i - (2 * gap - 1) or END, axis=1) for i in range(2 * gap)]
    here = around[gap]
    weakest = build.number(3.0 * (1.0 - contract.policy.threshold), np.float64)
    strong = build("LessOrEqual", here, weakest)
    strong = build("And", strong, build("Less", here, build("Min", *around[:gap])))
    if later := around[gap + 1 :]:  # of equal neighbours the first is the beat
        strong = build("And", strong, build("LessOrEqual", here, build("Min", *later)))
    classes = build.slice(build.slice(sums, gap, 1 - gap or END, axis=1), 1, END, axis=2)
    return strong, classes


def _r_peaks(build: Builder, contract: Contract, line: str) -> tuple[str, str]:
    """R peaks near each frame's moment, and the moments, int64 [batch, frames], in samples.

    As `runtime.signal.r_peak.r_peaks`. R peaks count from the chunk's first sample, moments from
    the first frame's.
    """
    layout, hop = Layout.of(contract), contract.hop
    unused = layout.past + hop - (2 * layout.wide + 1)
    line = build.slice(line, 0, -unused or END, axis=1)
    last = SMOOTH_SAMPLES - 1
    smooth = build.add(*(build.slice(line, i, i - last or END, axis=1) for i in range(last + 1)))
    smooth = build("Unsqueeze", smooth, build.axes(1))
    beside = layout.reach - layout.search
    close = build.slice(smooth, beside, -beside, axis=2)

    def largest(value: str, width: int) -> tuple[str, ...]:
        pooled = build.node("MaxPool", (value,), 2, kernel_shape=[width], strides=[hop])
        return tuple(build("Squeeze", one, build.axes(1)) for one in pooled)

    up, up_at = largest(close, 2 * layout.search + 1)
    down, down_at = largest(build("Neg", close), 2 * layout.search + 1)
    _, places = largest(close, 1)
    level = build("AveragePool", smooth, kernel_shape=[2 * layout.reach + 1], strides=[hop])
    twice = build("Mul", build("Squeeze", level, build.axes(1)), build.number(2.0))
    upright = build("GreaterOrEqual", build("Sub", up, down), twice)
    row = build.slice(places, 0, 1, axis=1)
    moments = build("Sub", build.slice(places, 0, -(2 * layout.search // hop), axis=1), row)
    peaks = build("Sub", build("Where", upright, up_at, down_at), row)
    first = layout.centre - layout.search
    return build("Add", peaks, build.number(first, np.int64)), moments


def _labelled(
    build: Builder, contract: Contract, class_sums: str, valid: str
) -> tuple[str, str, str]:
    """Class probabilities, labels and scores of the slots, from sums over three frames."""
    total = build("ReduceSum", class_sums, build.axes(2), keepdims=1)
    given = build("Div", class_sums, total)
    weights = np.array(contract.policy.class_weights)
    weighted = build("Mul", given, build.constant(weights))
    labels = build("ArgMax", weighted, axis=2, keepdims=1)
    probabilities = build(
        "Where",
        build("Unsqueeze", valid, build.axes(2)),
        build.cast(given, TensorProto.FLOAT),
        build.number(0.0),
    )
    scores = build("GatherElements", probabilities, labels, axis=2)
    labels, scores = (build("Squeeze", one, build.axes(2)) for one in (labels, scores))
    return probabilities, labels, scores


def _whole(build: Builder, position: str, part: int) -> str:
    """A number of the position as int64 [batch, 1]."""
    return build.cast(build.slice(position, part, part + 1, axis=1), TensorProto.INT64)
