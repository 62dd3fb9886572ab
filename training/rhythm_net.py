"""The second network: a small recurrent one over beats, whose memory is the patient's.

It reads what `runtime.model.rhythm_network.RhythmGraph` names and says how likely atrial
fibrillation is, at each beat and, in the light of the beats since, `LAG` beats before it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from runtime.model.rhythm_network import RhythmGraph
from runtime.rhythm.events.atrial import (
    LONGEST_COUNTED_S,
    LONGEST_S,
    P_WAVE_BEATS,
    P_WAVE_LEFT,
    SHORTEST_COUNTED_S,
    SHORTEST_S,
    USUAL_S,
)

LAG = 10  # beats: half of a window in which irregular intervals show
HIDDEN, EMBEDDED = 48, 16


class RhythmNet(nn.Module):
    """A gated recurrent unit over beats, two log-odds. Its memory is the unit's state."""

    def __init__(self, hidden: int = HIDDEN):
        super().__init__()
        self.embed = nn.Linear(len(RhythmGraph.INPUTS), EMBEDDED)
        self.unit = nn.GRU(EMBEDDED, hidden)
        self.verdict = nn.Linear(hidden, len(RhythmGraph.OUTPUTS))

    @property
    def memory_size(self) -> int:
        return self.unit.hidden_size

    def forward(self, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds [beats, batch, 2] and memory [1, batch, memory_size], of `features`
        [beats, batch, 7] and the memory before them."""
        states, last = self.unit(torch.tanh(self.embed(inputs)), memory)
        return self.verdict(states), last

    def start(self, batch: int) -> Tensor:
        """The memory where recordings start."""
        return torch.zeros(1, batch, self.memory_size)


def features(beats: Tensor) -> Tensor:
    """The network's inputs [beats, batch, 7], of whole recordings.

    `runtime.rhythm.events.atrial.AtrialState.take` gives the same, beat by beat.

    Parameters
    ----------
    beats : float32 [batch, beats, 5], `training.beat_sequences.COLUMNS`
    """
    interval, atrial, counted = beats[..., 0:1], beats[..., 1:2], beats[..., 4:5]
    known = ((interval > SHORTEST_S) & (interval < LONGEST_S)).float()
    length = torch.log(interval.clamp(SHORTEST_COUNTED_S, LONGEST_COUNTED_S) / USUAL_S) * known
    p_waves = (beats[..., 2:4] - P_WAVE_LEFT) * (counted > 0).float()
    change = torch.zeros_like(length)
    change[:, 1:] = (length[:, 1:] - length[:, :-1]) * known[:, 1:] * known[:, :-1]
    columns = [length, known, atrial, p_waves, counted / max(P_WAVE_BEATS), change]
    return torch.cat(columns, dim=2).transpose(0, 1)


def beats_of(inputs: Tensor) -> Tensor:
    """The beats that `features` made these inputs of, intervals as far as they count."""
    length, known, atrial, p_waves, counted, _ = inputs.transpose(0, 1).split(
        [1, 1, 1, 2, 1, 1], dim=2
    )
    interval = torch.exp(length) * USUAL_S * known
    any_counted = (counted > 0).float()
    p_waves = (p_waves + P_WAVE_LEFT) * any_counted
    return torch.cat([interval, atrial, p_waves, counted * max(P_WAVE_BEATS)], dim=2)


def loss(log_odds: Tensor, fibrillating: Tensor) -> Tensor:
    """Cross entropy of both answers, where the rhythm is known.

    Parameters
    ----------
    log_odds : float32 [beats, batch, 2]
    fibrillating : float32 [beats, batch], 1, 0, or below 0: not known
    """
    return _mean(log_odds[..., 0], fibrillating) + _mean(log_odds[LAG:, :, 1], fibrillating[:-LAG])


def _mean(log_odds: Tensor, fibrillating: Tensor) -> Tensor:
    known = fibrillating >= 0
    each = nn.functional.binary_cross_entropy_with_logits(
        log_odds, fibrillating.clamp(min=0.0), reduction="none"
    )
    return (each * known).sum() / known.sum().clamp(min=1)
