"""One run on several processes, as `torchrun` starts them: each takes its share of every batch.

Gradients are averaged by DistributedDataParallel (Li et al., VLDB 2020), so the batch that
decides a step is that of one process; batch statistics are of each process's own share.
"""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class TeamMismatch(ValueError):
    """A batch cannot be shared evenly."""


@dataclass(frozen=True, slots=True)
class Team:
    """A process and those beside it; a team of one when `torchrun` did not start it."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_leader(self) -> bool:
        """The one that writes files and prints."""
        return self.rank == 0

    def share(self, network: nn.Module) -> nn.Module:
        """The network, wrapped so that its gradients are averaged over the team."""
        return network if self.size == 1 else DistributedDataParallel(network)

    def part_of(self, indices: Tensor) -> Tensor:
        """The share of a batch that is for this process."""
        return indices[self.rank :: self.size]

    def check_batch(self, images: int) -> None:
        """Refuse a batch that would give one process more than another."""
        if images % self.size:
            raise TeamMismatch(f"a batch of {images} cannot be shared by {self.size} processes")

    def mean(self, value: float) -> float:
        """Over the team."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total) / self.size

    def leaders(self, value: float) -> float:
        """The leader's value, for everybody; waits for the leader."""
        if self.size == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(told, src=0)
        return float(told)


def join_team() -> Team:
    """Join the processes that `torchrun` started; gloo on a CPU, NCCL on GPUs."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) if size > 1 else 0)
    device = device if has_gpu else torch.device("cpu")
    if size > 1 and not dist.is_initialized():
        if has_gpu:
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if has_gpu else "gloo")
    return Team(rank, size, device)


def leave_team() -> None:
    """Part from the team, if there is one; without it the process may hang at its end."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
