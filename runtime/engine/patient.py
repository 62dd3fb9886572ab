"""A patient's state between two chunks: a row of arrays, and what is not in arrays.

Nothing about a patient is kept in the model's session, so one session serves any number of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..findings import Event, Flaw, Quality
from ..model.artifacts import Run
from ..model.contract import Contract
from ..model.frames import weakest_sum
from ..rhythm import RhythmModel, RhythmTracker, artefact, schema
from ..signal.gaps import Gaps
from ..signal.missing import NO_SIGNAL, Edge
from ..signal.quality import assess_rows
from ..signal.r_peak import LEVEL_S, SEARCH_S, SMOOTH_SAMPLES
from ..signal.resample import Resampler, resampler
from ..signal.units import check_signal

R_PEAK_MARGIN_S = 0.1  # an R peak may lie so much before the frame that found it


@dataclass(frozen=True, eq=False)
class Engine:
    """A network, and the rhythm that follows it.

    Attributes
    ----------
    contract, digest, run : of the network: its contract, its file's SHA-256 (32 bytes), and the
        function from signal and carry to frames and carry
    rhythm : policies and models
    """

    contract: Contract
    digest: bytes
    run: Run
    rhythm: RhythmModel

    @cached_property
    def rhythm_name(self) -> bytes:
        """Eight bytes that name everything that decides after the network."""
        return self.rhythm.fingerprint(self.contract.policy, schema().fingerprint)

    @cached_property
    def beat_limits(self) -> NDArray[np.float64]:
        """Everything that makes beats of frames, as the compiled loops take it."""
        contract, policy = self.contract, self.contract.policy
        return np.array(
            [
                policy.min_frames_between,
                weakest_sum(policy),
                contract.hop,
                round(SEARCH_S * contract.fs),
                round(LEVEL_S * contract.fs),
                *policy.class_weights,
            ],
            dtype=np.float64,
        )

    @cached_property
    def lateness(self) -> tuple[int, int, int]:
        """Samples of a hop; those of whole hops that are not decided yet; and their rate, Hz."""
        contract = self.contract
        late = contract.policy.context_after * contract.hop + contract.delay
        return contract.hop, late, contract.fs

    @cached_property
    def reach(self) -> int:
        """Samples of the past with a beat still to be decided, and what is looked at before it."""
        contract = self.contract
        level = round(LEVEL_S * contract.fs) + SMOOTH_SAMPLES
        return (
            contract.delay
            + (contract.policy.context_after + 2) * contract.hop
            + max(level, round(SEARCH_S * contract.fs) - artefact.FIRST)
        )

    def start(self, fs: float, *, follow_rhythm: bool) -> Patient:
        """A patient before the first sample, at this rate, Hz."""
        rate = resampler(fs, self.contract.fs)
        tracker = (
            RhythmTracker(self.rhythm, self.contract.policy.class_weights)
            if follow_rhythm
            else None
        )
        rows = _nothing(self.contract, self.reach, rate)
        return Patient(self, rate, rows, Gaps(rate.fs), tracker=tracker)


class Rows(NamedTuple):
    """State of patients of one rate, equally far: a row of each array for each.

    It is never changed, only followed by another: a push that fails leaves it as it was, and
    patients that are pushed together again are together already.

    Attributes
    ----------
    tail : float32 [patients, kept], of the resampler
    past : float32 [patients, samples], at the model's rate: the last that the network has seen,
        where R peaks are sought, then those that wait for a hop to be whole
    carry : float32 [patients, carry_size], of the network
    recent_frames : float32 [patients, frames, 6], the last frames, which decide on the next beat
    edges : where each signal stands
    taken : samples taken since each one's start
    waiting : samples at the end of `past` that the network has not seen
    """

    tail: NDArray[np.float32]
    past: NDArray[np.float32]
    carry: NDArray[np.float32]
    recent_frames: NDArray[np.float32]
    edges: tuple[Edge, ...]
    taken: tuple[int, ...]
    waiting: int


@dataclass(eq=False)
class Patient:
    """One patient: a row, and the state that is not in arrays.

    Attributes
    ----------
    rate : the resampler from the patient's rate to the network's
    rows, row : the state, and which of its rows this patient is
    gaps : the missing samples that matter to what is not decided yet
    tracker : follows the rhythm and the signal's quality; None if it is not followed
    events : not handed out yet
    end : samples in all, once the recording is finished
    """

    engine: Engine
    rate: Resampler
    rows: Rows
    gaps: Gaps
    row: int = 0
    tracker: RhythmTracker | None = None
    events: list[Event] = field(default_factory=list)
    end: int | None = None

    @property
    def taken(self) -> int:
        """Samples taken so far."""
        return self.rows.taken[self.row]

    @property
    def seconds(self) -> float:
        """Signal taken so far, s."""
        return (self.taken if self.end is None else self.end) / self.rate.fs

    @property
    def latency(self) -> float:
        """From an R peak to its label at the latest, s, not counting the wait for a chunk."""
        contract, rate = self.engine.contract, self.rate
        frames = (contract.policy.context_after + 1) * contract.hop + contract.hop / 2
        return (contract.delay + frames) / contract.fs + rate.half / rate.fs + SEARCH_S

    @property
    def decided(self) -> float:
        """Everything before this moment is decided, s."""
        if self.end is not None:
            return self.seconds
        taken, rate = self.rows.taken[self.row], self.rate
        hop, late, fs = self.engine.lateness
        moment = (rate.complete(taken) // hop * hop - late) / fs - R_PEAK_MARGIN_S
        if moment < 0.0:
            return 0.0
        seconds = taken / rate.fs
        return moment if moment < seconds else seconds

    def assess(self, samples: ArrayLike, *, units: str) -> Quality:
        """The quality of the samples that come next, [samples], at least one.

        Raises
        ------
        InputError
            The samples cannot be used.
        """
        ecg = check_signal(samples, units=units, dimensions=(1,))
        rhythm, edge = self.engine.rhythm, self.rows.edges[self.row]
        (quality,) = assess_rows(
            ecg[None], self.rate.fs, rhythm.quality, rhythm.noise, [edge], whole=False
        )
        if self.tracker is not None and self.tracker.flaws & Flaw.FAST and not quality.flat:
            quality = replace(quality, fast=1.0)  # of which a short chunk shows nothing
        return quality

    @property
    def followed(self) -> float:
        """Up to this moment the rhythm is followed too, s."""
        return (
            self.decided if self.tracker is None else min(self.decided, self.tracker.seconds.next)
        )


@lru_cache(maxsize=64)
def _nothing(contract: Contract, reach: int, _: Resampler) -> Rows:
    """State before a recording's first sample: no signal, no beat. One for each rate."""
    frames = contract.policy.context_before + contract.policy.context_after
    recent = np.zeros((1, frames, len(contract.classes)), dtype=np.float32)
    recent[:, :, 0] = 1.0
    tail, past, carry = (
        np.zeros((1, size), dtype=np.float32) for size in (0, reach, contract.carry_size)
    )
    return Rows(tail, past, carry, recent, (NO_SIGNAL,), (0,), 0)
