"""Random changes of a batch of images, all drawn at once on the device of the images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def flip_and_shift(images: Tensor, most: int = 4) -> Tensor:
    """Mirror half of the images and shift each by up to ``most`` pixels; zeros come in (the usual one of CIFAR-10)."""
    count, channels, height, width = images.shape
    padded = F.pad(images, (most,) * 4)
    top, left = torch.randint(0, 2 * most + 1, (2, count, 1), device=images.device)
    mirrored = torch.rand(count, 1, device=images.device) < 0.5
    rows = top + torch.arange(height, device=images.device)
    across = torch.arange(width, device=images.device)
    columns = left + torch.where(mirrored, width - 1 - across, across)
    image = torch.arange(count, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def turn_scale_shift(images: Tensor, turn: float = 0.2, scale: float = 0.12, shift: float = 0.25) -> Tensor:
    """Turn (radians), scale and shift (half an image is 1) every image a little; the darkest value comes in."""
    count = len(images)
    angle = (torch.rand(count, device=images.device) * 2 - 1) * turn
    size = 1 + (torch.rand(count, 2, device=images.device) * 2 - 1) * scale
    move = (torch.rand(count, 2, device=images.device) * 2 - 1) * shift
    matrix = torch.stack(
        (
            torch.stack((angle.cos() * size[:, 0], -angle.sin() * size[:, 0], move[:, 0]), dim=1),
            torch.stack((angle.sin() * size[:, 1], angle.cos() * size[:, 1], move[:, 1]), dim=1),
        ),
        dim=1,
    )
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    background = images.amin()
    return F.grid_sample(images - background, grid, align_corners=False) + background
