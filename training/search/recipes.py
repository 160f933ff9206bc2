"""Recipe search: each candidate trained without one source at a time, and measured on it.

What a network is worth in another hospital cannot be seen on images of the hospitals that it
learned from, so candidates are compared by the AUC on a source that was left out, on its train and
validation images: no test image takes part. Beside it stands the AUC within the sources that were
kept, on validation images. Every training is repeated with several seeds.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.core.files import write_whole
from service.core.findings import FINDINGS
from service.core.inference import Recipe
from service.core.network import build_network
from service.core.tta import TtaView
from training.checkpoint import CHECKPOINT, load_weights
from training.config import RunConfig
from training.data.dataset import Dataset, subset
from training.data.lots import few_of_each
from training.data.splits import trained_on, validated_on
from training.data.studies import Split, Study, select
from training.fit import fit
from training.measures.discrimination import questions
from training.measures.results import dump_record, load_record
from training.measures.statistics import auc
from training.scoring import score_dataset, torch_forward

FOLD, SEARCH = "fold.json", "search.json"
VIEWS = (TtaView.IDENTITY, TtaView.HFLIP)
"""Two of the served views: the comparison is the same, at half the time."""


OUTSIDE_IMAGES = 400
"""Of each finding of a left-out source: its AUC is then known to about 0.02."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One training without one source."""

    candidate: str
    config_digest: str
    seed: int
    left_out: str
    images_seen: int
    seconds: float
    val_loss: float
    internal: dict[str, float]
    """`source: finding vs normal` -> AUC on validation images of the sources that were kept."""
    external: dict[str, float]
    """The same on train and validation images of the source that was left out, at most
    `OUTSIDE_IMAGES` of a finding."""


@dataclass(frozen=True, slots=True)
class Search:
    """All folds of all candidates."""

    folds: tuple[Fold, ...]


def left_out_sources(studies: Sequence[Study]) -> tuple[str, ...]:
    """Sources that hold normal and abnormal images in the validation split."""
    asked = questions(select(studies, Split.VAL))
    return tuple(sorted({name.rpartition(": ")[0] for name in asked if ":" in name}))


def run_fold(
    config: RunConfig,
    left_out: str,
    pool: Dataset,
    folder: Path,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Fold:
    """Train without a source and measure; a fold that was done is read back.

    Parameters
    ----------
    pool
        Train, train_optional and val images of all sources.
    """
    left = (*config.data.leave_out, left_out)
    data = config.data.model_copy(update={"leave_out": left})
    config = config.model_copy(update={"data": data})
    if (folder / FOLD).is_file():
        done = load_record(folder, FOLD, Fold, "search")
        if done.config_digest == config.digest():
            return done
    train = subset(pool, trained_on(pool.studies, data))
    val = subset(pool, validated_on(pool.studies, data))
    outside = subset(pool, _sample_source(pool.studies, left_out))
    started = time.perf_counter()
    log = fit(config, train=train, val=val, folder=folder, on_step=on_step)
    seconds = time.perf_counter() - started
    fold = Fold(
        candidate=config.name,
        config_digest=config.digest(),
        seed=config.seed,
        left_out=left_out,
        images_seen=config.optimiser.epochs
        * (config.optimiser.samples_per_epoch or len(train.studies)),
        seconds=seconds,
        val_loss=min(epoch.val_loss for epoch in log),
        internal=measure_areas(config, folder, val),
        external=measure_areas(config, folder, outside),
    )
    write_whole(folder / FOLD, dump_record(fold))
    (folder / CHECKPOINT).unlink()
    return fold


def _sample_source(studies: Sequence[Study], source: str) -> tuple[Study, ...]:
    """Train and validation images of a source, the same ones for every candidate."""
    inside = [s for s in select(studies, Split.TRAIN, Split.VAL) if s.source == source]
    return few_of_each(inside, OUTSIDE_IMAGES)


def measure_areas(config: RunConfig, folder: Path, dataset: Dataset) -> dict[str, float]:
    """AUC of each finding against normal within each source."""
    network = build_network(config.architecture, findings=len(FINDINGS))
    load_weights(folder, network)
    recipe = Recipe(config.preprocess, VIEWS, 1.0)
    scores = score_dataset(dataset, torch_forward(network), recipe).probabilities(1.0)
    return {
        name: auc(
            scores[question.images, FINDINGS.index(question.finding)],
            question.positive[question.images],
        )
        for name, question in questions(dataset.studies).items()
        if ":" in name
    }


def summarise(search: Search) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heading, and a row a candidate, the best mean AUC on left-out sources first."""
    asked = sorted({name for fold in search.folds for name in fold.external})
    heading = (
        "candidate", "seeds", "images seen", "minutes a fold",
        *(f"{name}, left out" for name in asked), "mean, left out", "mean, kept", "val loss",
    )  # fmt: skip
    groups: dict[str, list[Fold]] = defaultdict(list)
    for fold in search.folds:
        groups[fold.candidate].append(fold)
    ranked = sorted(groups.items(), key=lambda item: -float(np.mean(_means(item[1]))))
    return heading, [_row(name, folds, asked) for name, folds in ranked]


def _row(name: str, folds: Sequence[Fold], asked: Sequence[str]) -> tuple[str, ...]:
    external = [
        [f.external[question] for f in folds if question in f.external] for question in asked
    ]
    return (
        name,
        str(len({fold.seed for fold in folds})),
        str(max(fold.images_seen for fold in folds)),
        f"{np.mean([fold.seconds for fold in folds]) / 60:.1f}",
        *(_spread(values) for values in external),
        _spread(_means(folds)),
        _spread([float(np.mean(list(fold.internal.values()))) for fold in folds]),
        _spread([fold.val_loss for fold in folds]),
    )


def _means(folds: Sequence[Fold]) -> list[float]:
    """Mean over the left-out sources, one number a seed."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for fold in folds:
        by_seed[fold.seed].extend(fold.external.values())
    return [float(np.mean(values)) for values in by_seed.values()]


def _spread(values: Sequence[float]) -> str:
    """Mean, and the standard deviation where there are several."""
    if not values:
        return "-"
    deviation = f" (sd {np.std(values, ddof=1):.3f})" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{deviation}"
