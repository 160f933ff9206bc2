"""The acts end to end: read what is needed, show progress, write what the next act needs."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.core.files import write_whole
from service.core.inference import Forward
from training.acts.report import evaluation_folder, write_report
from training.baseline import describe_studies, fit_baseline
from training.config import RunConfig
from training.data.dataset import Dataset, load_dataset, targets_of
from training.data.index import survey_folder
from training.data.splits import is_split, split_digest, trained_on
from training.data.studies import NoStudies, Split, Study, select
from training.distributed import join_team
from training.evaluate import DRAWS, evaluate
from training.fit import Epoch
from training.measures.comparison import Contender
from training.measures.discrimination import Opponents, questions
from training.measures.results import (
    EVALUATION,
    SPLIT,
    TUNING,
    Evaluation,
    RunIncomplete,
    Tuning,
    dump_record,
    file_digest,
    load_record,
)
from training.measures.statistics import Numbers
from training.measures.warnings import tuning_warnings
from training.onnx_export import export_onnx, openvino_forward, precisions_here
from training.previous import score_previous
from training.report.plots import draw_figures
from training.report.terminal import evaluation_tables, tuning_tables
from training.scoring import Run, SplitScores, load_run, score_dataset, torch_forward
from training.soup import check_member, fit_members, member_table
from training.tune import tune


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where an act reads and writes, and whom it talks to."""

    data: Path
    run: Path
    console: Console
    drop_leaks: bool = False


def list_studies(place: Workplace) -> tuple[Study, ...]:
    """The studies of the data folder; what could not be proved of them is printed."""
    survey = survey_folder(place.data, drop_leaks=place.drop_leaks)
    for note in survey.notes:
        place.console.print(note, style="yellow", markup=False, soft_wrap=True)
    return survey.studies


def run_fit(place: Workplace, config: RunConfig, member: int | None = None) -> None:
    """Train or resume, and note which split it was; of several members all, or one by its seed."""
    check_member(config, member)
    studies = list_studies(place)
    train = read_dataset(place, trained_on(studies, config.data), config)
    val = read_dataset(place, _needed(studies, Split.VAL), config)
    place.run.mkdir(parents=True, exist_ok=True)
    if join_team().is_leader:
        note_split(place.run, split_digest(studies))
    with progress_bar(place.console) as progress:
        bar = progress.add_task("training", total=None)

        def on_step(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        def on_epoch(epoch: Epoch) -> None:
            progress.console.print(_epoch_line(epoch, config.optimiser.epochs))

        members = fit_members(
            config,
            train=train,
            val=val,
            folder=place.run,
            only=member,
            on_epoch=on_epoch,
            on_step=on_step,
        )
    if members is not None:
        place.console.print(member_table(members))
    place.console.print(f"weights are in {place.run}")


def run_tune(place: Workplace, config: RunConfig | None) -> Tuning:
    """Score the validation split and write `tuning.json`."""
    run = load_run(place.run, config)
    studies = list_studies(place)
    _check_split(place, split_digest(studies))
    dataset = read_dataset(place, _needed(studies, Split.VAL), run.config)
    scores = _score(place, run, dataset, torch_forward(run.network), "scoring")
    tuning = tune(
        scores,
        training=trained_on(studies, run.config.data),
        weights_digest=run.weights_digest,
        config_digest=run.config.digest(),
        split_digest=split_digest(studies),
    )
    write_whole(place.run / TUNING, dump_record(tuning))
    place.console.print(*tuning_tables(tuning), *tuning.notes, sep="\n")
    for warning in tuning_warnings(tuning):
        place.console.print(warning, style="yellow", markup=False, soft_wrap=True)
    return tuning


def run_evaluate(
    place: Workplace,
    config: RunConfig | None,
    split: Split,
    draws: int = DRAWS,
    against: Path | None = None,
) -> Evaluation:
    """Measure a split, write the evaluation, its figures and its report.

    Parameters
    ----------
    against
        Version folder of an earlier release, to be scored on the same images.
    """
    run = load_run(place.run, config)
    tuning = load_record(place.run, TUNING, Tuning, "tune")
    studies = list_studies(place)
    _check_same_run(run, tuning, split_digest(studies))
    chosen = _needed(studies, split)
    dataset = read_dataset(place, chosen, run.config)
    scores = _score(place, run, dataset, torch_forward(run.network), "scoring")
    engines = _score_on_engines(place, run, dataset)
    baseline_nf = _baseline(place, trained_on(studies, run.config.data), chosen)
    evaluation = evaluate(
        scores,
        tuning,
        baseline_nf,
        engines,
        split=split.value,
        tuning_digest=file_digest(place.run / TUNING),
        draws=draws,
        previous=_score_previous(place, against, chosen, studies) if against else None,
    )
    folder = evaluation_folder(place.run, split)
    folder.mkdir(exist_ok=True)
    for name, body in _figures(evaluation, scores, tuning, baseline_nf).items():
        write_whole(folder / name, body)
    write_whole(folder / EVALUATION, dump_record(evaluation))
    page = write_report(place.run, split)
    place.console.print(*evaluation_tables(evaluation), *evaluation.caveats, sep="\n")
    place.console.print(f"the whole of it is in {page}")
    return evaluation


def _needed(studies: tuple[Study, ...], *splits: Split) -> tuple[Study, ...]:
    chosen = select(studies, *splits)
    if not chosen:
        raise NoStudies(f"the data folder holds no study in {', '.join(splits)}")
    return chosen


def read_dataset(place: Workplace, studies: tuple[Study, ...], config: RunConfig) -> Dataset:
    """Read and preprocess with a bar."""
    with progress_bar(place.console) as progress:
        bar = progress.add_task("reading", total=len(studies))
        return load_dataset(
            place.data, studies, config.preprocess, lambda images: progress.advance(bar, images)
        )


def _score(
    place: Workplace, run: Run, dataset: Dataset, forward: Forward, what: str
) -> SplitScores:
    with progress_bar(place.console) as progress:
        bar = progress.add_task(what, total=len(dataset.studies))
        return score_dataset(
            dataset, forward, run.recipe(), lambda images: progress.advance(bar, images)
        )


def _score_previous(
    place: Workplace, release: Path, studies: tuple[Study, ...], everything: tuple[Study, ...]
) -> Contender:
    with progress_bar(place.console) as progress:
        bar = progress.add_task(f"scoring {release.name}", total=2 * len(studies))
        scored = score_previous(
            release, place.data, studies, lambda images: progress.advance(bar, images)
        )
    is_same = is_split(scored.split_digest, everything)
    return replace(scored, split_digest=split_digest(everything)) if is_same else scored


def _score_on_engines(place: Workplace, run: Run, dataset: Dataset) -> dict[str, SplitScores]:
    """The same images by the exported network, in each precision that may serve and is here."""
    onnx_body = export_onnx(copy.deepcopy(run.network), run.config.preprocess.side_px)
    scored = {}
    for precision in precisions_here():
        name = f"openvino {precision}"
        forward = openvino_forward(onnx_body, precision)
        scored[name] = _score(place, run, dataset, forward, name)
    return scored


def _baseline(
    place: Workplace, training: tuple[Study, ...], measured: tuple[Study, ...]
) -> Numbers:
    with progress_bar(place.console) as progress:
        bar = progress.add_task("trivial baseline", total=len(training) + len(measured))

        def on_images(images: int) -> None:
            progress.advance(bar, images)

        train = describe_studies(place.data, training, on_images)
        test = describe_studies(place.data, measured, on_images)
    return fit_baseline(train, targets_of(training), test)


def _figures(
    evaluation: Evaluation, scores: SplitScores, tuning: Tuning, baseline_nf: Numbers
) -> dict[str, bytes]:
    temperature = tuning.calibration.temperature
    opponents = Opponents(
        scores.studies,
        scores.probabilities(temperature),
        baseline_nf,
        scores.single_view_probabilities(temperature),
        draws=(),
    )
    return draw_figures(evaluation, questions(scores.studies), opponents)


def note_split(folder: Path, digest: str) -> None:
    """Bind a run folder to a split of the data.

    Raises
    ------
    RunIncomplete
        It was begun on another one.
    """
    noted = folder / SPLIT
    if noted.is_file() and _read_digest(noted) != digest:
        raise RunIncomplete(f"{folder} was begun on another split of the data: use a new --run")
    write_whole(noted, f"{digest}\n".encode())


def _check_split(place: Workplace, digest: str) -> None:
    """A run may only be tuned where nothing of its training set is in val."""
    noted = place.run / SPLIT
    if not noted.is_file():
        text = f"no {SPLIT} in the run: cannot prove it was this split"
        place.console.print(text, style="yellow", markup=False)
    elif _read_digest(noted) != digest:
        raise RunIncomplete("the data folder holds another split than the run was trained on")


def _read_digest(noted: Path) -> str:
    """What was noted; whatever else the file holds is the digest of no split."""
    return noted.read_bytes().decode("utf-8", errors="replace").strip()


def _check_same_run(run: Run, tuning: Tuning, digest: str) -> None:
    if tuning.weights_digest != run.weights_digest:
        raise RunIncomplete("the weights changed since they were tuned: run `cxr-train tune`")
    if tuning.config_digest != run.config.digest():
        raise RunIncomplete("it was tuned with another configuration: run `cxr-train tune`")
    if tuning.split_digest != digest:
        raise RunIncomplete("the data folder holds another split than the run was tuned on")


def _epoch_line(epoch: Epoch, epochs: int) -> str:
    return (
        f"epoch {epoch.epoch + 1}/{epochs}  train loss {epoch.train_loss:.4f}  "
        f"val loss {epoch.val_loss:.4f}  learning rate {epoch.learning_rate:.2g}"
    )


def progress_bar(console: Console) -> Progress:
    """Description, bar, count and time that is left."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console)
