"""The graph from frames to beats, and the one from ECG to beats, written node by node.

`ekg_beats.onnx` does what the runtime does after the first network, but for naming events: slots of
`slots_graph`, then the rhythm of `follow_graph`. `ekg.onnx` has the first network before it, and so
takes ECG and gives beats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto

from export import follow_graph, slots_graph
from export.builder import END, Builder, tensor
from export.chunk_graph import CONTEXT, Chunk
from export.follow_graph import Rhythm, Slots
from export.held_graph import EDGE, held
from export.slots_graph import Layout
from export.values import Value, columns, concat
from runtime.findings import CLASSES, Flaw
from runtime.model.contract import FS, Contract
from runtime.model.embedded import CHECKED, MISSING, OUTPUTS, PAST_END, THERE
from runtime.rhythm import rules
from runtime.signal.gaps import GAP_S
from runtime.signal.missing import LARGEST_MV

COUNT = 1 << 20  # samples counted by the second number of a position, floats being exact to 2^24
LONGEST_S = 12 * 3600  # of a chunk, whose samples are counted in floats
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL
KINDS = {
    "r_peaks": INT64,
    "valid": BOOL,
    "labels": INT64,
    "fibrillating": BOOL,
    "seconds": INT64,
    "flaws": INT64,
    "rhythms": INT64,
}


def beats_graph(
    contract: Contract, described: Mapping[str, str], rhythm: Rhythm
) -> onnx.ModelProto:
    """Frames, signal and memory in, beats and memory out; batch and length free.

    Parameters
    ----------
    described : the first network's metadata
    """
    parts = _parts(contract, rhythm)
    size = sum(parts.values())
    build = Builder()
    signal = Value(build, "ecg", np.float32), Value(build, "missing", np.uint8).to(np.float32)
    given = columns(Value(build, "memory", np.float32), parts)
    found, memory = _beats(build, contract, rhythm, "probabilities", signal, given)
    for name, value in {**found, "memory_out": memory}.items():
        build.name(value, name)
    return build.model(
        "beats",
        [
            tensor("probabilities", "batch", "frames", len(contract.classes)),
            tensor("ecg", "batch", f"{contract.hop}*frames"),
            tensor("missing", "batch", f"{contract.hop}*frames", kind=TensorProto.UINT8),
            tensor("memory", "batch", size),
        ],
        [*_outputs(), tensor("memory_out", "batch", size)],
        _metadata(contract, described, rhythm)
        | {
            "role": "frames and signal to beats in the light of the rhythm",
            "inputs": "probabilities: of the first graph; ecg: what that was given, mV less the "
            "recording's first sample, float32, held where samples are missing; memory: zeros "
            "where a recording starts, then memory_out",
            "memory_size": str(size),
            "memory_layout": json.dumps(list(parts.items())),
        },
    )


def whole_graph(
    contract: Contract, network: onnx.ModelProto, described: Mapping[str, str], rhythm: Rhythm
) -> onnx.ModelProto:
    """ECG and state in, beats and state out; batch and length free.

    Parameters
    ----------
    network : the first graph, filter included
    """
    parts = [
        ("carry", contract.carry_size),
        ("memory", sum(_parts(contract, rhythm).values())),
        ("edge", sum(EDGE.values())),
    ]
    build = Builder()
    carry, memory, edge = build.split("state", [count for _, count in parts], axis=1)
    given = columns(Value(build, memory, np.float32), _parts(contract, rhythm))
    ecg, missing, given["past_missing"], after = held(
        Value(build, "ecg", np.float64),
        Value(build, "missing", np.uint8),
        (given["past"], given["past_missing"]),
        Value(build, edge, np.float32),
        rhythm.model.quality.missing,
    )
    frames = build.inline(network.graph, {"ecg": ecg.name, "carry": carry})
    found, memory = _beats(build, contract, rhythm, frames["probabilities"], (ecg, missing), given)
    state = build("Concat", frames["carry_out"], memory, after.name, axis=1)
    for name, value in {**found, "state_out": state}.items():
        build.name(value, name)
    size = sum(count for _, count in parts)
    samples = f"{contract.hop}*frames"
    return build.model(
        "ekg",
        [
            tensor("ecg", "batch", samples, kind=TensorProto.DOUBLE),
            tensor("missing", "batch", samples, kind=TensorProto.UINT8),
            tensor("state", "batch", size),
        ],
        [*_outputs(), tensor("state_out", "batch", size)],
        _metadata(contract, described, rhythm)
        | {
            "inputs": "ecg: mV, float64, as it comes, NaN if a sample is missing; state: zeros "
            "where a recording starts, then state_out",
            "role": "ECG to beats: filter, CNN, what makes beats of frames, and the rhythm",
            "state_size": str(size),
            "state_layout": json.dumps(parts),
            "largest_mv": f"{LARGEST_MV:g}",
            "beyond": "a sample beyond largest_mv, infinite or NaN is taken as missing, and so is "
            "one that no heart can have made: docs/embed.md",
            "checked": f"missing {CHECKED} is a sample that is there, and taken as it is; so is a "
            f"number with missing {MISSING}",
        },
    )


def _parts(contract: Contract, rhythm: Rhythm) -> dict[str, int]:
    """Parts of the memory, in order: name -> size. Zeros where a recording starts."""
    layout = Layout.of(contract)
    frames = (layout.before + layout.after) * len(contract.classes)
    past = _past(layout)
    return {
        "position": 2,
        "recent_frames": frames,
        "past": past,
        "past_missing": past,
        **rhythm.parts(),
    }


def _past(layout: Layout) -> int:
    """Samples before a chunk that are kept.

    Of the second before an R peak it is known which samples are missing.
    """
    return max(layout.near, layout.search - layout.centre + FS + CONTEXT)


def _outputs() -> list[onnx.ValueInfoProto]:
    return [
        tensor(name, "batch", "frames", len(CLASSES))
        if name == "class_probabilities"
        else tensor(
            name,
            "batch",
            "closed" if name in ("seconds", "flaws", "rhythms") else "frames",
            kind=KINDS.get(name, TensorProto.FLOAT),
        )
        for name in OUTPUTS
    ]


def _metadata(contract: Contract, described: Mapping[str, str], rhythm: Rhythm) -> dict[str, str]:
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
        "af_probabilities": "of atrial fibrillation, as far as it was known two seconds before the "
        "beat's; 0 in an empty slot",
        "fibrillating": "true if the label was chosen as in atrial fibrillation",
        "seconds": "number of each second that the chunk closes, two after its end; -1 if unused",
        "flaws": "of that second, sum of "
        + ", ".join(f"{int(flaw)} {str(flaw.name).lower()}" for flaw in Flaw if flaw)
        + "; -1 if unused",
        "rhythms": "after that second, sum of 1 atrial fibrillation and 2 ventricular fibrillation "
        "if they last; -1 if unused",
        "events": json.dumps(rules(rhythm.model.policy)),
        "event_limits": json.dumps(rhythm.model.policy.to_dict()),
        "gap_s": f"{GAP_S:g}",
        "longest_chunk_s": str(LONGEST_S),
        "session_options": "enable_mem_pattern off",
        "beat_classes": ",".join(CLASSES),
        "hold_samples": str(hold),
        "missing": f"{THERE} for a sample that is there, {MISSING} for one that is missing and "
        f"holds the value before, {PAST_END} for one after the recording's end",
        "end": "after a recording give its last value for hold_samples more, up to a whole frame, "
        f"with missing {PAST_END}",
    }
    left_out = ("carry_layout", "carry_size", "role", "input", "fir_taps")
    return {key: value for key, value in described.items() if key not in left_out} | of_beats


def _begun(build: Builder, position: str) -> str:
    """True for rows with signal before this chunk, bool [batch, 1]."""
    total = build("ReduceSum", position, build.axes(1), keepdims=1)
    return build("Greater", total, build.number(0.0))


def _beats(
    build: Builder,
    contract: Contract,
    rhythm: Rhythm,
    probabilities: str,
    signal: tuple[Value, Value],
    memory: Mapping[str, Value],
) -> tuple[dict[str, str], str]:
    """Values of `OUTPUTS` by name, and the memory after them.

    Parameters
    ----------
    signal : float32 [batch, samples] twice: mV less an offset, and the input ``missing``
    memory : of `_parts`
    """
    layout, parts = Layout.of(contract), _parts(contract, rhythm)
    past, position, (ecg, missing) = parts["past"], memory["position"], signal
    frames = slots_graph.with_recent(
        build,
        contract,
        _begun(build, position.name),
        memory["recent_frames"].name,
        probabilities,
    )
    strong, class_sums = slots_graph.strongest(build, contract, frames)
    line = concat(memory["past"], ecg)
    near = line.slice(past - layout.near)
    found = slots_graph.r_peaks(build, contract, near.name)
    peaks, moments = (Value(build, name, np.int64) for name in found)
    before = position.to(np.int64)
    before = before.slice(0, 1) * COUNT + before.slice(1, 2)
    centres = moments + before + layout.centre
    # A beat of before the recording's start does not count.
    valid = Value(build, strong, bool) & (centres > -contract.hop)
    r_peaks = (peaks + before).at_least(0)
    sums = Value(build, class_sums, np.float64)
    rows = sums / sums.sum(keep=True)
    flags = concat(memory["past_missing"], missing)
    ended = flags > PAST_END - 0.5
    kept, outputs = follow_graph.follow(
        memory,
        Chunk(
            line,
            ((flags > MISSING - 0.5) & ~ended).to(np.float32),
            ended.to(np.float32),
            past,
            before.to(np.float64),
        ),
        Slots(
            valid,
            (r_peaks - before).to(np.float64),
            rows,
            (rows * np.array(contract.policy.class_weights)).argmax(),
        ),
        rhythm,
    )
    after = moments.slice(-1) + before + contract.hop
    kept |= {
        "position": concat(after / COUNT, after.op("Mod", COUNT)).to(np.float32),
        "recent_frames": Value(
            build, build.slice(frames, -(layout.before + layout.after), END, axis=1), np.float32
        ).reshape(0, -1),
        "past": line.slice(-past),
        "past_missing": flags.slice(-past),
    }
    outputs["r_peaks"] = outputs["valid"].where(r_peaks, -1)
    return (
        {name: outputs[name].name for name in OUTPUTS},
        concat(*(kept[name] for name in parts)).name,
    )
