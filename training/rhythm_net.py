"""The second network: a small recurrent one over beats, whose memory is the patient's.

It reads what `runtime.model.rhythm_network.INPUTS` names and says how likely atrial fibrillation
is, at each beat and, in the light of the beats since, `LAG` beats before it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from runtime.model.rhythm_network import OUTPUTS

LAG = 10  # beats: half of a window in which irregular intervals show
HIDDEN, EMBEDDED = 48, 16
# Intervals beyond are not known: the beat before was missed, or a gap lies between.
SHORTEST_S, LONGEST_S = 0.15, 6.0
SHORTEST_COUNTED_S, LONGEST_COUNTED_S = 0.2, 4.0
USUAL_S, P_WAVE_LEFT = 0.8, -2.0  # what the inputs are compared with
COUNTED = 24.0  # beats in the longer mean of P waves


class RhythmNet(nn.Module):
    """Features, a gated recurrent unit, two log-odds.

    Its memory is the unit's state, the last interval's logarithm and whether it was known.
    """

    def __init__(self, hidden: int = HIDDEN):
        super().__init__()
        self.embed = nn.Linear(7, EMBEDDED)
        self.unit = nn.GRU(EMBEDDED, hidden, batch_first=True)
        self.verdict = nn.Linear(hidden, len(OUTPUTS))

    @property
    def memory_size(self) -> int:
        return self.unit.hidden_size + 2

    def forward(self, beats: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds [batch, beats, 2] and memory [batch, memory_size], of beats [batch, beats, 5]
        and the memory before them."""
        interval, atrial = beats[..., 0:1], beats[..., 1:2]
        known = ((interval > SHORTEST_S) & (interval < LONGEST_S)).float()
        length = torch.log(interval.clamp(SHORTEST_COUNTED_S, LONGEST_COUNTED_S) / USUAL_S) * known
        counted = (beats[..., 4:5] / COUNTED).clamp(0.0, 1.0)
        p_waves = (beats[..., 2:4] - P_WAVE_LEFT) * (beats[..., 4:5] > 0).float()
        now = torch.cat([length, known], dim=2)
        earlier = torch.cat([memory[:, None, -2:], now], dim=1)[:, :-1]
        change = (length - earlier[..., :1]) * known * earlier[..., 1:]
        rows = torch.cat([length, known, atrial, p_waves, counted, change], dim=2)
        states, last = self.unit(torch.tanh(self.embed(rows)), memory[None, :, :-2].contiguous())
        return self.verdict(states), torch.cat([last[0], now[:, -1]], dim=1)

    def start(self, batch: int) -> Tensor:
        """The memory where recordings start."""
        return torch.zeros(batch, self.memory_size)


def loss(log_odds: Tensor, fibrillating: Tensor) -> Tensor:
    """Cross entropy of both answers, where the rhythm is known.

    Parameters
    ----------
    log_odds : float32 [batch, beats, 2]
    fibrillating : float32 [batch, beats], 1, 0, or below 0: not known
    """
    return _mean(log_odds[..., 0], fibrillating) + _mean(
        log_odds[:, LAG:, 1], fibrillating[:, :-LAG]
    )


def _mean(log_odds: Tensor, fibrillating: Tensor) -> Tensor:
    known = fibrillating >= 0
    each = nn.functional.binary_cross_entropy_with_logits(
        log_odds, fibrillating.clamp(min=0.0), reduction="none"
    )
    return (each * known).sum() / known.sum().clamp(min=1)
