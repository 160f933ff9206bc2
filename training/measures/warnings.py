"""What a tuning must not be handed on without."""

from service.core.findings import FINDINGS
from training.measures.results import Counts, Tuning
from training.measures.scope import scope_notes
from training.measures.temperature import at_bound_note


def tuning_warnings(tuning: Tuning) -> tuple[str, ...]:
    """What nobody may overlook of a tuning, each with its numbers."""
    bound = at_bound_note(tuning.calibration.temperature)
    first = (*untaught_notes(tuning.training_images), *((bound,) if bound else ()))
    return (*first, *scope_notes(tuning.positives_in_scope))


def untaught_notes(images: Counts) -> tuple[str, ...]:
    """A line for each finding of which nothing was trained on."""
    return tuple(
        f"No training image is labelled {finding}: the network never learned it, and its "
        "probability means nothing."
        for finding in FINDINGS
        if not any(found.get(finding) for found in images.values())
    )
