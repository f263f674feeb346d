"""Random small integer networks through compiler, golden model, machine model and circuit."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from bnnhw.sim.fuzz.case import LEVELS, Outcome, check
from bnnhw.sim.fuzz.network import features, random_images, random_network
from bnnhw.sim.fuzz.verify import faults

PROGRESS = 20
"""Networks from one line of progress to the next."""


def outcomes(
    count: int, seed: int, *, first: int = 0, level: str = "rtl", jobs: int | None = None
) -> Iterator[Outcome]:
    """The outcomes of cases first .. first + count - 1, in order, from ``jobs`` processes (default: all processors)."""
    jobs = jobs or os.cpu_count() or 1
    cases = range(first, first + count)
    if jobs == 1:
        yield from (check(seed, index, level) for index in cases)
        return
    with ProcessPoolExecutor(min(jobs, count), get_context("spawn")) as pool:
        yield from pool.map(partial(check, seed, level=level), cases)


def main(
    count: int,
    seed: int,
    *,
    first: int = 0,
    level: str = "rtl",
    jobs: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Outcome]:
    """Run ``count`` cases; returns the failures. ``report`` gets a line for every failure, lines of
    progress and a summary at the end."""
    start, done, failed = time.monotonic(), [], []
    for outcome in outcomes(count, seed, first=first, level=level, jobs=jobs):
        done.append(outcome)
        if outcome.failure is not None:
            failed.append(outcome)
            report(str(outcome))
        if len(done) % PROGRESS == 0 and len(done) < count:
            report(f"{len(done)} of {count}, {len(failed)} mismatches, {time.monotonic() - start:.0f} s")
    report(summary(done, time.monotonic() - start))
    return failed


def summary(done: Iterable[Outcome], seconds: float) -> str:
    """One line on a run: networks, failures, frames with exactly compared cycles, coverage."""
    done = list(done)
    seen = Counter(name for outcome in done for name in outcome.features)
    failures, exact = sum(o.failure is not None for o in done), sum(o.exact for o in done)
    refused = sum(o.refused for o in done)
    return (
        f"{len(done)} networks, {failures} mismatches, {exact} frames back to back with the predicted cycles, "
        f"{len(seen)} features, {refused} refused by the compiler and replaced, {seconds:.0f} s"
    )


__all__ = ["LEVELS", "Outcome", "check", "faults", "features", "main", "outcomes", "random_images", "random_network"]
