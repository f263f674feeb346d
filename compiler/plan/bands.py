"""Jobs: in which order layers are computed, some of them in turns, band of rows by band of rows.

The codes that a pool publishes for one 1x1 convolution are the largest maps of a residual network's shortcuts. Pool and
convolution take turns, so that only a band of codes is ever stored; bands go from the last rows to the first, so that
what the pool has read is free from the top, where the planner puts the convolution's output.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bnnhw.compiler.plan.uses import Uses, borders
from bnnhw.spec.network import Conv, Layer, Network, Pool, Window

Bands = Mapping[int, int]
"""How many turns pools take with the convolutions behind them, by layer; one where nothing is said."""
NO_BANDS: Bands = MappingProxyType({})
BAND_COUNTS = (1, 2, 4, 8)
"""Numbers of bands that are tried for a pool."""


@dataclass(frozen=True)
class Job:
    """Rows ``first`` .. ``first`` + ``rows`` - 1 of the output of layer ``layer``."""

    layer: int
    first: int
    rows: int

    def source_rows(self, window: Window, height: int, whole: bool) -> range:
        """The rows that it reads of a map of so many; all of them where the job is a ``whole`` layer."""
        if whole:
            return range(height)
        last = (self.first + self.rows - 1) * window.stride - window.pad + window.kernel
        return range(max(self.first * window.stride - window.pad, 0), min(last, height))


class JobOrder:
    """All jobs of a frame, in order; a job's number is its time."""

    def __init__(self, network: Network, bands: Bands = NO_BANDS, skipped: Collection[int] = ()) -> None:
        """``skipped``: layers that have no jobs, whose outputs are there before the first one."""
        self.network = network
        self.banded = frozenset(index for pool, count in bands.items() if count > 1 for index in (pool, pool + 1))
        jobs: list[Job] = []
        for index, layer in enumerate(network.layers):
            if index in skipped or (index in self.banded and isinstance(layer, Conv)):
                continue
            height = network.out_tensor(layer).height
            if index not in self.banded:
                jobs.append(Job(index, 0, height))
                continue
            size = -(-height // bands[index])
            for first in reversed(range(0, height, size)):
                rows = min(size, height - first)
                jobs += [Job(index, first, rows), Job(index + 1, first, rows)]
        self.jobs = tuple(jobs)
        self._of: dict[int, list[tuple[int, Job]]] = {}
        for time, job in enumerate(jobs):
            self._of.setdefault(job.layer, []).append((time, job))

    def of(self, layer: int) -> list[tuple[int, Job]]:
        """The jobs of a layer, with their times."""
        return self._of.get(layer, [])

    def kept_rows(self, layer: int) -> int:
        """Rows of a layer's output that are kept at a time: those of a band, where the reader follows band by band."""
        if layer in self.banded and isinstance(self.network.layers[layer], Pool):
            return max(job.rows for _, job in self.of(layer))
        return self.network.out_tensor(self.network.layers[layer]).height

    def births(self, layer: int) -> list[int]:
        """When each row of a layer's output begins to be written."""
        times = [0] * self.network.out_tensor(self.network.layers[layer]).height
        for time, job in self.of(layer):
            times[job.first : job.first + job.rows] = [time] * job.rows
        return times

    def deaths(self, producer: int, readers: Collection[int], name: str) -> list[int]:
        """When each row of tensor ``name`` is last read."""
        times = self.births(producer)
        for reader in readers:
            layer = self.network.layers[reader]
            for time, job in self.of(reader):
                for window in _windows(layer, name):
                    for y in job.source_rows(window, len(times), reader not in self.banded):
                        times[y] = max(times[y], time)
        return times


def _windows(layer: Layer, name: str) -> list[Window]:
    """How a layer goes over the rows of a tensor: as its source, as its residual, or both."""
    windows = [layer.window] if layer.source == name else []
    return windows + [Window(1, residual.stride, 0) for residual in layer.post.residuals if residual.tensor == name]


def bandable(network: Network, uses: Uses) -> list[int]:
    """Pools with whole windows that publish nothing but codes, for the 1x1 convolution behind them alone."""
    return [
        index
        for index, (pool, conv) in enumerate(zip(network.layers, network.layers[1:], strict=False))
        if isinstance(pool, Pool)
        and uses.bits(pool.post.publish.codes) == [index + 1]
        and not uses.values(pool.post.publish.value)
        and network.out_tensor(pool).height > 1
        and borders(network, pool)[0].count == 1
        and conv.window == Window(1)
    ]


def fewest_bands(
    network: Network, pools: Sequence[int], skipped: Collection[int], need: Callable[[JobOrder], float]
) -> JobOrder:
    """The order that needs least, with as few bands as do it: each costs the convolution's weights once more."""
    bands = dict.fromkeys(pools, BAND_COUNTS[-1])
    best = JobOrder(network, bands, skipped)
    least = need(best) if pools else 0.0
    for pool in pools:
        for count in BAND_COUNTS[:-1]:
            order = JobOrder(network, bands | {pool: count}, skipped)
            if need(order) <= least:
                bands[pool], best = count, order
                break
    return best


__all__ = ["Bands", "Job", "JobOrder", "bandable", "fewest_bands"]
