"""One upload and the right response to it, as a row of the catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.core.errors import CxrError, NotEvaluated
from service.core.intake import read_radiograph
from service.core.radiograph import Radiograph
from service.core.scope import IntendedUse, check_scope
from tests.support.radiographs import Words, chest_levels, dicom_bytes

LEVELS = chest_levels(96, 80)
"""The exposure that all rows show: 12 bits, 0 black."""

EVALUATED = "evaluated"
Body = Callable[[Mapping[str, object]], bytes]
"""Builds the upload; the tags are set beside those of the row, which win."""


@dataclass(frozen=True, slots=True)
class Case:
    """A row.

    Attributes
    ----------
    outcome
        `evaluated`, the reason of a non-evaluation, or the code of a refusal.
    warnings
        Codes of all cautions, where it is evaluated.
    likeness
        Least correlation with the plain MONOCHROME2 picture, where it is evaluated; 1 asks for
        the very same grey levels.
    """

    body: Body = field(repr=False)
    outcome: str
    warnings: frozenset[str] = frozenset()
    likeness: float = 0.999


def dicom(
    stored: Words | None = None, change: Callable[[bytes], bytes] = bytes, **options: Any
) -> Body:
    """A chest DX of the exposure, with options of `dicom_bytes`; `change` damages the file."""
    words = LEVELS if stored is None else stored

    def build(tags: Mapping[str, object]) -> bytes:
        own = {**tags, **options.get("tags", {})}
        return change(dicom_bytes(words, **{**options, "tags": own}))

    return build


def same(stored: Words | None = None, *, likeness: float = 0.999, **options: Any) -> Case:
    """Read without a warning, and shows the same picture."""
    return Case(dicom(stored, **options), EVALUATED, likeness=likeness)


def exact(stored: Words | None = None, **options: Any) -> Case:
    """Read without a warning, grey level by grey level."""
    return same(stored, likeness=1.0, **options)


def warned(code: str, stored: Words | None = None, **options: Any) -> Case:
    """Shows the same picture, with this one warning; `likeness` may be lower."""
    likeness = options.pop("likeness", 0.999)
    return Case(dicom(stored, **options), EVALUATED, frozenset((code,)), likeness)


def refused(code: str, stored: Words | None = None, **options: Any) -> Case:
    """Not scored: the code of the refusal, or the reason why it is not evaluated."""
    return Case(dicom(stored, **options), code)


def upload(outcome: str, body: bytes, *warnings: str, likeness: float = 0.999) -> Case:
    """Bytes that hold no tags."""
    return Case(lambda _tags: body, outcome, frozenset(warnings), likeness)


def respond(body: bytes) -> tuple[str, frozenset[str], Radiograph | None]:
    """What the kernel makes of an upload: outcome, codes of its cautions, and the picture."""
    try:
        radiograph = read_radiograph(body, intended_use=IntendedUse())
        cautions = (*radiograph.cautions, *check_scope(radiograph, IntendedUse()))
    except NotEvaluated as refusal:
        return refusal.reason, frozenset(), None
    except CxrError as refusal:
        return refusal.code, frozenset(), None
    return EVALUATED, frozenset(caution.code for caution in cautions), radiograph
