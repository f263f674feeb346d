"""Processes that train one network together, as torchrun starts them; one process is a group of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from bnnhw.errors import BnnhwError

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets."""


@dataclass(frozen=True)
class Group:
    """``rank``: of this process among ``size``; ``local``: among those of its machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def device(self) -> torch.device:
        """This process's own GPU, or the CPU."""
        return torch.device("cuda", self.local) if torch.cuda.is_available() else torch.device("cpu")

    def wrapped(self, network: nn.Module, some_unused: bool) -> nn.Module:
        """The network, its gradients averaged over the group. ``some_unused``: not all parameters get one each step."""
        if self.size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=some_unused)

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        if self.size == 1:
            return here
        told = torch.tensor(float(here), device=self.device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told.item())

    def share(self, network: nn.Module) -> None:
        """Give all processes what the first one has: batch norms see each process's own images."""
        if self.size > 1:
            for value in network.state_dict().values():
                dist.broadcast(value, 0)


@contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[Group]:
    """The group that torchrun's environment variables tell of, over NCCL or, on CPUs, Gloo.

    Raises BnnhwError where some of the variables are missing.
    """
    if int(environment.get("WORLD_SIZE", "1")) == 1:
        yield Group()
        return
    missing = [name for name in VARIABLES if name not in environment]
    if missing:
        raise BnnhwError(f"with WORLD_SIZE the variable {missing[0]} must be set, too: start with torchrun")
    rank, local, size = (int(environment[name]) for name in VARIABLES[:3])
    group = Group(rank, size, local)
    if group.device.type == "cuda":
        torch.cuda.set_device(group.device)
    dist.init_process_group("nccl" if group.device.type == "cuda" else "gloo", rank=rank, world_size=size)
    try:
        yield group
    finally:
        dist.destroy_process_group()
