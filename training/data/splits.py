"""Which studies may be trained on, and the proof that no patient crosses a split."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple

from training.config import DataConfig
from training.data.sources import shared_with
from training.data.studies import NoStudies, Split, Study, select


class SplitLeak(ValueError):
    """One patient, or one file, is in more than one split, or one file has two labels."""


def check_splits(studies: Sequence[Study]) -> None:
    """Refuse data in which a patient, a file or the same bytes is in more than one split."""
    _check_labels(studies)
    splits_of: dict[str, set[Split]] = defaultdict(set)
    for study in studies:
        for key in _identities(study):
            splits_of[key].add(study.split)
    leaks = [(key, splits) for key, splits in splits_of.items() if len(splits) > 1]
    if leaks:
        key, splits = leaks[0]
        raise SplitLeak(
            f"{len(leaks)} in more than one split; {key} is in {', '.join(sorted(splits))}"
            f"{_remedy([splits for _, splits in leaks])}"
        )


def _remedy(leaks: Sequence[set[Split]]) -> str:
    """What mends all of it; nothing where val and test share something, or training with itself."""
    measured = {Split.VAL, Split.TEST}
    if any(len(splits & measured) != 1 for splits in leaks):
        return ""
    return "; --drop-leaks leaves out of training what is also in val or test"


def without_leaks(studies: Sequence[Study]) -> tuple[Study, ...]:
    """Leave out of training whatever is also in val or test."""
    measured = select(studies, Split.VAL, Split.TEST)
    taken = {key for study in measured for key in _identities(study)}
    return measured + tuple(
        study
        for study in select(studies, Split.TRAIN, Split.TRAIN_OPTIONAL)
        if taken.isdisjoint(_identities(study))
    )


def trained_on(studies: Sequence[Study], config: DataConfig) -> tuple[Study, ...]:
    """The studies that a configuration trains on.

    Raises
    ------
    NoStudies
        None, or a source to leave out is not there: a slip of the pen would measure nothing.
    """
    known = {study.source for study in studies}
    if unknown := set(config.leave_out) - known:
        raise NoStudies(f"no source {', '.join(sorted(unknown))}; there are {sorted(known)}")
    splits = (Split.TRAIN, Split.TRAIN_OPTIONAL) if config.include_optional else (Split.TRAIN,)
    return _kept(select(studies, *splits), config, *splits)


def validated_on(studies: Sequence[Study], config: DataConfig) -> tuple[Study, ...]:
    """The validation studies that choose the epoch: none of what a configuration leaves out.

    Raises
    ------
    NoStudies
        None.
    """
    return _kept(select(studies, Split.VAL), config, Split.VAL)


def without_left_out(studies: Sequence[Study], config: DataConfig) -> tuple[Study, ...]:
    """Those of no source that is left out, nor of a group that may hold patients of one."""
    shared = shared_with(config.leave_out)
    return tuple(
        study
        for study in studies
        if study.source not in config.leave_out and (study.source, study.finding) not in shared
    )


def _kept(studies: Sequence[Study], config: DataConfig, *splits: Split) -> tuple[Study, ...]:
    kept = without_left_out(studies, config)
    if not kept:
        raise NoStudies(f"the data folder holds no study in {', '.join(splits)}")
    return kept


def split_digest(studies: Iterable[Study]) -> str:
    """SHA-256 over the sorted list of all that is known of each study: the identity of a split."""
    lines = sorted("\t".join(map(str, astuple(study))) for study in studies)
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_split(digest: str, studies: Sequence[Study]) -> bool:
    """Tell whether it names these studies, as now or in the form of versions up to 1.0.0."""
    lines = sorted(f"{s.split}\t{s.file}\t{s.finding}\t{s.patient_id}" for s in studies)
    first = "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return digest in (first, split_digest(studies))


def _check_labels(studies: Iterable[Study]) -> None:
    first_of: dict[str, Study] = {}
    for study in studies:
        for key in (study.file, study.sha256 or study.file):
            known = first_of.setdefault(key, study)
            if known.finding != study.finding:
                raise SplitLeak(_say_two_labels(known, study))


def _say_two_labels(first: Study, second: Study) -> str:
    if first.file == second.file:
        return f"{first.file} is labelled {first.finding} and {second.finding}"
    labels = f"labelled {first.finding} and {second.finding}"
    return f"{first.file} and {second.file} are the same bytes, {labels}"


def _identities(study: Study) -> tuple[str, ...]:
    """What may not be in two splits."""
    named = (f"patient {study.patient_id}", f"file {study.file}")
    return (*named, f"file digest {study.sha256}") if study.sha256 else named
