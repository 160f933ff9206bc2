"""Test 3: what the network is worth on a source that it learned nothing from.

For each source that holds both sides of a question, the run is repeated without it (and without
what may hold its patients), in `<run>/without-<source>/`; a fold that is complete is used again.
Axes: N images, F findings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from service.core.artifact import MetricInterval
from training.audit.results import AuditTest, Terms, Trial
from training.audit.scores import column_of, measure_area, measure_fall, questions_within
from training.checkpoint import CHECKPOINT, WEIGHTS
from training.config import RunConfig
from training.data.dataset import Dataset
from training.data.splits import trained_on, validated_on, without_left_out
from training.data.studies import NoStudies, Study
from training.fit import Epoch, fit
from training.measures.results import CONFIG, LOG
from training.measures.statistics import Indices, Numbers

GAP_FAILS, GAP_WARNS = 0.15, 0.05
"""Fall of the AUC from the network that learned from the source to the one that did not."""

TRANSFER = Terms(
    "3 leave one source out",
    "Does what was learned hold on a source of which nothing was seen?",
    "On val and test images of each source that holds both sides: AUC of this network, less that "
    "of the same recipe trained without the source. Fail: the AUC without it is not shown to be "
    f"above 0.5, or the whole interval of the fall lies above {GAP_FAILS}. Warn: the fall is "
    f"{GAP_WARNS} or more.",
)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One question on a source: by the network that learned from it, and by one that did not."""

    name: str
    positives: int
    negatives: int
    internal: MetricInterval
    external: MetricInterval
    fall: MetricInterval
    epochs: int
    run_epochs: int
    training_images: int


def list_transferable(studies: Sequence[Study]) -> tuple[str, ...]:
    """Sources whose images can answer a question by themselves."""
    return tuple(sorted({name.rpartition(": ")[0] for name in questions_within(studies)}))


def leave_out_config(config: RunConfig, source: str, epochs: int | None = None) -> RunConfig:
    """The same recipe without a source, as one run, perhaps of fewer epochs."""
    data = config.data.model_copy(update={"leave_out": (*config.data.leave_out, source)})
    optimiser = config.optimiser
    if epochs is not None:
        optimiser = optimiser.model_copy(update={"epochs": min(epochs, optimiser.epochs)})
    return config.model_copy(update={"data": data, "optimiser": optimiser, "members": 1})


def images_without(
    studies: Sequence[Study], config: RunConfig
) -> tuple[tuple[Study, ...], tuple[Study, ...]] | None:
    """What a fold learns and chooses its epoch from; None where nothing is left of either."""
    try:
        return trained_on(studies, config.data), validated_on(studies, config.data)
    except NoStudies:
        return None


def fold_folder(run: Path, source: str) -> Path:
    """Where the fold without a source lives."""
    return run / f"without-{source}"


def is_complete(config: RunConfig, folder: Path) -> bool:
    """Whether the folder holds this very fold, trained to its last epoch."""
    saved, log = folder / CONFIG, folder / LOG
    if not (saved.is_file() and log.is_file() and (folder / WEIGHTS).is_file()):
        return False
    try:
        same = RunConfig.model_validate_json(saved.read_bytes()).digest() == config.digest()
    except ValidationError:
        return False  # it is trained anew
    return same and len(log.read_bytes().splitlines()) >= config.optimiser.epochs


def fit_fold(
    config: RunConfig,
    *,
    train: Dataset,
    val: Dataset,
    folder: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Train or resume a fold; its checkpoint goes when it is complete.

    Raises
    ------
    ValueError
        An image of a source that is to be left out, or one that may be of its patients, is among
        those to learn or to choose from.
    training.fit.RunMismatch
        The folder holds a fold of another configuration that is not complete: remove it.
    """
    given = (*train.studies, *val.studies)
    for study in set(given) - set(without_left_out(given, config.data)):
        left_out = ", ".join(config.data.leave_out)
        raise ValueError(f"{study.file} is of {study.source}, which goes with {left_out}")
    fit(config, train=train, val=val, folder=folder, on_epoch=on_epoch, on_step=on_step)
    (folder / CHECKPOINT).unlink()


def measure_transfer(
    studies: Sequence[Study],
    internal_nf: Numbers,
    external_nf: Numbers,
    draws: Sequence[Indices],
    *,
    epochs: tuple[int, int],
    training_images: int,
) -> tuple[Transfer, ...]:
    """Compare both networks on the images of the left-out source, resampled together.

    Parameters
    ----------
    epochs
        Of the fold, and of the run.
    """
    found = []
    for name, question in questions_within(studies).items():
        internal, external = (column_of(question, one) for one in (internal_nf, external_nf))
        positives = int((question.positive & question.images).sum())
        found.append(
            Transfer(
                name=name,
                positives=positives,
                negatives=int(question.images.sum()) - positives,
                internal=measure_area(question, internal, draws),
                external=measure_area(question, external, draws),
                fall=measure_fall(question, internal, external, draws),
                epochs=epochs[0],
                run_epochs=epochs[1],
                training_images=training_images,
            )
        )
    return tuple(found)


def judge_transfer(
    transfers: Sequence[Transfer], *, skipped: str = "", alone: Sequence[str] = ()
) -> AuditTest:
    """Judge every question.

    Parameters
    ----------
    skipped
        Why no fold was trained.
    alone
        Sources without which nothing is left to learn or to choose from.
    """
    trial = Trial(TRANSFER)
    if not skipped and not transfers and alone:
        skipped = f"no source could be left out: {_say_alone(alone)}"
    if skipped:
        return trial.skip(skipped)
    for source in alone:
        trial.object(f"not left out: {_say_alone([source])}", fails=False, warns=True)
    for one in transfers:
        images = one.positives + one.negatives
        learned = f"{one.epochs} of {one.run_epochs} epochs, {one.training_images} training images"
        trial.note(one.name, "AUC, source learned from", one.internal, images)
        trial.note(one.name, f"AUC, source left out ({learned})", one.external, images)
        trial.note(one.name, "fall", one.fall, images)
        trial.object(
            f"{one.name}: AUC {one.external.value:.3f} without the source, "
            f"{one.internal.value:.3f} with it",
            fails=one.external.low <= 0.5 or one.fall.low > GAP_FAILS,
            warns=one.fall.value >= GAP_WARNS,
        )
    return trial.conclude()


def _say_alone(sources: Sequence[str]) -> str:
    without = " or ".join(sources)
    return f"without {without} there is no image to learn from, or none to choose the epoch by"
