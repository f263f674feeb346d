"""The training loop: every random choice follows from seed and step, so that a run that goes on equals one that never
stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torch.utils.deterministic as deterministic_memory
from numpy.typing import NDArray
from torch import Tensor, nn

from bnnhw.errors import BnnhwError
from bnnhw.models.codebook import CodebookConv2d
from bnnhw.models.layers import Kernel, Paced
from bnnhw.models.training.checkpoint import interrupts_wait, read, write
from bnnhw.models.training.group import Group
from bnnhw.models.training.recipe import Recipe
from bnnhw.models.training.source import Source, shuffled
from bnnhw.models.training.start import Start
from bnnhw.models.training.teacher import Teacher
from bnnhw.models.training.teacher import loss as loss_of

Progress = Callable[[str, int, int], None]

SAVE_EVERY = 60.0
"""Seconds between two saved states."""
TELL_EVERY = 20
"""Steps between two reports, each of the loss and accuracy of its own batch; an epoch's last step makes one, too."""


@contextmanager
def deterministic(threads: int | None) -> Iterator[None]:
    """Deterministic kernels, and so many threads; the caller's settings come back afterwards."""
    before, state = torch.get_num_threads(), torch.get_rng_state()
    strict = torch.are_deterministic_algorithms_enabled()
    filled = deterministic_memory.fill_uninitialized_memory
    if threads is not None:
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic_memory.fill_uninitialized_memory = False  # nothing reads memory that it has not written
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)
        deterministic_memory.fill_uninitialized_memory = filled
        torch.set_rng_state(state)


class Training:
    """A network, its optimiser and how far it is.

    ``step`` counts batches; a step draws from a generator seeded by (seed, step), an epoch's order from one seeded by
    (seed, epoch). ``teacher``: sees the same changed images. ``start``: what this one begins with.
    """

    def __init__(
        self,
        recipe: Recipe,
        source: Source,
        seed: int,
        epochs: int,
        teacher: Teacher | None = None,
        group: Group | None = None,
        start: Start | None = None,
    ) -> None:
        self.recipe, self.source, self.seed, self.epochs, self.teacher = recipe, source, seed, epochs, teacher
        self.group = group or Group()
        if recipe.batch % self.group.size:
            raise BnnhwError(f"processes must divide the batch of {recipe.name}, {recipe.batch}, not {self.group.size}")
        self.device = self.group.device
        mean, std = self.mean, self.std = statistics(recipe, source)
        self._labels = torch.from_numpy(source.labels).to(self.device)
        self._mean = torch.tensor(mean, device=self.device)[:, None, None]
        self._std = torch.tensor(std, device=self.device)[:, None, None]
        torch.manual_seed(seed)
        self.network = recipe.network().to(self.device, memory_format=torch.channels_last)
        begun = None if start is None else start.begin(self.network)
        self._paced = [m for m in self.network.modules() if isinstance(m, Paced)]
        self._kernels = [m for m in self.network.modules() if isinstance(m, Kernel)]
        self._codebooks = [m for m in self.network.modules() if isinstance(m, CodebookConv2d)]
        wrapped = self.group.wrapped(self.network, some_unused=bool(self._codebooks))
        self._forward = recipe.compile(wrapped)
        self.batches = len(source) // recipe.batch
        self.steps, self.step = epochs * self.batches, 0
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._optimiser = optimiser(recipe, self.network)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, recipe.rate, total_steps=self.steps, pct_start=recipe.warm_up
        )
        data = f"{len(source)} images {source.digest()}"
        self.run: dict[str, Any] = {
            "recipe": recipe.name,
            "seed": seed,
            "epochs": epochs,
            "data": data,
            "rate": recipe.rate,
        }
        if self.group.size > 1:
            self.run["processes"] = self.group.size
        if teacher is not None:
            self.run["teacher"] = teacher.identity()
        if begun is not None:
            self.run["start"] = begun
        if recipe.settled:
            self.run["fine"] = True

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
        """Everything that the rest of the training depends on; the first process of a group writes it."""
        if self.group.rank:
            return
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
        saved = time.monotonic()
        with interrupts_wait() as asked:
            try:
                while self.step < self.steps:
                    loss, correct = self._one_step()
                    if progress and (self.step % TELL_EVERY == 0 or self.step % self.batches == 0):
                        epoch = (self.step - 1) // self.batches + 1
                        text = f"epoch {epoch}/{self.epochs}, loss {loss.item():.3f}, accuracy {correct.item():.1%}"
                        progress(text, self.step, self.steps)
                    if self.group.any(asked.is_set()):
                        raise KeyboardInterrupt
                    if path is not None and time.monotonic() - saved > SAVE_EVERY:
                        self.save(path)
                        saved = time.monotonic()
            except KeyboardInterrupt:
                if path is not None:
                    self.save(path)
                raise
        self.group.share(self.network)

    def _chosen(self, step: int) -> NDArray[np.int64]:
        """Numbers of the images that this process takes in a step."""
        epoch, batch = divmod(step, self.batches)
        if epoch not in self._orders:
            self._orders = {n: order for n, order in self._orders.items() if n == epoch - 1}
            self._orders[epoch] = shuffled(len(self.source), _mixed(self.seed, ~epoch))
        whole = self._orders[epoch][batch * self.recipe.batch :][: self.recipe.batch]
        return whole[self.group.rank :: self.group.size]

    def _one_step(self) -> tuple[Tensor, Tensor]:
        """One batch; its loss and the part of it that was decided rightly."""
        chosen = self._chosen(self.step)
        self.source.expect(self.step, chosen.tolist())
        if self.step + 1 < self.steps:
            self.source.expect(self.step + 1, self._chosen(self.step + 1).tolist())
        torch.manual_seed(_mixed(self.seed, self.step, self.group.rank))
        for layer in self._paced:
            if self.recipe.settled:
                layer.settle()
            else:
                layer.pace(self.step, self.steps)
        for kernel in self._kernels:
            kernel.real = self.step < self.recipe.real * self.steps
        images = (self.source.take(self.step, chosen.tolist(), self.device).float() / 255 - self._mean) / self._std
        images, labels = self.recipe.augment(images), self._labels[torch.from_numpy(chosen).to(self.device)]
        taught = None
        if self.teacher is not None:
            taught = self.teacher.probabilities(images, self._mean, self._std)
        if (side := self.recipe.side(self.step, self.steps)) != images.shape[2]:
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.half):
            scores = self._forward(images).float()
        loss = loss_of(scores, labels, taught, self.recipe)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        self._schedule.step()
        if self.group.size > 1:
            torch.manual_seed(_mixed(self.seed, self.step))  # all draw the same fresh codewords
        for codebook in self._codebooks:
            codebook.refine()
        self.step += 1
        return loss.detach(), (scores.detach().argmax(dim=1) == labels).float().mean()


def statistics(recipe: Recipe, source: Source) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, fractions of 255: the recipe's, or those of the images."""
    if recipe.mean is not None and recipe.std is not None:
        return recipe.mean, recipe.std
    images = source.sample(len(source))
    axes = (0, 1, 2)
    mean = (images.mean(axis=axes) / 255).round(4)
    return tuple(map(float, mean)), tuple(map(float, (images.std(axis=axes) / 255).round(4)))


def optimiser(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Weight decay acts on the weights of convolutions and dense layers only; with Adam it is apart from the gradient's
    average (AdamW)."""
    books = {id(module.patterns) for module in network.modules() if isinstance(module, CodebookConv2d)}
    learned = [p for p in network.parameters() if id(p) not in books]
    kernels = [p for p in learned if p.dim() > 1 and p.numel() > max(p.shape)]
    known = {id(p) for p in kernels}
    groups = [
        {"params": kernels, "weight_decay": recipe.decay},
        {"params": [p for p in network.parameters() if id(p) not in known], "weight_decay": 0.0},
    ]
    if recipe.optimiser == "adam":
        return torch.optim.AdamW(groups, lr=recipe.rate, fused=True)
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=0.9)


def _mixed(seed: int, number: int, rank: int = 0) -> int:
    """A seed of 63 bits from two numbers, and of another for each process."""
    text = f"{seed} {number} {rank}" if rank else f"{seed} {number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
