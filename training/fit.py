"""Act 1: train a network, one epoch at a time, resumable after any interruption.

Random numbers of an epoch depend on the seed and the epoch alone, and the checkpoint is replaced
whole after each epoch, so a run that was killed repeats at most one epoch and ends with the same
weights as one that was not.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from service.core.files import write_whole
from service.core.findings import FINDINGS
from service.core.network import TriageNetwork, build_network
from training.augment import augment_batch
from training.checkpoint import (
    CHECKPOINT,
    WEIGHTS,
    RunDamaged,
    load_checkpoint,
    save_checkpoint,
    save_weights,
)
from training.config import RunConfig, Sampling
from training.data.dataset import Dataset
from training.data.sampling import sampling_weights, source_priors
from training.distributed import Team, join_team
from training.measures.results import CONFIG, LOG
from training.pretrained import build_pretrained
from training.validation import autocast, validation_loss

RANK_STEP = 1_000_000_007
"""Between the seeds of two processes: each augments its share in its own way."""

DEVICE_SHARE = 0.5
"""A training set that needs less than this of the free GPU memory is kept there."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the log."""

    epoch: int
    train_loss: float
    val_loss: float
    learning_rate: float


class RunMismatch(ValueError):
    """The folder holds a run of another configuration."""


class RunDiverged(ValueError):
    """The validation loss is not a number: no weights of this epoch are kept."""


class Trainer:
    """Network, averaged weights and optimiser of one run, and where it stands."""

    def __init__(
        self, *, config: RunConfig, train: Dataset, val: Dataset, folder: Path, team: Team
    ) -> None:
        self.config, self.train, self.val, self.folder = config, train, val, folder
        self.team, self.device = team, team.device
        torch.manual_seed(config.seed)
        options = config.optimiser
        team.check_batch(options.batch_images)
        saved = load_checkpoint(folder)
        self.network = self._build(imagenet=config.imagenet and saved is None)
        set_training(self.network, options.frozen_stages)
        self.average = self._build(imagenet=False).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            _weight_groups(self.network, options.weight_decay), lr=options.learning_rate
        )
        self.log: list[Epoch] = []
        self.best_val_loss = math.inf
        self.averaged_steps = 0
        drawn = options.samples_per_epoch or len(train.studies)
        self.steps_per_epoch = max(1, drawn // options.batch_images)
        self.pixels, self.targets = _place(train, self.device)
        prior_nf = source_priors(train.studies, config)
        self.prior_logits = torch.from_numpy(np.log(prior_nf)).float().to(self.targets.device)
        if saved is not None:
            self._restore(saved)
        self.shared = team.share(self.network)

    def _build(self, *, imagenet: bool) -> TriageNetwork:
        build = build_pretrained if imagenet else build_network
        network = build(
            self.config.architecture,
            findings=len(FINDINGS),
            dropout=self.config.optimiser.dropout,
        )
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch leaves memory_format out
        return network

    def run(
        self, on_epoch: Callable[[Epoch], None], on_step: Callable[[int, int], None]
    ) -> tuple[Epoch, ...]:
        """Train the epochs that are left; `on_step` gets the steps done and the steps in all."""
        total = self.config.optimiser.epochs * self.steps_per_epoch
        while len(self.log) < self.config.optimiser.epochs:
            on_epoch(self._run_epoch(lambda step: on_step(step, total)))
        return tuple(self.log)

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint of this very configuration."""
        if state["config"] != self.config.digest():
            raise RunMismatch(f"{self.folder} holds a run of another configuration")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.log = [Epoch(**line) for line in state["log"]]
        self.best_val_loss = min((line.val_loss for line in self.log), default=math.inf)
        self.averaged_steps = len(self.log) * self.steps_per_epoch

    def _run_epoch(self, on_step: Callable[[int], None]) -> Epoch:
        number = len(self.log)
        order = self._draw(torch.Generator().manual_seed(self._epoch_seed(number)))
        own_seed = self._epoch_seed(number) + RANK_STEP * self.team.rank + 1
        generator = torch.Generator().manual_seed(own_seed)
        torch.manual_seed(own_seed)
        losses = []
        for step, indices in enumerate(order):
            self._set_learning_rate(number * self.steps_per_epoch + step)
            losses.append(self._step(self.team.part_of(indices), generator))
            on_step(number * self.steps_per_epoch + step + 1)
        rate = self.optimiser.param_groups[0]["lr"]
        val_loss = self.team.leaders(self.validate() if self.team.is_leader else 0.0)
        if not math.isfinite(val_loss):
            raise RunDiverged(
                f"epoch {number}: validation loss {val_loss}; lower the learning rate"
            )
        epoch = Epoch(number, self.team.mean(float(np.mean(losses))), val_loss, rate)
        self.log.append(epoch)
        if self.team.is_leader:
            self._save(epoch)
        return epoch

    def _epoch_seed(self, number: int) -> int:
        return self.config.seed * 100_003 + number

    def _draw(self, generator: torch.Generator) -> Tensor:
        """(steps, batch) indices into the training set."""
        options, count = self.config.optimiser, len(self.train.studies)
        needed = self.steps_per_epoch * options.batch_images
        if self.config.data.sampling is Sampling.BALANCED:
            weights = torch.from_numpy(sampling_weights(self.train.studies))
            drawn = torch.multinomial(weights, needed, replacement=True, generator=generator)
        else:
            rounds = math.ceil(needed / count)
            shuffles = [torch.randperm(count, generator=generator) for _ in range(rounds)]
            drawn = torch.cat(shuffles)[:needed]
        return drawn.view(self.steps_per_epoch, options.batch_images)

    def _step(self, indices: Tensor, generator: torch.Generator) -> float:
        options, spec = self.config.optimiser, self.config.preprocess
        chosen = indices.to(self.pixels.device)
        pixels = self.pixels[chosen].to(self.device)
        targets = self.targets[chosen].to(self.device)
        pixels = augment_batch(pixels, self.config.augment, generator)
        pixels = (pixels - spec.mean) / spec.standard_deviation
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with autocast(self.config, self.device):
            logits, *_ = self.shared(pixels)
        told = logits.float() + self.prior_logits[chosen].to(self.device)
        loss = F.cross_entropy(told, targets, label_smoothing=options.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), options.gradient_norm)
        self.optimiser.step()
        self._update_average()
        return float(loss.detach())

    def _set_learning_rate(self, step: int) -> None:
        options = self.config.optimiser
        warmup = options.warmup_epochs * self.steps_per_epoch
        total = options.epochs * self.steps_per_epoch
        if step < warmup:
            factor = (step + 1) / warmup
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
        for group in self.optimiser.param_groups:
            group["lr"] = options.learning_rate * factor

    def _update_average(self) -> None:
        """Exponential moving average of weights and of batch statistics, short at first."""
        self.averaged_steps += 1
        early = self.averaged_steps / (self.averaged_steps + 10)
        decay = min(self.config.optimiser.ema_decay, early)
        with torch.no_grad():
            live = self.network.state_dict()
            for name, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(live[name], 1 - decay)
                else:
                    value.copy_(live[name])

    def validate(self) -> float:
        """`validation_loss` of the averaged weights."""
        return validation_loss(self.average, self.val, self.config, self.device)

    def _save(self, epoch: Epoch) -> None:
        if epoch.val_loss < self.best_val_loss:
            self.best_val_loss = epoch.val_loss
            save_weights(self.folder, self.average.state_dict())
        lines = [_as_line(line) for line in self.log]
        state = {
            "config": self.config.digest(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "log": lines,
        }
        save_checkpoint(self.folder, state)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_whole(self.folder / LOG, text.encode())


def fit(
    config: RunConfig,
    *,
    train: Dataset,
    val: Dataset,
    folder: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Epoch, ...]:
    """Train or resume the run in `folder`; its best weights are then `weights.safetensors`.

    Under `torchrun` every process of the team calls this with the same arguments.

    Raises
    ------
    RunDamaged
        Epochs were trained, and their weights are gone.
    RunMismatch
        The folder belongs to a run of another configuration.
    TeamMismatch
        The batch cannot be shared evenly by the processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    team = join_team()
    trainer = Trainer(config=config, train=train, val=val, folder=folder, team=team)
    if trainer.log and not (folder / WEIGHTS).is_file():
        raise RunDamaged(f"{folder / WEIGHTS} is gone: remove {CHECKPOINT}, and it begins anew")
    if team.is_leader:
        write_whole(folder / CONFIG, config.model_dump_json(indent=2).encode())
    return trainer.run(on_epoch, on_step)


def set_training(network: TriageNetwork, frozen_stages: int) -> None:
    """Training mode, but for the first stages: they keep their weights and their statistics."""
    network.train()
    for stage in list(network.backbone.children())[:frozen_stages]:
        stage.eval().requires_grad_(False)


def _place(dataset: Dataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """The training set as tensors, on the GPU when it fits there with room to work."""
    pixels, targets = torch.from_numpy(dataset.pixels), torch.from_numpy(dataset.targets)
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
        if dataset.pixels.nbytes < DEVICE_SHARE * free_bytes:
            return pixels.to(device), targets.to(device)
    return pixels, targets


def _as_line(epoch: Epoch) -> dict[str, float | int]:
    return {
        "epoch": epoch.epoch,
        "train_loss": epoch.train_loss,
        "val_loss": epoch.val_loss,
        "learning_rate": epoch.learning_rate,
    }


def _weight_groups(network: TriageNetwork, decay: float) -> list[dict[str, object]]:
    """Weight decay for convolutions only, not for normalisation and biases."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
