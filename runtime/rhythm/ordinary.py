"""Seconds in which nothing begins, lasts or ends, by the compiled loops.

Nearly all seconds of nearly all patients are like that, and of many live patients plain Python beat
by beat takes longer than the network. The rules stand in `.events`, and take every other second;
tests hold that both give the same. Without the loops, or with other rules, there is none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..beats import PROBABILITY_FLOOR, Beats
from ..findings import Event
from ..model.contract import FS
from ..model.rhythm_network import RhythmGraph
from ..signal.features import RATE, WINDOW_S
from ..signal.gaps import Gap
from ..signal.loops import second_loops
from .artefact import ArtefactLimits, Artefacts
from .baseline import BaselineLimits, RrBaseline
from .events import FAMILIES
from .events.atrial import EVEN_BEATS, FOR_LOOPS, KNOWN_BEATS, P_WAVE, Atrial, AtrialLimits
from .events.family import Family, TrackedBeat
from .events.patterns import PatternLimits, Patterns
from .events.rates import RateLimits, Rates
from .events.runs import RunLimits, Runs
from .events.silence import Silence, SilenceLimits
from .events.ventricular import MAX_LOG_ODDS, Ventricular, VentricularLimits
from .model import RhythmModel
from .seconds import KEPT_S
from .template import FIRST, LAST, MAX_LOG_ODDS_SHIFT, SIZE, QrsTemplate, TemplateLimits

if TYPE_CHECKING:
    from .tracker import RhythmTracker

UNSEEN = (WINDOW_S - 1) * FS  # samples before which no second is closed
# The rules that the loops know, those that keep something between beats in their order first.
_KEEPING = (Atrial, Ventricular, Patterns, Runs)
_KNOWN = {*_KEEPING, Silence, Rates}

Context: TypeAlias = tuple[Any, ...]
Constants: TypeAlias = tuple[Any, ...]


def context(
    model: RhythmModel,
    parts: Sequence[Any],
    families: Sequence[Family],
    limits: tuple[tuple[float, ...], float, int],
) -> Context | None:
    """What the loops need of a patient: the objects whose states they read and write.

    None without the loops, or if they do not know the rules.

    Parameters
    ----------
    parts : the patient's `Seconds`, state of the tracker, history, ledger, template and baseline
    families : of the tracker
    limits : the last arguments of `constants`, which come last
    """
    rates, network = model.policy.of(RateLimits), model.beats
    known = (
        second_loops is not None
        and None not in parts
        and set(FAMILIES) == _KNOWN
        and rates.tachycardia_beats == rates.bradycardia_beats
        and model.policy.has(ArtefactLimits)
        and isinstance(network, RhythmGraph)
        and network.weights is not None
    )
    if not known:
        return None
    of = {type(family): family for family in families}
    return *parts, *(of[kind] for kind in _KEEPING), constants(model, *limits)


@lru_cache(maxsize=8)
def constants(
    model: RhythmModel, weights: tuple[float, ...], silence: float, max_intervals: int
) -> Constants:
    """What the loops need of a model; of buffers, which take less time than arrays.

    Parameters
    ----------
    weights : of the classes
    silence : samples without a beat before which nothing stands still
    max_intervals : that the history holds
    """
    policy, quality = model.policy, model.quality
    template, atrial = policy.of(TemplateLimits), policy.of(AtrialLimits)
    rates, vf, network = policy.of(RateLimits), policy.of(VentricularLimits), model.beats
    assert isinstance(network, RhythmGraph)
    assert network.weights is not None
    labels = [
        *weights,
        template.template_gain,
        template.template_margin,
        template.template_roughness,
        atrial.af_min_atrial,
        *(FIRST, LAST, SIZE, UNSEEN, MAX_LOG_ODDS_SHIFT, PROBABILITY_FLOOR),
        *(atrial.af_onset, atrial.af_doubt, KEPT_S * FS),
    ]
    seconds = [
        *(FS, RATE, silence, policy.of(SilenceLimits).pause_s * FS),
        *(rates.tachycardia_beats, rates.bradycardia_bpm, rates.tachycardia_bpm),
        *(max_intervals, *vf.edges, MAX_LOG_ODDS, vf.vf_weight, vf.vf_prior, vf.vf_on),
        *(
            quality.noise_log_odds,
            quality.lasting_noise_log_odds,
            atrial.af_on,
            EVEN_BEATS,
            KNOWN_BEATS,
        ),
        *(network.lag, P_WAVE.start, P_WAVE.stop, WINDOW_S // 2, WINDOW_S),
        *(policy.of(RunLimits).run_beats, policy.of(PatternLimits).pattern_beats),
    ]
    wide, numbers = network.weights
    artefacts = Artefacts(policy.of(ArtefactLimits), model.artefact)
    limits: list[Any] = [
        QrsTemplate(template, weights).numbers,
        RrBaseline(policy.of(BaselineLimits)).numbers,
        np.array(labels, dtype=np.float64),
        np.array(seconds, dtype=np.float64),
        artefacts.numbers,
        model.artefact.numbers,
        *FOR_LOOPS,
    ]
    buffers = [memoryview(one) for one in (*limits, numbers)]
    return *buffers[:-1], wide, buffers[-1], network.memory_size


def follow_together(
    trackers: Sequence[RhythmTracker],
    beats: list[Beats],
    decided: list[float],
    gaps: Sequence[Sequence[Gap]],
) -> tuple[list[Beats], dict[int, list[Event]]]:
    """`RhythmTracker.follow` for each of many patients of one model.

    Parameters
    ----------
    beats, decided, gaps : of each patient

    Returns
    -------
    the beats of each in the light of the rhythm, and the events that began or ended, by the place
    of the patients who have any
    """
    found: list[Beats | None] = [None] * len(trackers)
    events: dict[int, list[Event]] = {}
    contexts = [
        None if missing else tracker.context
        for tracker, missing in zip(trackers, gaps, strict=True)
    ]
    known = next(filter(None, contexts), None)
    if known:
        found, rest = second_loops.follow(contexts, beats, decided, *known[-1], TrackedBeat, Beats)
        for place in rest:
            events[place] = trackers[place].close_next()
    if None in found:
        for place, one in enumerate(found):
            if one is None:
                found[place], events[place] = trackers[place].follow(
                    beats[place], decided[place], gaps[place]
                )
    return found, events  # type: ignore[return-value]
