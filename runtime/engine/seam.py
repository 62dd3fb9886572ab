"""Where the stream of one model ends and that of the next begins.

A new model cannot go on from an older one's state. It starts some seconds earlier instead, on
signal that the caller kept, and gives only what its predecessor had not decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from numpy.typing import ArrayLike

from ..errors import InputError
from ..findings import Beat, Event
from ..signal.units import as_numbers

RECENT_S = 30.0  # of signal that is worth keeping: rhythm and usual QRS complex are known by then
# Two models put one R peak this near to each other, and two beats are never so near.
SAME_BEAT_S = 0.1
NO_SEAM = -1.0


class Seam(NamedTuple):
    """The end of an older model's part.

    Attributes
    ----------
    samples : of the recording, that it had taken
    decided : s; it gave all beats before this moment; -1 if there was no older model
    beat : s; the last beat that it gave; -1 if it gave none
    """

    samples: int = 0
    decided: float = NO_SEAM
    beat: float = NO_SEAM

    def before(self, recent: ArrayLike) -> int:
        """Return the samples of the recording before these, its last.

        Raises
        ------
        InputError
            They are more than there were, or no samples.
        """
        given = len(as_numbers(recent, (1,)))
        if given > self.samples:
            raise InputError(
                f"the recent signal has {given} samples, but the stream had taken {self.samples}; "
                "expected its last ones."
            )
        return self.samples - given

    def fresh(self, beats: Iterable[Beat], origin: float) -> list[Beat]:
        """Return the beats that the older model did not give, in the recording's time.

        A beat at the seam may lie on its one side for the older model and on its other for the
        newer one: it is given once.

        Parameters
        ----------
        origin : s of the recording before the first sample that this model saw
        """
        moved = [replace(beat, time=beat.time + origin) for beat in beats]
        return [beat for beat in moved if not self._known(beat.time)]

    def lasting(self, events: Iterable[Event]) -> list[Event]:
        """Return the events, each in its last form, that last at the seam or end after it."""
        newest = {(event.kind, event.start): event for event in events}
        return [one for one in newest.values() if one.end is None or one.end > self.decided]

    def _known(self, time: float) -> bool:
        if time < self.decided - SAME_BEAT_S:
            return True
        return time < self.decided + SAME_BEAT_S and abs(time - self.beat) <= SAME_BEAT_S


def moved(events: list[Event], origin: float) -> list[Event]:
    """Return events so many seconds later."""
    if not origin:
        return events
    return [
        replace(one, start=one.start + origin, end=None if one.end is None else one.end + origin)
        for one in events
    ]
