"""Runs that differ in their seed alone -> one network whose weights are their mean.

Fine-tuned from one pretrained network, they lie in one basin of the loss; the mean is as fast as
one of them and holds better where the data shifts (Wortsman et al., ICML 2022).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from torch import Tensor

from service.core.files import write_whole
from service.core.findings import FINDINGS
from service.core.network import build_network
from training.checkpoint import load_weights, read_weights, save_weights
from training.config import RunConfig
from training.data.dataset import Dataset
from training.distributed import Team, join_team
from training.fit import Epoch, fit
from training.measures.results import CONFIG, MEMBERS, dump_record
from training.validation import validation_loss


@dataclass(frozen=True, slots=True)
class Members:
    """Validation loss of each run alone, by its seed, and of the mean of all."""

    runs: dict[int, float]
    mean: float


class NoSuchMember(ValueError):
    """A run has no member of the seed that is asked for."""


def fit_members(
    config: RunConfig,
    *,
    train: Dataset,
    val: Dataset,
    folder: Path,
    only: int | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Members | None:
    """Train or resume every member in `<folder>/seed-<n>/`, then write their mean to `folder`.

    A configuration of one member is that run itself, in `folder`; there is no mean then.

    Parameters
    ----------
    only
        Seed of the one member to train; the others, and the mean, are left to other calls.

    Raises
    ------
    NoSuchMember
        None has the seed `only`.
    RunMismatch
        A folder belongs to a run of another configuration.
    training.checkpoint.RunDamaged
        A checkpoint or the weights of a member cannot be read.
    """
    check_member(config, only)
    if config.members == 1:
        fit(config, train=train, val=val, folder=folder, on_epoch=on_epoch, on_step=on_step)
        return None
    chosen = [single for single in list_members(config) if only in (None, single.seed)]
    folders = [folder / f"seed-{single.seed}" for single in chosen]
    for single, place in zip(chosen, folders, strict=True):
        fit(single, train=train, val=val, folder=place, on_epoch=on_epoch, on_step=on_step)
    team = join_team()
    if only is not None or not team.is_leader:
        return None
    save_weights(folder, mean_of([read_weights(member) for member in folders]))
    write_whole(folder / CONFIG, config.model_dump_json(indent=2).encode())
    members = _measure(config, [*folders, folder], val, team)
    write_whole(folder / MEMBERS, dump_record(members))
    return members


def check_member(config: RunConfig, only: int | None) -> None:
    """Refuse a seed that no member has, before anything is read.

    Raises
    ------
    NoSuchMember
        Names the seeds that there are.
    """
    seeds = [single.seed for single in list_members(config)]
    if only is not None and only not in seeds:
        there = ", ".join(map(str, seeds))
        raise NoSuchMember(f"no member has the seed {only}; {config.name} has {there}")


def list_members(config: RunConfig) -> tuple[RunConfig, ...]:
    """One configuration a member."""
    return tuple(
        config.model_copy(update={"members": 1, "seed": config.seed + number})
        for number in range(config.members)
    )


def mean_of(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each tensor, in double precision; batch statistics are averaged too."""
    return {
        name: sum((state[name].double() for state in states[1:]), states[0][name].double())
        / len(states)
        for name in states[0]
    }


def member_table(members: Members) -> Table:
    """Each run beside the mean of all."""
    table = Table(title="Validation loss of each run, and of the mean of their weights")
    table.add_column("seed")
    table.add_column("loss", justify="right")
    for seed, loss in members.runs.items():
        table.add_row(str(seed), f"{loss:.4f}")
    table.add_row("mean", f"{members.mean:.4f}")
    return table


def _measure(config: RunConfig, folders: Sequence[Path], val: Dataset, team: Team) -> Members:
    """Of the released fp16 weights of every folder; the last is the mean."""
    losses = []
    for folder in folders:
        network = build_network(config.architecture, findings=len(FINDINGS))
        load_weights(folder, network)
        losses.append(validation_loss(network.to(team.device).eval(), val, config, team.device))
    *alone, mean = losses
    seeds = [single.seed for single in list_members(config)]
    return Members(dict(zip(seeds, alone, strict=True)), mean)
