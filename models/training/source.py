"""Training images: all in memory, or a folder of photographs that are read, cropped and resized as they are needed."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bnnhw.errors import BnnhwError
from bnnhw.models.data import Data, Images, Labels, class_files, fitted, picture, reading

AREA = (0.08, 1.0)
"""Part of a photograph that a random crop takes, the usual one of ImageNet ..."""
ASPECT = (3 / 4, 4 / 3)
"""... and its width over its height."""
CROP_TRIES = 10


class Source(Protocol):
    """Labelled training images of one shape. ``labels`` (N,); ``name``: for reports."""

    name: str
    labels: Labels

    def __len__(self) -> int: ...

    def digest(self) -> str:
        """What other images have different."""

    def expect(self, step: int, chosen: Sequence[int]) -> None:
        """Tell beforehand which images a step will take."""

    def take(self, step: int, chosen: Sequence[int], device: torch.device) -> Tensor:
        """Images of a step, uint8 (n, C, H, W)."""

    def sample(self, count: int) -> Images:
        """Up to ``count`` images (n, H, W, C), spread over all, as the trained network will see them."""


class Stored:
    """Images in memory; they go to the device once."""

    def __init__(self, data: Data) -> None:
        self.data, self.name, self.labels = data, data.name, data.labels
        self._pixels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.data)

    def digest(self) -> str:
        return hashlib.sha256(self.data.images.tobytes() + self.labels.tobytes()).hexdigest()[:16]

    def expect(self, step: int, chosen: Sequence[int]) -> None:
        pass

    def take(self, step: int, chosen: Sequence[int], device: torch.device) -> Tensor:
        if self._pixels is None:
            self._pixels = torch.from_numpy(self.data.images).permute(0, 3, 1, 2).contiguous().to(device)
        return self._pixels[torch.as_tensor(chosen, device=device)]

    def sample(self, count: int) -> Images:
        return self.data.images[:: max(1, len(self) // count)][:count]


class Photographs:
    """A folder <class>/<image> of pictures of any size for a network of ``shape`` (H, W, C).

    A step sees a random crop of each, which depends on ``seed``, step and image only; threads read the pictures of the
    next step while the network works on one.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int], seed: int) -> None:
        found = class_files(folder)
        if not found:
            raise BnnhwError(f"data must be a folder <class>/<image>, not {folder}: it holds no pictures in folders")
        self.name = folder.name
        self.folder, self.shape, self.seed = folder, shape, seed
        self.files = [path for path, _ in found]
        self.labels = np.array([label for _, label in found], np.int64)
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self._waiting: dict[int, list[Future[Images]]] = {}

    def __len__(self) -> int:
        return len(self.files)

    def digest(self) -> str:
        lines = (f"{path.relative_to(self.folder)} {path.stat().st_size}" for path in self.files)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def expect(self, step: int, chosen: Sequence[int]) -> None:
        if step not in self._waiting:
            self._waiting[step] = [self._pool.submit(self._cropped, index, step) for index in chosen]

    def take(self, step: int, chosen: Sequence[int], device: torch.device) -> Tensor:
        self.expect(step, chosen)
        images = np.stack([future.result() for future in self._waiting.pop(step)])
        return torch.from_numpy(images).permute(0, 3, 1, 2).to(device)

    def sample(self, count: int) -> Images:
        every = max(1, len(self) // count)
        return np.stack([fitted(picture(path, self._mode), self.shape) for path in self.files[::every][:count]])

    @property
    def _mode(self) -> str:
        return "L" if self.shape[2] == 1 else "RGB"

    def _cropped(self, index: int, step: int) -> Images:
        rng = np.random.Generator(np.random.PCG64([self.seed, step, index]))
        height, width, channels = self.shape
        path = self.files[index]
        with reading(path) as image:
            box = crop(image.size, rng)
            from PIL import Image

            part = image.convert(self._mode).resize((width, height), Image.Resampling.BILINEAR, box=box)
        return np.asarray(part, np.uint8).reshape(height, width, channels)


def crop(size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a random part of a picture of ``size`` (width, height): of an area in AREA and an
    aspect in ASPECT, or where none fits in some tries the largest middle part of such an aspect."""
    whole_width, whole_height = size
    for _ in range(CROP_TRIES):
        area = whole_width * whole_height * rng.uniform(*AREA)
        aspect = math.exp(rng.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= whole_width and 0 < height <= whole_height:
            left, top = int(rng.integers(whole_width - width + 1)), int(rng.integers(whole_height - height + 1))
            return left, top, left + width, top + height
    aspect = min(max(whole_width / whole_height, ASPECT[0]), ASPECT[1])
    width = min(whole_width, max(1, round(whole_height * aspect)))
    height = min(whole_height, max(1, round(whole_width / aspect)))
    left, top = (whole_width - width) // 2, (whole_height - height) // 2
    return left, top, left + width, top + height


def shuffled(count: int, seed: int) -> NDArray[np.int64]:
    """All numbers below ``count`` in a random order."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.randperm(count, generator=drawn).numpy()
