"""Trains snn_digits on the training part of scikit-learn's handwritten digits: minutes on one core, reproducible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir import Graph
from bnnhw.compiler.lower import calibrate
from bnnhw.models import data
from bnnhw.models.layers import CodebookConv2d
from bnnhw.models.snn_digits import SnnDigits

Progress = Callable[[str, int, int], None]

PAPER = "Sub-bit Neural Networks, ICCV 2021, arXiv 2110.09195"
EPOCHS = 150
BATCH = 64
RATE = 4e-3
TURN = 0.2
"""Largest rotation of the augmentation in radians."""


def statistics(images: data.Images) -> tuple[float, float]:
    """Mean and standard deviation of the pixels, as fractions of 255."""
    return float(np.round(np.mean(images) / 255, 4)), float(np.round(np.std(images) / 255, 4))


def tensor(images: data.Images, mean: float, std: float) -> Tensor:
    """(N, H, W, C) uint8 -> normalised (N, C, H, W)."""
    return ((torch.from_numpy(images).float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def augment(images: Tensor, background: float) -> Tensor:
    """Turn, scale and shift every image a little at random; ``background`` fills what comes in."""
    count = len(images)
    turn = (torch.rand(count) * 2 - 1) * TURN
    scale = 1 + (torch.rand(count, 2) * 2 - 1) * 0.12
    shift = (torch.rand(count, 2) * 2 - 1) * 0.25
    matrix = torch.stack(
        (
            torch.stack((turn.cos() * scale[:, 0], -turn.sin() * scale[:, 0], shift[:, 0]), dim=1),
            torch.stack((turn.sin() * scale[:, 1], turn.cos() * scale[:, 1], shift[:, 1]), dim=1),
        ),
        dim=1,
    )
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images - background, grid, align_corners=False) + background


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed, one thread, deterministic kernels; the caller's settings come back afterwards."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    strict = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        torch.set_rng_state(state)


def train(seed: int = 1, epochs: int = EPOCHS, progress: Progress | None = None) -> Graph:
    """Train on ``digits:train`` and return the network, calibrated on the same images.

    ``progress(stage, epoch, epochs)`` is called every epoch.
    """
    training = data.load("digits:train")
    mean, std = statistics(training.images)
    with reproducible(seed):
        network = SnnDigits()
        fit(network, tensor(training.images, mean, std), torch.from_numpy(training.labels), epochs, progress)
    graph = import_module(
        network.eval(),
        (8, 8, 1),
        mean=[mean],
        std=[std],
        name="snn_digits",
        classes=[str(digit) for digit in range(10)],
        paper=PAPER,
        weights=f"trained on scikit-learn digits, {len(training)} images, {epochs} epochs, seed {seed}",
    )
    command = f"bnnhw train snn_digits --seed {seed} --epochs {epochs}"
    return calibrate(graph, training.images).with_meta(command=command)


def fit(network: SnnDigits, images: Tensor, labels: Tensor, epochs: int, progress: Progress | None) -> None:
    """The training loop: Adam, one cycle of the learning rate, codebooks refined every 25th step."""
    background = float(images.min())
    codebooks = [m for m in network.modules() if isinstance(m, CodebookConv2d)]
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    step = 0
    network.train()
    for epoch in range(epochs):
        order = torch.randperm(len(images))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            scores = network(augment(images[batch], background))
            loss = F.cross_entropy(scores, labels[batch], label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            for codebook in codebooks:
                codebook.refine(step)
            step += 1
        if progress:
            progress(f"training, loss {loss.item():.3f}", epoch + 1, epochs)
