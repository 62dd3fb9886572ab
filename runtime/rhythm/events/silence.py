"""Pause and asystole: no beat for so long, in signal that can be read."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.contract import FS
from ...model.rhythm_network import RhythmNetwork
from ..policy import RhythmPolicy, Section
from .family import Family, History, Kind, Second, Signal, TrackedBeat
from .ledger import Ledger
from .ventricular import VentricularLimits

ASYSTOLE, PAUSE = "asystole", "pause"


@dataclass(frozen=True)
class SilenceLimits(Section):
    """Limits of silence.

    Attributes
    ----------
    pause_s : between two beats
    asystole_s : without any beat
    asystole_vf_s : without any beat in signal that looks like fibrillation, which is given so
        much time to be recognised
    """

    section = "silence"
    about = "silence"
    bounds = {"pause_s": (0, 3600), "asystole_s": (0, 3600), "asystole_vf_s": (0, 3600)}

    pause_s: float
    asystole_s: float
    asystole_vf_s: float


class Silence(Family):
    """Pauses, reported when they are over, and asystole, reported while it lasts.

    Neither depends on the places of whole seconds. Asystole ends the events that are made of the
    beats before, and there is no heart rate.
    """

    name = "silence"
    kinds = (Kind(ASYSTOLE, 110), Kind(PAUSE, 80))
    Limits = SilenceLimits
    limits: SilenceLimits

    def __init__(self, policy: RhythmPolicy, ledger: Ledger, network: RhythmNetwork):
        super().__init__(policy, ledger, network)
        self._vf_prior = policy.of(VentricularLimits).vf_prior
        self._shortest_s = min(self.limits.asystole_s, self.limits.asystole_vf_s)

    @classmethod
    def rules(cls, policy: RhythmPolicy) -> dict[str, str]:
        limits = policy.of(SilenceLimits)
        return {
            ASYSTOLE: f"no beat for {limits.asystole_s:g} s in readable signal, "
            f"{limits.asystole_vf_s:g} s where it looks like fibrillation",
            PAUSE: f"{limits.pause_s:g} s or more between two beats",
        }

    def is_standstill(self, now: int, second: Second, history: History) -> bool:
        silent_s = (now - history.clear) / FS
        if silent_s < self._shortest_s or ASYSTOLE in self.ledger.open:
            return False
        # Signal that looks like fibrillation soon is VF, or it is hum, which only looks like it.
        doubtful = second.readable and second.fibrillation > self._vf_prior
        return silent_s >= (self.limits.asystole_vf_s if doubtful else self.limits.asystole_s)

    def on_standstill(self, history: History) -> None:
        self.ledger.begin(ASYSTOLE, history.clear, 1.0)

    def on_beat(
        self, beat: TrackedBeat, interval: int | None, history: History, signal: Signal
    ) -> None:
        if ASYSTOLE in self.ledger.open:
            self.ledger.close(ASYSTOLE, beat.sample)
        previous = history.previous
        if previous is not None and interval is not None and interval >= self.limits.pause_s * FS:
            self.ledger.note(PAUSE, previous.sample, beat.sample, min(previous.score, beat.score))

    def on_gap(self, start: int, end: int, history: History) -> None:
        self.close(start)
