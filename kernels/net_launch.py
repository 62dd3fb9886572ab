"""The launch plan: the network's work shared out over a GPU in tiles, blocks and launches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .common import GRID_LIMIT
from .network import Network

LANES = 32


@dataclass(frozen=True)
class Launch:
    """One launch: so many frames of every stream, `rows` streams in a block."""

    tile: Tile
    blocks: int
    rows: int
    frames: int
    high_at: int
    shared_bytes: int

    @classmethod
    def choose(
        cls, network: Network, tiles: Iterable[Tile], gpu: Gpu, batch: int, frames: int
    ) -> Plan:
        """The launches that do all frames of all streams, in the tiles that are done first."""

        def time(plan: Plan) -> float:
            return sum(
                times
                * (
                    launch.tile.alone_us
                    + launch.tile.more_us * -(-launch.blocks // gpu.multiprocessors)
                )
                for launch, times in plan
            )

        return min((cls.plan(network, tile, gpu, batch, frames) for tile in tiles), key=time)

    @classmethod
    def plan(cls, network: Network, tile: Tile, gpu: Gpu, batch: int, frames: int) -> Plan:
        """The same in one kind of tile, which a block must have enough shared memory for.

        Raises
        ------
        ValueError
            The batch needs more blocks than a GPU takes.
        """

        def fitting(rows: int, each: int) -> bool:
            needs = cls.of(network, tile, batch, each, rows).shared_bytes
            return (
                rows * each <= tile.columns
                and needs <= gpu.shared_bytes
                and network.can_index(rows)
            )

        if not batch or not frames:
            return []
        each = next(n for n in range(min(frames, tile.columns), 0, -1) if fitting(1, n))
        # No multiprocessor has more streams than its share, while others have none.
        max_rows = min(max(1, tile.columns // each), -(-batch // gpu.multiprocessors))
        rows = next(n for n in range(max_rows, 0, -1) if fitting(n, each))
        whole = cls.of(network, tile, batch, each, rows)
        if whole.blocks > GRID_LIMIT:
            raise ValueError(f"{batch} streams are more than one launch takes: split the batch.")
        count, rest = divmod(frames, each)
        plan = [(whole, count)]
        if rest:
            plan.append((cls.of(network, tile, batch, rest, rows), 1))
        return plan

    @classmethod
    def of(cls, network: Network, tile: Tile, batch: int, frames: int, rows: int) -> Launch:
        """The launch, with the place of its buffers."""
        # Inputs of the front's layers lie in two buffers in turn, so that its output lies in low.
        lengths = network.front_lengths
        lines = [
            rows * layer.channels * (layer.history + length * frames)
            for layer, length in zip(network.front, lengths, strict=True)
        ]
        high_at = max([network.width * tile.columns, *lines[-2::-2]])
        behind = max(network.classes, *(3 * middle.out for _, middle, _ in network.blocks))
        floats = max(high_at + max(lines[::-2]), (network.width + behind) * tile.columns)
        floats += 2 * network.largest_piece
        return cls(tile, -(-batch // rows), rows, frames, high_at, 4 * floats)


Plan = list[tuple[Launch, int]]  # launches, one after another, and how often each


@dataclass(frozen=True)
class Tile:
    """A division of a block's columns; see the top of net.cu.

    Attributes
    ----------
    columns_each
        Columns of a thread.
    warps
        Number of them, which share the output channels.
    alone_us, more_us
        Time of a launch with nothing to do, and what each block adds that a multiprocessor gets,
        as measured on an H100.
    """

    columns_each: int
    warps: int
    alone_us: float
    more_us: float

    @property
    def columns(self) -> int:
        """Columns of a block at most: frames times streams."""
        return LANES * self.columns_each

    def needs(self, network: Network) -> int:
        """Shared memory of a block with one stream and one frame, bytes."""
        return Launch.of(network, self, 1, 1, 1).shared_bytes


# One stream and many. Larger tiles leave a multiprocessor too few warps to hide what they wait for.
TILES = (Tile(1, 8, alone_us=30, more_us=41), Tile(2, 4, alone_us=44, more_us=53))


@dataclass(frozen=True)
class Gpu:
    """Properties of a GPU that a plan needs: multiprocessors, largest shared memory of a block."""

    multiprocessors: int
    shared_bytes: int
