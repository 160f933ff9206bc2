"""Parts of the model card about whom it rests on: images, patients, and positives in scope."""

from service.core.artifact import Manifest
from service.core.findings import FINDINGS
from training.card.sections import markdown_table
from training.measures.results import Evaluation, Tuning
from training.measures.scope import scope_notes
from training.report.patients import patient_lines
from training.report.terminal import SCOPE_HEADER, scope_rows


def data_part(manifest: Manifest, tuning: Tuning, evaluation: Evaluation) -> str:
    """Collections and their terms, images by split, and what is not known of the patients."""
    licences = [
        (source.name, str(source.images), source.licence, source.citation)
        for source in manifest.provenance.data_sources
    ]
    splits = [
        (split, source, *(str(found.get(finding, 0)) for finding in FINDINGS))
        for split, counts in (
            ("train", tuning.training_images),
            ("val", tuning.images),
            (evaluation.split, evaluation.images),
        )
        for source, found in counts.items()
    ]
    return "\n\n".join(
        [
            "## Data",
            (
                "The weights inherit the strictest terms of their collections; they are for "
                "research and non-commercial use."
            ),
            markdown_table(("collection", "training images", "licence", "citation"), licences),
            markdown_table(("split", "source", *FINDINGS), splits),
            "\n".join(f"- {line}" for line in patient_lines(tuning, evaluation)),
        ]
    )


def scope_parts(tuning: Tuning) -> tuple[str, ...]:
    """The positives of each point within the intended use; none where they were not counted."""
    if not tuning.positives_in_scope:
        return ()
    return (
        (
            "The same patients by the ages of the intended use; a threshold is certified "
            "in scope where those in scope alone allow as many misses as it makes among them:"
        ),
        markdown_table(SCOPE_HEADER, scope_rows(tuning)),
        *quoted(*scope_notes(tuning.positives_in_scope)),
    )


def quoted(*notes: str) -> tuple[str, ...]:
    """What nobody may overlook, as one quotation; nothing where there is none."""
    lines = [f"> **{note}**" for note in notes if note]
    return ("\n>\n".join(lines),) if lines else ()
