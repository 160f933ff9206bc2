"""The act `search`: every candidate, seed and fold that is not done yet, then the table."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from service.core.files import write_whole
from service.core.preprocess import PreprocessSpec
from training.acts.steps import (
    Workplace,
    list_studies,
    note_split,
    progress_bar,
    read_dataset,
)
from training.config import ConfigInvalid, RunConfig
from training.data.dataset import Dataset
from training.data.splits import split_digest
from training.data.studies import NoStudies, Split, select
from training.measures.results import dump_record
from training.search.recipes import SEARCH, Fold, Search, left_out_sources, run_fold, summarise


def run_search(
    place: Workplace,
    configs: Sequence[RunConfig],
    seeds: Sequence[int],
    sources: Sequence[str] = (),
) -> Search:
    """Train what is missing under `<run>/<candidate>/seed-<n>/without-<source>`, and compare.

    Seeds are the outermost loop, so that an interrupted search has compared all candidates on the
    seeds that it came to.

    Parameters
    ----------
    sources
        To leave out, one at a time; none names all that hold normal and abnormal images.

    Raises
    ------
    ConfigInvalid
        Two candidates have one name: their folds could not be told apart.
    NoStudies
        No source can be left out.
    RunIncomplete
        The folder holds a search on other data.
    """
    _check_names(configs)
    studies = list_studies(place)
    chosen = sources or left_out_sources(studies)
    if not chosen:
        raise NoStudies("no source holds enough normal and abnormal images in val to be left out")
    place.run.mkdir(parents=True, exist_ok=True)
    note_split(place.run, split_digest(studies))
    pool_studies = select(studies, Split.TRAIN, Split.TRAIN_OPTIONAL, Split.VAL)
    pools: dict[PreprocessSpec, Dataset] = {}
    folds = []
    for config, left_out in _trainings(configs, seeds, chosen):
        if config.preprocess not in pools:
            pools = {config.preprocess: read_dataset(place, pool_studies, config)}
        folds.append(_run(place, config, left_out, pools[config.preprocess]))
    search = Search(tuple(folds))
    write_whole(place.run / SEARCH, dump_record(search))
    place.console.print(search_table(search))
    return search


def _check_names(configs: Sequence[RunConfig]) -> None:
    names = [config.name for config in configs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigInvalid(f"several candidates are named {', '.join(twice)}: give each its name")


def search_table(search: Search) -> Table:
    """Mean and standard deviation over the seeds."""
    heading, rows = summarise(search)
    table = Table(title="AUC on a source that was left out of training, and on those kept")
    for name in heading:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    return table


def _trainings(
    configs: Sequence[RunConfig], seeds: Sequence[int], sources: Sequence[str]
) -> Iterator[tuple[RunConfig, str]]:
    """Candidates of one input side one after the other: a pool of images is large."""
    ordered = sorted(configs, key=lambda config: config.preprocess.side_px)
    for seed in seeds:
        for config in ordered:
            for source in sources:
                yield config.model_copy(update={"seed": seed}), source


def _run(place: Workplace, config: RunConfig, left_out: str, pool: Dataset) -> Fold:
    folder = place.run / config.name / f"seed-{config.seed}" / f"without-{left_out}"
    with progress_bar(place.console) as progress:
        what = f"{config.name}, seed {config.seed}, without {left_out}"
        bar = progress.add_task(what, total=None)

        def on_step(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        fold = run_fold(config, left_out, pool, folder, on_step)
    areas = ", ".join(f"{name} {area:.3f}" for name, area in fold.external.items())
    place.console.print(f"{what}: {areas}; {fold.seconds:.0f} s")
    return fold
