"""The act `make`: all acts of a run, after everything that would be refused at the end is asked."""

from service.core.artifact import Artifact, load_artifact
from training.acts.audit import run_audit, run_explain
from training.acts.drift import run_drift_reference
from training.acts.ood import run_ood
from training.acts.release import Wish, run_release
from training.acts.steps import Workplace, list_studies, run_evaluate, run_fit, run_tune
from training.config import RunConfig
from training.data.sources import read_sources
from training.data.splits import trained_on
from training.data.studies import NoStudies, Split, Study, select
from training.drift.reference import choose_studies
from training.manifest import time_of_making
from training.ood.fitting import DetectorRefused, check_counts
from training.release import check_version


def run_make(place: Workplace, config: RunConfig, wish: Wish) -> Artifact:
    """fit, tune, ood, evaluate, audit, explain, drift, release: the whole chain of a run.

    Where the radiographs are too few for a detector, the version goes without one. A rerun on the
    same machine with `SOURCE_DATE_EPOCH` set gives the same digest.

    Raises
    ------
    training.release.ReleaseRefused
        Before anything is trained: the version exists, or cannot be named so.
    NoStudies, training.drift.reference.TooFewImages
        Before anything is trained: a split has too few images for an act to come.
    service.core.errors.ArtifactError
        Before anything is trained: the version to compare with is not whole.
    """
    check_version(wish.version)
    if wish.against is not None:
        load_artifact(wish.against)
    time_of_making()
    read_sources()
    _check_studies(place, config, wish)
    run_fit(place, config)
    run_tune(place, config)
    try:
        run_ood(place, config)
    except DetectorRefused as refused:
        _warn(place, f"the version goes without a detector: {refused}")
    run_evaluate(place, config, Split.TEST, wish.draws, wish.against)
    run_audit(place, config, wish.audit)
    run_explain(place, config)
    run_drift_reference(place, config, wish.drift)
    return run_release(place, config, wish)


def _check_studies(place: Workplace, config: RunConfig, wish: Wish) -> None:
    """Refuse what an act to come would refuse; say what it would have to leave out."""
    studies = list_studies(place)
    training, validation = trained_on(studies, config.data), select(studies, Split.VAL)
    if missing := [split for split in (Split.VAL, Split.TEST) if not select(studies, split)]:
        raise NoStudies(f"the data folder holds no study in {', '.join(missing)}")
    choose_studies(studies, wish.drift)
    _announce_detector(place, training, validation)


def _announce_detector(
    place: Workplace, training: tuple[Study, ...], validation: tuple[Study, ...]
) -> None:
    try:
        check_counts(training, validation)
    except DetectorRefused as refused:
        _warn(place, f"the version will have no detector: {refused}")


def _warn(place: Workplace, text: str) -> None:
    place.console.print(text, style="yellow", markup=False, soft_wrap=True)
