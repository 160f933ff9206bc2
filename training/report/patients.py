"""What is proved of the patients of the splits, and what is not, in sentences."""

from collections.abc import Collection, Mapping

from training.data.sources import read_sources
from training.measures.results import Evaluation, Tuning


def patient_lines(tuning: Tuning, evaluation: Evaluation) -> tuple[str, ...]:
    """That no known patient is in two splits, whose patients nobody knows, and what may overlap."""
    present = {*tuning.training_images, *tuning.images, *evaluation.images}
    return (
        "No patient that a manifest, a tag or a file name tells is in two splits.",
        *_unproved(tuning.patients_unproved),
        *(_overlap(*pair) for pair in list_overlaps(present)),
    )


def list_overlaps(present: Collection[str]) -> list[tuple[str, str, tuple[str, ...]]]:
    """(source, other, findings): images of the source with them may be of the other's patients."""
    return [
        (source, other, tuple(finding.value for finding in findings))
        for source, collection in read_sources().items()
        for other, findings in collection.may_hold.items()
        if {source, other} <= {*present}
    ]


def _unproved(images: Mapping[str, int] | None) -> tuple[str, ...]:
    if images is None:
        return ("How many images name no patient was not counted.",)
    if not images:
        return ()
    counts = ", ".join(f"{source} {count}" for source, count in images.items())
    told = (
        f"Of {sum(images.values())} training and validation images nothing tells the patient "
        f"({counts}): only equal bytes were looked for, so one may be of a patient who was "
        "measured."
    )
    return (told,)


def _overlap(source: str, other: str, findings: tuple[str, ...]) -> str:
    return (
        f"Images of {source} ({', '.join(findings)}) may be of patients of {other}, as its makers "
        "say; where the audit leaves out one, it leaves out those of the other too."
    )
