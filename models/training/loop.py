"""The training loop: every random choice follows from seed and step, so that a run that goes on equals one that never
stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bnnhw.models.codebook import CodebookConv2d
from bnnhw.models.data import Data
from bnnhw.models.layers import Paced
from bnnhw.models.training.checkpoint import interrupts_wait, read, write
from bnnhw.models.training.recipe import Recipe
from bnnhw.models.training.teacher import Teacher
from bnnhw.models.training.teacher import loss as loss_of

Progress = Callable[[str, int, int], None]

SAVE_EVERY = 60.0
"""Seconds between two saved states."""
TELL_EVERY = 20
"""Steps over which loss and accuracy are averaged."""


@contextmanager
def deterministic(threads: int | None) -> Iterator[None]:
    """Deterministic kernels, and so many threads; the caller's settings come back afterwards."""
    before, state = torch.get_num_threads(), torch.get_rng_state()
    strict = torch.are_deterministic_algorithms_enabled()
    if threads is not None:
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)
        torch.set_rng_state(state)


class Training:
    """A network, its optimiser and how far it is.

    ``step`` counts batches; a step draws from a generator seeded by (seed, step), an epoch's order from one seeded by
    (seed, epoch). ``teacher``: sees the same changed images.
    """

    def __init__(self, recipe: Recipe, training: Data, seed: int, epochs: int, teacher: Teacher | None = None) -> None:
        self.recipe, self.seed, self.epochs, self.teacher = recipe, seed, epochs, teacher
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        mean, std = self.mean, self.std = statistics(recipe, training)
        pixels = torch.from_numpy(training.images).permute(0, 3, 1, 2).contiguous()
        self._pixels, self._labels = pixels.to(self.device), torch.from_numpy(training.labels).to(self.device)
        self._mean = torch.tensor(mean, device=self.device)[:, None, None]
        self._std = torch.tensor(std, device=self.device)[:, None, None]
        torch.manual_seed(seed)
        self.network = recipe.network().to(self.device, memory_format=torch.channels_last)
        self._forward = torch.compile(self.network) if recipe.compiled else self.network
        self._paced = [m for m in self.network.modules() if isinstance(m, Paced)]
        self._codebooks = [m for m in self.network.modules() if isinstance(m, CodebookConv2d)]
        self.batches = len(training) // recipe.batch
        self.steps, self.step = epochs * self.batches, 0
        self._order: Tensor | None = None
        self._optimiser = optimiser(recipe, self.network)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, recipe.rate, total_steps=self.steps, pct_start=recipe.warm_up
        )
        digest = hashlib.sha256(training.images.tobytes() + training.labels.tobytes()).hexdigest()[:16]
        self.run = {"recipe": recipe.name, "seed": seed, "epochs": epochs, "data": f"{len(training)} images {digest}"}
        if teacher is not None:
            self.run["teacher"] = teacher.identity()

    def load(self, path: Path) -> bool:
        """Go on from the state at ``path``, if there is one."""
        state = read(path, self.run)
        if state is None:
            return False
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self.step = state["step"]
        return True

    def save(self, path: Path) -> None:
        """Everything that the rest of the training depends on."""
        state: dict[str, Any] = {
            "run": self.run,
            "step": self.step,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        write(path, state)

    def finish(self, path: Path | None, progress: Progress | None) -> None:
        """Train to the end; the state is saved to ``path`` every minute and at an interrupt (KeyboardInterrupt)."""
        self.network.train()
        saved, losses, right = time.monotonic(), 0.0, 0.0
        with interrupts_wait() as asked:
            try:
                while self.step < self.steps:
                    loss, correct = self._one_step()
                    last = self.step % self.batches == 0
                    if self.step % TELL_EVERY == 0 or last:
                        losses, right = loss.item(), correct.item()
                    if progress and (last or self.step % TELL_EVERY == 0):
                        epoch = (self.step - 1) // self.batches + 1
                        text = f"epoch {epoch}/{self.epochs}, loss {losses:.3f}, accuracy {right:.1%}"
                        progress(text, self.step, self.steps)
                    if asked.is_set():
                        raise KeyboardInterrupt
                    if path is not None and time.monotonic() - saved > SAVE_EVERY:
                        self.save(path)
                        saved = time.monotonic()
            except KeyboardInterrupt:
                if path is not None:
                    self.save(path)
                raise

    def _one_step(self) -> tuple[Tensor, Tensor]:
        """One batch; its loss and the part of it that was decided rightly."""
        epoch, batch = divmod(self.step, self.batches)
        if self._order is None or batch == 0:
            drawn = torch.Generator().manual_seed(_mixed(self.seed, ~epoch))
            self._order = torch.randperm(len(self._labels), generator=drawn).to(self.device)
        chosen = self._order[batch * self.recipe.batch :][: self.recipe.batch]
        torch.manual_seed(_mixed(self.seed, self.step))
        for layer in self._paced:
            layer.pace(self.step, self.steps)
        images = (self._pixels[chosen].float() / 255 - self._mean) / self._std
        images, labels = self.recipe.augment(images), self._labels[chosen]
        taught = None
        if self.teacher is not None:
            taught = self.teacher.probabilities(images, self._mean, self._std)
        scores = self._forward(images)
        loss = loss_of(scores, labels, taught, self.recipe)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        self._schedule.step()
        for codebook in self._codebooks:
            codebook.refine()
        self.step += 1
        return loss.detach(), (scores.detach().argmax(dim=1) == labels).float().mean()


def statistics(recipe: Recipe, training: Data) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, fractions of 255: the recipe's, or those of the images."""
    if recipe.mean is not None and recipe.std is not None:
        return recipe.mean, recipe.std
    axes = (0, 1, 2)
    mean = (training.images.mean(axis=axes) / 255).round(4)
    return tuple(map(float, mean)), tuple(map(float, (training.images.std(axis=axes) / 255).round(4)))


def optimiser(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Weight decay acts on the weights of convolutions and dense layers only."""
    kernels = [p for p in network.parameters() if p.dim() > 1 and p.numel() > max(p.shape)]
    known = {id(p) for p in kernels}
    groups = [
        {"params": kernels, "weight_decay": recipe.decay},
        {"params": [p for p in network.parameters() if id(p) not in known], "weight_decay": 0.0},
    ]
    if recipe.optimiser == "adam":
        return torch.optim.Adam(groups, lr=recipe.rate)
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=0.9)


def _mixed(seed: int, number: int) -> int:
    """A seed of 63 bits from two numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:8], "little") >> 1
