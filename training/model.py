"""The network: raw ECG in, a class for every frame out, causally and with a fixed look-ahead.

Each layer keeps the few past values it needs in one flat vector, `carry`, so that training on
a crop, serving a window, and streaming a day's record chunk by chunk are the same code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from runtime.findings import CLASSES
from training import dsp_cpu
from training.dsp_torch import FirFilter
from training.recordings import FS

HOP = 18  # samples a frame: 50 ms, the product of the front end's strides
FRAME_CLASSES = ("none", *CLASSES)


@dataclass(frozen=True)
class Design:
    """Sizes that define a network; they are stored in every checkpoint.

    Attributes
    ----------
    band_taps : length of the band-pass; half of it (and 2) is delay
    look_ahead : frames of signal seen beyond the moment that is labelled
    width : channels of the residual stream
    morphology, rhythm, decision : (dilation, channels) of the residual blocks, in frames.
        The first ones see the shape of a beat, the middle ones reach 10 s back to see the
        rhythm, in few channels because every one of them is carried; the last ones weigh both.
    """

    band_taps: int = dsp_cpu.BAND_TAPS
    look_ahead: int = 18
    width: int = 64
    morphology: tuple[tuple[int, int], ...] = ((1, 32), (2, 32), (4, 32), (8, 32))
    rhythm: tuple[tuple[int, int], ...] = ((12, 16), (24, 16), (48, 16))
    decision: tuple[tuple[int, int], ...] = ((1, 32), (2, 32), (4, 32))
    dropout: float = 0.15

    def __post_init__(self) -> None:
        if not (
            0 <= self.look_ahead <= 1000 and 3 <= self.band_taps <= 10001 and self.band_taps % 2
        ):
            raise ValueError(
                f"look_ahead is {self.look_ahead} and band_taps {self.band_taps}; "
                "expected 0 frames or more, and an odd number of taps from 3 on: "
                "their middle is a sample."
            )
        if not (1 <= self.width <= 10000 and 0 <= self.dropout < 1):
            raise ValueError(
                f"width is {self.width} and dropout {self.dropout}; expected at least "
                "1 channel, and a share from 0 to below 1."
            )
        for name in ("morphology", "rhythm", "decision"):
            blocks = getattr(self, name)
            if not all(
                isinstance(block, tuple)
                and len(block) == 2
                and all(isinstance(size, int) and size >= 1 for size in block)
                for block in blocks
            ):
                raise ValueError(
                    f"{name} is {blocks}; expected a pair of whole numbers from 1 on, "
                    "dilation and channels, for each block."
                )

    @property
    def delay_samples(self) -> int:
        """From a moment to the middle of the frame that labels it, at 360 Hz."""
        return (self.band_taps + dsp_cpu.AVERAGE_TAPS - 2) // 2 + self.look_ahead * HOP

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, object]) -> Design:
        return cls(**{name: _tuples(value) for name, value in fields.items()})  # type: ignore[arg-type]


class EkgNet(nn.Module):
    """Filter and CNN in one: the module behind ``ekg_fused.onnx``."""

    def __init__(self, design: Design | None = None):
        super().__init__()
        self.design = design or Design()
        self.fir = FirFilter(dsp_cpu.taps(self.design.band_taps), HOP)
        self.cnn = Cnn(self.design)
        self.carry_size = self.fir.history + self.cnn.carry_size

    def forward(self, ecg: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        """Label every frame of a chunk.

        Parameters
        ----------
        ecg : float32 [batch, samples], mV at 360 Hz, samples a multiple of `HOP`, less the
            recording's first sample
        carry : float32 [batch, carry_size], zeros where a recording starts

        Returns
        -------
        probabilities : float32 [batch, samples / HOP, 6], in the order of `FRAME_CLASSES`
        carry : float32 [batch, carry_size], to give back with the next chunk
        """
        logits, carry = self.logits(ecg, carry)
        return logits.softmax(dim=2), carry

    def logits(self, ecg: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        """`forward` before the softmax, for the loss."""
        past, rest = carry.split([self.fir.history, self.cnn.carry_size], dim=1)
        filtered, past = self.fir(ecg, past)
        logits, rest = self.cnn.logits(filtered, rest)
        return logits, torch.cat([past, rest], dim=1)

    def start(self, batch: int, device: torch.device | str = "cpu") -> Tensor:
        """The carry at a recording's start."""
        return torch.zeros(batch, self.carry_size, device=device)


class Cnn(nn.Module):
    """Everything after the filter: the module behind ``ekg_cnn.onnx``."""

    def __init__(self, design: Design):
        super().__init__()
        width = design.width
        layers: list[CausalConv | Residual] = [
            CausalConv(1, 16, kernel=9, stride=3),
            CausalConv(16, 32, kernel=9, stride=3),
            CausalConv(32, width, kernel=6, stride=2),
            *(
                Residual(width, channels, dilation, design.dropout)
                for dilation, channels in (*design.morphology, *design.rhythm, *design.decision)
            ),
        ]
        self.layers = nn.ModuleList(layers)
        self.head = nn.Conv2d(width, len(FRAME_CLASSES), 1)
        self.carry_sizes = [layer.carry_size for layer in layers]
        self.carry_size = sum(self.carry_sizes)

    def forward(self, filtered: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        """As `EkgNet.forward`, for signal that is filtered already and the CNN's own carry."""
        logits, carry = self.logits(filtered, carry)
        return logits.softmax(dim=2), carry

    def logits(self, filtered: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        x = filtered.unsqueeze(1).unsqueeze(1)
        carried = []
        for layer, past in zip(self.layers, carry.split(self.carry_sizes, dim=1), strict=True):
            x, past = layer(x, past)
            carried.append(past)
        return self.head(x).squeeze(2).transpose(1, 2), torch.cat(carried, dim=1)


class CausalConv(nn.Module):
    """Convolution, batch norm and ReLU over the past only; `carry` is the end of its input."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int = 1, dilation: int = 1
    ):
        super().__init__()
        self.inputs = inputs
        self.history = (kernel - 1) * dilation + 1 - stride
        self.carry_size = inputs * self.history
        self.conv = nn.Conv2d(
            inputs, outputs, (1, kernel), (1, stride), dilation=(1, dilation), bias=False
        )
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        extended = torch.cat([carry.reshape(-1, self.inputs, 1, self.history), x], dim=3)
        return (
            torch.relu(self.norm(self.conv(extended))),
            extended[:, :, :, -self.history :].flatten(1),
        )

    def fold(self) -> None:
        """Fold the batch norm into the convolution, for inference."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Residual(nn.Module):
    """Squeeze to few channels, look back over them, widen again, add."""

    def __init__(self, width: int, channels: int, dilation: int, dropout: float):
        super().__init__()
        self.squeeze = nn.Conv2d(width, channels, 1, bias=False)
        self.squeeze_norm: nn.Module = nn.BatchNorm2d(channels)
        self.look_back = CausalConv(channels, channels, kernel=3, dilation=dilation)
        self.widen = nn.Conv2d(channels, width, 1, bias=False)
        self.widen_norm: nn.Module = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout2d(dropout)
        self.carry_size = self.look_back.carry_size

    def forward(self, x: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        narrow = torch.relu(self.squeeze_norm(self.squeeze(x)))
        narrow, carry = self.look_back(narrow, carry)
        return torch.relu(x + self.dropout(self.widen_norm(self.widen(narrow)))), carry

    def fold(self) -> None:
        """Fold the batch norms into their convolutions, for inference."""
        for conv, norm in (("squeeze", "squeeze_norm"), ("widen", "widen_norm")):
            if isinstance(getattr(self, norm), nn.BatchNorm2d):
                setattr(self, conv, fuse_conv_bn_eval(getattr(self, conv), getattr(self, norm)))
                setattr(self, norm, nn.Identity())


def deployed(net: EkgNet) -> EkgNet:
    """The network as it is exported: in evaluation mode, its batch norms folded, in place."""
    net.eval()
    for module in net.modules():
        if isinstance(module, CausalConv | Residual):
            module.fold()
    return net


def parameter_count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@torch.inference_mode()
def label_frames(
    net: EkgNet, ecg: NDArray[np.float32], *, chunk_s: float = 60.0
) -> NDArray[np.float32]:
    """Run whole recordings through the network in pieces.

    Parameters
    ----------
    ecg : float32 [batch, samples], mV at 360 Hz
    chunk_s : length of a piece, s; bounds the memory, does not change the answer

    Returns
    -------
    float32 [batch, frames, 6]; the signal's last part, shorter than a hop, is left out
    """
    device = next(net.parameters()).device
    net.eval()
    signal = torch.from_numpy(ecg - ecg[:, :1])
    carry = net.start(len(ecg), device)
    pieces = []
    whole = signal.shape[1] // HOP * HOP
    for piece in signal[:, :whole].split(int(chunk_s * FS) // HOP * HOP, dim=1):
        probabilities, carry = net(piece.to(device), carry)
        pieces.append(probabilities.cpu())
    return torch.cat(pieces, dim=1).numpy()


def _tuples(value: object) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
