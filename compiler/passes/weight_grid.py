"""Real weights as odd integers: w ~ scale[o] * q + shift[o], q odd, |q| <= 2**bits - 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DoubleArray = NDArray[np.float64]
EXACT = 1e-5
"""Largest distance, in grid steps, at which a weight counts as lying on a grid."""

LARGEST = 256
"""Fan-in up to which rounding looks at the output error; the more inputs, the less an error of one matters."""
FACTORS = tuple(1 + step / 100 for step in range(-4, 5))
"""Multiples of the scale that are tried."""
SWEEPS = 8


@dataclass(frozen=True, eq=False)
class Grid:
    """q (O, I, k, k) odd; scale and shift (O,). ``shift`` is 0 unless the weights lie exactly on a shifted grid."""

    q: NDArray[np.int64]
    scale: DoubleArray
    shift: DoubleArray

    @property
    def real(self) -> DoubleArray:
        """The weights that the grid stands for."""
        spread = (slice(None), None, None, None)
        return np.asarray(self.scale[spread] * self.q + self.shift[spread])


def to_grid(weight: DoubleArray, bits: int, moments: DoubleArray | None = None) -> Grid:
    """Exact where all filters lie on evenly spaced grids of 2**bits values, else a symmetric grid.

    ``moments`` (n, n), n = I * k * k, are expected products of the inputs: with them, weights are rounded so that the
    error of the output, not that of the weights, is small; errors of correlated inputs then cancel.
    """
    exact = [_exact(channel.ravel(), bits) for channel in weight]
    if all(found is not None for found in exact):
        scale, shift = (np.array([found[i] for found in exact if found is not None]) for i in (0, 1))
        safe = np.where(scale == 0, 1.0, scale)
        spread = (slice(None), None, None, None)
        return Grid(_odd((weight - shift[spread]) / safe[spread], bits), scale, shift)
    scale = np.array([_scale(channel.ravel(), bits) for channel in weight])
    flat = weight.reshape(len(weight), -1)
    if moments is None or flat.shape[1] > LARGEST:
        q = _odd(flat / np.where(scale == 0, 1.0, scale)[:, None], bits)
    else:
        q, scale = _refine(flat, scale, bits, moments)
    return Grid(q.reshape(weight.shape), scale, np.zeros(len(weight)))


def _refine(
    w: DoubleArray, scale: DoubleArray, bits: int, moments: DoubleArray
) -> tuple[NDArray[np.int64], DoubleArray]:
    """Small expected squared output error, from several scales; the best a filter."""
    best_q, best_scale = np.ones(w.shape, np.int64), scale
    best = np.full(len(w), np.inf)
    damped = moments + np.eye(len(moments)) * (1e-4 * np.trace(moments) / len(moments) + 1e-12)
    feedback = np.linalg.cholesky(np.linalg.inv(damped)).T
    for factor in FACTORS:
        trial = np.where(scale == 0, 1.0, scale) * factor
        q = _descend(w, trial, _successive(w, trial, bits, feedback), bits, moments)
        error = q * trial[:, None] - w
        cost = np.einsum("oi,oi->o", error @ moments, error)
        better = (cost < best) & (scale != 0)
        best, best_scale = np.where(better, cost, best), np.where(better, trial, best_scale)
        best_q = np.where(better[:, None], q, best_q)
    return best_q, best_scale


def _successive(w: DoubleArray, scale: DoubleArray, bits: int, feedback: DoubleArray) -> NDArray[np.int64]:
    """Rounds weight after weight; those still to come make up for the error, as their inputs' correlation allows.

    ``feedback`` is the upper Cholesky factor of the inverse of the moments.
    """
    rest, q = w.copy(), np.ones(w.shape, np.int64)
    for i in range(w.shape[1]):
        q[:, i] = _odd(rest[:, i] / scale, bits)
        error = (rest[:, i] - q[:, i] * scale) / feedback[i, i]
        rest[:, i + 1 :] -= error[:, None] * feedback[i, i + 1 :]
    return q


def _descend(
    w: DoubleArray, scale: DoubleArray, q: NDArray[np.int64], bits: int, moments: DoubleArray
) -> NDArray[np.int64]:
    """Moves single weights by one grid step while that lowers the cost."""
    top = (1 << bits) - 1
    q = q.copy()
    gradient = (q * scale[:, None] - w) @ moments
    for _sweep in range(SWEEPS):
        moved = False
        for i in range(w.shape[1]):
            step = np.where(gradient[:, i] > 0, -2, 2)
            change = step * scale
            gain = 2 * change * gradient[:, i] + change**2 * moments[i, i]
            take = (gain < 0) & (np.abs(q[:, i] + step) <= top)
            if take.any():
                moved = True
                q[:, i] += np.where(take, step, 0)
                gradient += np.where(take, change, 0.0)[:, None] * moments[i]
        if not moved:
            break
    return q


def _odd(x: DoubleArray, bits: int) -> NDArray[np.int64]:
    """Nearest odd integer within the range."""
    top = (1 << bits) - 1
    nearest = 2 * np.floor(x / 2 + EXACT) + 1
    return np.asarray(np.clip(nearest, -top, top), dtype=np.int64)


def _scale(w: DoubleArray, bits: int) -> float:
    """Scale of least squared error among some fractions of the one that reaches the largest weight."""
    largest = float(np.abs(w).max()) / ((1 << bits) - 1)
    if largest == 0:
        return 0.0
    candidates = [largest] if bits > 4 else [largest * step / 16 for step in range(16 if bits > 1 else 1, 4, -1)]
    if bits == 1:
        return float(np.abs(w).mean())
    errors = [float(((_odd(w / scale, bits) * scale - w) ** 2).sum()) for scale in candidates]
    return candidates[int(np.argmin(errors))]


def _exact(w: DoubleArray, bits: int) -> tuple[float, float] | None:
    """(scale, shift) of an evenly spaced grid that holds all of w, or None: of the coarsest one without a shift, which
    costs an activation sum, or else of the coarsest one, with the shift as near to 0 as can be."""
    values = np.unique(w)
    count = 1 << bits
    if len(values) > count:
        return None
    if len(values) == 1:
        return float(values[0]), 0.0
    span = float(values[-1] - values[0])
    shifted: tuple[float, float] | None = None
    for steps in range(len(values) - 1, count):
        position = (values - values[0]) * (steps / span)
        if float(np.abs(position - np.rint(position)).max()) < EXACT:
            scale = span / steps / 2
            wanted = values[0] / scale
            first = np.clip(2 * np.floor(wanted / 2 + EXACT) + 1, -(count - 1), count - 1 - 2 * steps)
            shift = float(values[0] - scale * first)
            shift = 0.0 if abs(shift) < 2 * EXACT * scale * count else shift
            if shift == 0:
                return scale, shift
            shifted = shifted or (scale, shift)
    return shifted
