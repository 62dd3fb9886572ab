"""``MODEL_CARD.md``, written from what was measured."""

from __future__ import annotations

from typing import Any

from training.tables import tables


def card(
    metrics: dict[str, Any] | None,
    *,
    parameters: int,
    described: dict[str, str],
    recipe: dict[str, Any],
    held_out: dict[str, float],
    worst: dict[str, float],
) -> str:
    """The model card as Markdown.

    Parameters
    ----------
    metrics : of `training.evaluate.evaluate`; None if no recordings were at hand
    parameters : of the network
    described : the metadata of the model files
    recipe, held_out : of the checkpoint; no figures if nobody was held out
    worst : graph -> largest difference from torch that was seen
    """
    simulated = described["simulated"] == "true"
    delay = float(described["delay"])
    parts = [
        "# Model card",
        "",
        "Finds heart beats in single-lead ECG and labels them, live, by the classes of AAMI EC57: "
        "N normal, S supraventricular, V ventricular, F fusion of N and V, Q paced or unknown. "
        "**It is no medical device** and has no clinical validation: not for diagnosis, not for "
        "patient alarms.",
        "",
        "## What it is",
        "",
        f"- Causal dilated CNN with its filter fused in, {parameters:,} parameters; every 50 ms "
        f"frame is labelled {delay:.2f} s after its moment "
        "(filter delay and look-ahead), from up to 10 s of past. Where the rhythm is followed, the "
        "patient's usual QRS complex joins in deciding what is V (`runtime/rhythm/template.py`), "
        "and the usual interval between N and S (`runtime/rhythm/baseline.py`); the numbers of "
        "both lie in `rhythm.json`, beside the network.",
        "- A second network, `ekg_rhythm.onnx`, reads beats one after another, remembers the "
        "patient, and tells atrial fibrillation, in which no beat is S.",
        f"- Input: one lead, mV, {described['fs']} Hz (the runtime resamples 100 to 1000 Hz). "
        f"Filter: {described['fir_design']}.",
        f"- Operating point: a beat from a mean probability of {described['threshold']} on; "
        f"class weights {described['class_weights']}.",
        f"- Commit {described['commit']}.",
        "",
        "## Data",
        "",
        f"Trained on: {described['trained_on']}."
        + (" **This model has seen no real ECG.**" if simulated else ""),
        "",
        f"{held_out_runs(recipe, held_out, simulated)} Seed {recipe['seed']}, "
        f"{recipe['steps']} steps."
        + (
            ""
            if simulated
            else " svdb's labels are largely automatic, weaker than mitdb's. Records 201 "
            "(training) and 202 (test) are the same person, as in every paper that uses this split."
        ),
        "",
        "## Measured",
        "",
    ]
    if metrics is None:
        parts += ["Nothing: no recordings were at hand.", ""]
    else:
        parts += [
            "On patients never trained on; some choices followed a look at their results "
            "(`training/experiments.md` says which), so these figures are the optimistic end "
            f"({metrics['records']}; lead "
            f"{metrics['lead']}), end to end: the system finds its own beats "
            f"({metrics['matching']}), a missed beat is an error in the accuracy, a false one in "
            "+P. e and j count as N. Se/+P/F1 in %.",
            "",
            tables(metrics),
            "",
            *other_runs(metrics),
            "'All N' would score 89.0 % accuracy; record 232 holds 1,382 of the 1,837 S beats.",
            "",
            "![confusion matrix](confusion.png)",
            "",
            "Where it fails most, the reference's labels above and its own below:",
            "",
            "![hardest records](hardest.png)",
            "",
            "Reproduce with `python -m training.evaluate --paced --out DIR`.",
            "",
            *_smaller(metrics),
        ]
    differences = ", ".join(f"{name} {value:.1g}" for name, value in worst.items())
    parts += [
        "## Same answer everywhere",
        "",
        f"Largest difference from torch over random and {'real' if metrics else 'simulated'} "
        "signal (ONNX Runtime on the CPU; of "
        "the Core ML package its program, evaluated operation by operation), whole "
        f"and cut at random places: {differences}.",
        "",
        "## Limits",
        "",
        "- Supraventricular beats are its weakest class: told from sinus beats by how early they "
        "come, so missed where they come in time, and false in flutter and in fibrillation that is "
        "not recognised. Fusion (F) and unknown (Q) beats are rarely labelled rightly.",
        *(
            []
            if simulated
            else [
                "- Trained on adults' Holter recordings of the 1970s to 1990s, hand-held strips "
                "and clinical leads; children and other electrode places are untested."
            ]
        ),
        "- A record's first seconds have little context; one-second windows have none.",
        "",
    ]
    return "\n".join(parts)


def held_out_runs(recipe: dict[str, Any], figures: dict[str, float], simulated: bool) -> str:
    """The training patients held out, and the network's figures on them."""
    if not figures and simulated:  # the runs before were of real patients
        return "All of it, none held out."
    if not figures:
        return (
            "All of them, none held out: recipe, threshold and the numbers of what is usual "
            f"were chosen before, by {recipe['folds']} runs that each left out another share "
            "of the patients."
        )
    return (
        f"One of {recipe['folds']} patient-grouped folds of them (fold {recipe['fold']}) was "
        "held out, and nothing chosen by it; there, without the rhythm: QRS F1 "
        f"{100 * figures['QRS F1']:.2f}, VEB F1 {100 * figures['VEB F1']:.1f}, SVEB F1 "
        f"{100 * figures['SVEB F1']:.1f}, accuracy {100 * figures['accuracy']:.1f} %."
    )


# Of `training.seeds`: what the card gives of other runs.
FIGURES = {
    "QRS Se": "whole records, QRS Se",
    "QRS +P": "whole records, QRS +P",
    "VEB F1": "whole records, VEB F1",
    "SVEB F1": "whole records, SVEB F1",
    "SVEB F1 without 232": "SVEB F1 without 232",
    "accuracy": "whole records, accuracy",
    "one-second windows": "one-second windows, accuracy",
}


def other_runs(metrics: dict[str, Any]) -> list[str]:
    """Other runs on the same records: other seeds, other training data."""
    if not metrics.get("beside"):
        return []
    lines = [
        "Other runs on the same records, in % (mean ± SD over the runs):",
        "",
        f"| | runs | {' | '.join(FIGURES)} |",
        "|---" * (len(FIGURES) + 2) + "|",
    ]
    for what, measured in metrics["beside"].items():
        cells = []
        for name in FIGURES.values():
            figure = measured["figures"][name]
            deviation = f" ± {100 * figure['sd']:.2f}" if measured["runs"] > 1 else ""
            cells.append(f"{100 * figure['mean']:.2f}{deviation}")
        lines.append(f"| {what} | {measured['runs']} | {' | '.join(cells)} |")
    return [*lines, ""]


def _smaller(metrics: dict[str, Any]) -> list[str]:
    """The figures of the graphs with fewer bits."""
    lines = []
    for key, what in (
        ("int8", "`ekg_fused_int8.onnx` (`--model`), convolutions quantized"),
        ("fp16", "the network in float16, its filter in float32; not shipped"),
    ):
        if key in metrics:
            whole = metrics[key]["whole records"]
            lines += [
                f"| {what} | {100 * whole['QRS Se']:.2f}/{100 * whole['QRS +P']:.2f} "
                f"| {100 * whole['VEB F1']:.2f} | {100 * whole['SVEB F1']:.2f} "
                f"| {100 * whole['accuracy']:.2f} "
                f"| {100 * metrics[key]['one-second windows']['accuracy']:.2f} |"
            ]
    return lines and [
        "With fewer bits:",
        "",
        "| | QRS Se/+P | VEB F1 | SVEB F1 | accuracy | one-second windows |",
        "|---|---|---|---|---|---|",
        *lines,
        "",
    ]
