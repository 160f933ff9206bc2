"""The acts `audit` and `explain` end to end: read what is needed, train the folds, write."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from service.core.files import write_whole
from service.core.inference import Forward, Recipe
from service.core.radiograph import Pixels
from training.acts.steps import Workplace, list_studies, progress_bar, read_dataset
from training.audit.lung_quality import ALTERED_IMAGES
from training.audit.randomise import cascade, randomise
from training.audit.results import AUDIT, Audit, AuditTest
from training.audit.scores import Seen, look_at
from training.audit.tables import audit_tables
from training.audit.verdict import (
    DRAWS,
    IMAGES_PER_GROUP,
    RANDOM_NETWORKS,
    SEED,
    SPLITS,
    Identity,
    Look,
    audit,
    choose_images,
    gather,
)
from training.config import RunConfig
from training.data.dataset import Dataset
from training.data.patients import patients_of
from training.data.splits import split_digest
from training.data.studies import Split, Study, select
from training.explain import (
    EXPLANATION,
    PER_GROUP,
    SHEET,
    Explanation,
    choose_panel,
    draw_sheet,
    explain,
)
from training.fit import Epoch
from training.lungs.fields import LungField, find_lungs
from training.measures.results import (
    EVALUATION,
    TUNING,
    Evaluation,
    RunIncomplete,
    Tuning,
    dump_record,
    file_digest,
    load_record,
)
from training.measures.statistics import patient_draws
from training.report.terminal import text_of
from training.scoring import Run, load_run, torch_forward
from training.search.transfer import (
    Transfer,
    fit_fold,
    fold_folder,
    images_without,
    is_complete,
    judge_transfer,
    leave_out_config,
    list_transferable,
    measure_transfer,
)

STATISTICS_IMAGES = 64
"""On which batch statistics of a network with drawn weights are measured."""

SKIPPED = "no fold was trained: `--without-folds` was given"


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What an audit may cost.

    Attributes
    ----------
    with_folds
        Train a network without each source that allows it; else test 3 is not run.
    fold_epochs
        Epochs of such a training; None takes the run's. Stated in the audit.
    images_per_group
        Largest number of images of a finding of a source.
    altered_images
        On how many the lung finder is asked anew, mirrored, turned and brightened.
    """

    with_folds: bool = True
    fold_epochs: int | None = None
    images_per_group: int = IMAGES_PER_GROUP
    draws: int = DRAWS
    altered_images: int = ALTERED_IMAGES


def run_audit(place: Workplace, config: RunConfig | None, options: AuditOptions) -> Audit:
    """Run the seven tests and write `audit.json`.

    Raises
    ------
    RunIncomplete
        The run is not tuned and evaluated, or the data folder holds another split.
    """
    run = load_run(place.run, config)
    tuning = load_record(place.run, TUNING, Tuning, "tune")
    evaluation = load_record(place.run, EVALUATION, Evaluation, "evaluate")
    studies = list_studies(place)
    identity = _identify(place, run, tuning, evaluation, split_digest(studies))
    recipe = run.recipe(tuning.calibration.temperature)
    transfer = _test_transfer(place, run, recipe, studies, options)
    dataset = read_dataset(place, choose_images(studies, options.images_per_group), run.config)
    exhibits = gather(
        dataset,
        _find_lungs(place, dataset),
        _look_with(place, torch_forward(run.network), recipe),
        _random_looks(place, run, recipe, dataset),
    )
    with place.console.status("measuring"):
        found = audit(
            exhibits,
            evaluation.discrimination,
            transfer,
            identity,
            draws=options.draws,
            altered_images=options.altered_images,
        )
    write_whole(place.run / AUDIT, dump_record(found))
    place.console.print(*audit_tables(found), *found.notes, sep="\n")
    return found


def run_explain(
    place: Workplace, config: RunConfig | None, per_group: int = PER_GROUP
) -> Explanation:
    """Write the contact sheet and `explanation.json`; the sheet shows patients and stays here."""
    run = load_run(place.run, config)
    tuning = load_record(place.run, TUNING, Tuning, "tune")
    studies = list_studies(place)
    dataset = read_dataset(place, choose_panel(studies, per_group), run.config)
    recipe = run.recipe(tuning.calibration.temperature)
    fields = _find_lungs(place, dataset)
    steps = cascade(run.network, recipe.preprocess, _sample(dataset), seed=SEED)
    maps = {
        name: _look_with(place, torch_forward(drawn), recipe)(dataset.pixels, f"drawn: {name}")
        for name, drawn in steps
    }
    seen = _look_with(place, torch_forward(run.network), recipe)(dataset.pixels, "trained")
    explanation = explain(
        dataset,
        fields,
        seen,
        maps,
        weights_digest=run.weights_digest,
        split_digest=split_digest(studies),
        per_group=per_group,
    )
    write_whole(place.run / SHEET, draw_sheet(dataset, fields, seen, explanation))
    write_whole(place.run / EXPLANATION, dump_record(explanation))
    place.console.print(_explanation_table(explanation), f"{SHEET} is in {place.run}", sep="\n")
    return explanation


def _identify(
    place: Workplace, run: Run, tuning: Tuning, evaluation: Evaluation, split: str
) -> Identity:
    """Refuse to mix runs, tunings and splits."""
    tuning_digest = file_digest(place.run / TUNING)
    if tuning.weights_digest != run.weights_digest:
        raise RunIncomplete("the weights changed since they were tuned: run `cxr-train tune`")
    if evaluation.tuning_digest != tuning_digest or evaluation.split != Split.TEST:
        raise RunIncomplete("the evaluation is of another tuning: run `cxr-train evaluate`")
    if tuning.split_digest != split:
        raise RunIncomplete("the data folder holds another split than the run was tuned on")
    return Identity(run.weights_digest, run.config.digest(), split, tuning_digest)


def _test_transfer(
    place: Workplace, run: Run, recipe: Recipe, studies: Sequence[Study], options: AuditOptions
) -> AuditTest:
    """Train or find each fold, and compare on the source that it left out."""
    if not options.with_folds:
        return judge_transfer((), skipped=SKIPPED)
    found: list[Transfer] = []
    alone = []
    for source in list_transferable(select(studies, *SPLITS)):
        config = leave_out_config(run.config, source, options.fold_epochs)
        folder = fold_folder(place.run, source)
        kept = images_without(studies, config)
        if kept is None:
            alone.append(source)
            continue
        if not is_complete(config, folder):
            _fit_fold(place, config, source, kept)
        outside = tuple(s for s in select(studies, *SPLITS) if s.source == source)
        dataset = read_dataset(place, outside, run.config)
        internal, external = (
            _look_with(place, torch_forward(one.network), recipe)(dataset.pixels, what)
            for one, what in ((run, source), (load_run(folder), f"{source}, left out"))
        )
        found += measure_transfer(
            outside,
            internal.probabilities_nf,
            external.probabilities_nf,
            patient_draws(patients_of(outside), options.draws, SEED),
            epochs=(config.optimiser.epochs, run.config.optimiser.epochs),
            training_images=len(kept[0]),
        )
    return judge_transfer(found, alone=alone)


def _fit_fold(
    place: Workplace,
    config: RunConfig,
    source: str,
    kept: tuple[tuple[Study, ...], tuple[Study, ...]],
) -> None:
    train, val = (read_dataset(place, studies, config) for studies in kept)
    with progress_bar(place.console) as progress:
        bar = progress.add_task(f"training without {source}", total=None)

        def on_step(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        def on_epoch(epoch: Epoch) -> None:
            progress.console.print(f"epoch {epoch.epoch + 1}: val loss {epoch.val_loss:.4f}")

        folder = fold_folder(place.run, source)
        fit_fold(config, train=train, val=val, folder=folder, on_epoch=on_epoch, on_step=on_step)


def _random_looks(place: Workplace, run: Run, recipe: Recipe, dataset: Dataset) -> list[Look]:
    networks = (
        randomise(run.network, recipe.preprocess, _sample(dataset), seed=SEED + number)
        for number in range(RANDOM_NETWORKS)
    )
    return [_look_with(place, torch_forward(network), recipe) for network in networks]


def _find_lungs(place: Workplace, dataset: Dataset) -> list[LungField]:
    with progress_bar(place.console) as progress:
        bar = progress.add_task("finding lungs", total=len(dataset.pixels))
        fields = []
        for one in dataset.pixels:
            fields.append(find_lungs(one[0]))
            progress.advance(bar)
    return fields


def _sample(dataset: Dataset) -> Pixels:
    """Images spread evenly over the dataset, which is ordered by source."""
    every = max(1, len(dataset.pixels) // STATISTICS_IMAGES)
    return dataset.pixels[::every][:STATISTICS_IMAGES]


def _look_with(place: Workplace, forward: Forward, recipe: Recipe) -> Look:
    """Score with a bar of its own."""

    def look(pixels: Pixels, what: str) -> Seen:
        with progress_bar(place.console) as progress:
            bar = progress.add_task(what, total=len(pixels))
            return look_at(pixels, forward, recipe, lambda images: progress.advance(bar, images))

    return look


def _explanation_table(explanation: Explanation) -> Table:
    table = Table(title=f"Maps as weights are drawn anew: {explanation.verdict}")
    table.add_column("down to the stage")
    table.add_column("absolute rank correlation with the trained map", justify="right")
    for stage, correlation in explanation.correlation.items():
        table.add_row(stage, text_of(correlation))
    return table
