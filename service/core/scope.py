"""Is this a frontal adult chest radiograph? If not, say why in a coded reason.

Tags decide where there are any; a PNG or JPEG is checked for content alone. An image outside the
intended use is never called normal, so doubt becomes a caution, and certainty a refusal.
"""

from typing import Annotated, Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from service.core.appearance import LEAST_LIKENESS, Polarity, compare, polarity_of, thin, turn_of
from service.core.borders import recorded_box
from service.core.errors import NotEvaluated
from service.core.folding import fold
from service.core.percentiles import percentiles
from service.core.radiograph import WHITE, Caution, DicomContext, Grey, Radiograph, View

SECONDARY_CAPTURE_UIDS = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.7.1",
        "1.2.840.10008.5.1.4.1.1.7.2",
        "1.2.840.10008.5.1.4.1.1.7.3",
        "1.2.840.10008.5.1.4.1.1.7.4",
    )
)
FOR_PROCESSING = "FOR PROCESSING"
CHEST_WORDS = (
    "CHEST", "THORA", "TORAX", "TORAC", "LUNG", "PULMO", "POUMON", "BRUSTKORB", "CXR",
    "KLATKA", "HRUDNIK", "MELLKAS", "GOGUS", "AKCIGER", "КЛЕТК", "胸部",
)  # fmt: skip
OTHER_WORDS = (
    "ABD", "PELV", "SPIN", "LUMB", "VERTEB", "WIRBEL", "COLUMN", "COLONNA", "RACHIS", "RIB",
    "COST", "CLAVIC", "STERN", "SHOULDER", "BREAST", "KREGO", "PATER", "GERINC", "OMURGA", "ПОЗВ",
    "РЕБР", "椎", "肋",
)  # fmt: skip
"""A body part that names one of these beside the chest is another examination."""

UPRIGHT = ("L", "F")
"""Patient Orientation of a frontal radiograph as it is read: rows run left, columns to the feet."""

IMAGE_CHECKS: Final = {
    "content": frozenset(("IMAGE_BLANK", "RANGE_NARROW")),
    "orientation": frozenset(("ORIENTATION_SUSPECT",)),
    "polarity": frozenset(("POLARITY_SUSPECT", "POLARITY_AMBIGUOUS")),
}
"""What the picture itself is asked, and the codes of a warning or a reason that doubt it."""

NARROW_RANGE_RATIO = 0.01
"""Of full scale; 1,500 real radiographs from six sources span 0.28 and more (percentiles 1, 99).
What spans less was sent with far too wide a window, or shows nothing."""

LEAST_LEVELS = 64
"""Distinct levels within a narrow range: noise and the slope of an empty exposure have some 40 of
4,096, a radiograph that is stretched later has hundreds."""

STRUCTURE_RATIO = 0.4
"""Deviation of the picture averaged to 32 x 32, over that of its pixels; lower is noise, not
anatomy. Lowest of the same 1,500: 0.75."""

MOST_ELONGATED_RATIO = 4.0
"""Longer side over the shorter one. 9,699 radiographs of six collections reach 3.2, in pictures
that were cut to the lungs of children (by hand, from their manifest); a longer one is stretched
to a square beyond recognition."""

_STRUCTURE_SIDE = 32


class IntendedUse(BaseModel):
    """Which radiographs a model may read; part of the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modalities: tuple[str, ...] = ("CR", "DX")
    views: tuple[View, ...] = (View.PA, View.AP)
    min_age_years: Annotated[float | None, Field(ge=0)] = 18.0
    max_age_years: Annotated[float | None, Field(ge=0)] = None
    unknown_age: Literal["warn", "refuse"] = "warn"


def check_scope(radiograph: Radiograph, intended_use: IntendedUse) -> tuple[Caution, ...]:
    """Refuse a radiograph outside the intended use; say what could not be checked.

    Raises
    ------
    NotEvaluated
        Reason `NOT_A_CHEST_RADIOGRAPH`, `DERIVED_IMAGE`, `FOR_PROCESSING`, `VIEW_LATERAL`,
        `VIEW_OTHER`, `AGE_OUT_OF_SCOPE`, `AGE_UNKNOWN`, `NOT_A_CHEST` or `IMAGE_BLANK`. Its
        detail holds no patient value.
    """
    context = radiograph.dicom
    cautions = () if context is None else check_tags(context, intended_use)
    thin_grey = thin(radiograph.grey)
    thin_padding = None if radiograph.padding is None else thin(radiograph.padding)
    _check_shape(thin_grey, thin_padding)
    likenesses = compare(thin_grey, thin_padding)
    cautions += _check_content(thin_grey, thin_padding, float(np.abs(likenesses).max()))
    turn = _check_turn(turn_of(likenesses), context)
    return cautions + _check_polarity(float(likenesses[0])) + turn


def check_tags(context: DicomContext, intended_use: IntendedUse) -> tuple[Caution, ...]:
    """The part of `check_scope` that the header alone decides, be the pixels readable or not.

    Raises
    ------
    NotEvaluated
        As `check_scope`, but never `NOT_A_CHEST` or `IMAGE_BLANK`.
    """
    _check_origin(context, intended_use)
    return (
        *_check_body_part(context),
        *_check_view(context, intended_use),
        *_check_age(context, intended_use),
        *_check_annotation(context),
    )


def _check_origin(context: DicomContext, intended_use: IntendedUse) -> None:
    if context.modality not in intended_use.modalities:
        allowed = ", ".join(intended_use.modalities)
        raise NotEvaluated("NOT_A_CHEST_RADIOGRAPH", f"the modality is not one of {allowed}")
    # DERIVED\PRIMARY is what many detectors write on the very image that they want to be read;
    # only SECONDARY says that the pixels were made from another image.
    if context.sop_class_uid in SECONDARY_CAPTURE_UIDS or context.image_type[1:2] == ("SECONDARY",):
        raise NotEvaluated("DERIVED_IMAGE", "a secondary capture or an image made from another")
    if context.presentation_intent == FOR_PROCESSING:
        raise NotEvaluated("FOR_PROCESSING", "raw detector image; expected one for presentation")


def _check_body_part(context: DicomContext) -> tuple[Caution, ...]:
    body_part = fold(context.body_part)
    if not body_part:
        return (Caution("BODY_PART_UNKNOWN", "no body part in the tags; assumed to be a chest"),)
    is_chest = any(word in body_part for word in CHEST_WORDS)
    if not is_chest or any(word in body_part for word in OTHER_WORDS):
        raise NotEvaluated("NOT_A_CHEST_RADIOGRAPH", "the body part in the tags is not the chest")
    if context.anatomic_region not in ("", "CHEST"):
        return (Caution("BODY_PART_AMBIGUOUS", "Anatomic Region Sequence names no chest"),)
    return ()


def _check_view(context: DicomContext, intended_use: IntendedUse) -> tuple[Caution, ...]:
    view = context.view
    if view is View.UNKNOWN:
        return (Caution("VIEW_UNKNOWN", "no single known view in the tags; assumed to be frontal"),)
    if view not in intended_use.views:
        raise NotEvaluated(f"VIEW_{view}", f"view {view}; this model reads frontal views only")
    if view is View.AP:
        return (Caution("VIEW_AP", "AP view: the heart looks larger, and the patient is sicker"),)
    return ()


def _check_age(context: DicomContext, intended_use: IntendedUse) -> tuple[Caution, ...]:
    if context.age_years is None:
        detail = "no readable age or birth date in the tags"
        if intended_use.unknown_age == "refuse":
            raise NotEvaluated("AGE_UNKNOWN", detail)
        return (Caution("AGE_UNKNOWN", detail),)
    if not _is_age_in_scope(context.age_years, intended_use):
        raise NotEvaluated("AGE_OUT_OF_SCOPE", "the patient's age is outside the intended use")
    by_dates = context.age_by_dates_years
    if by_dates is not None and not _is_age_in_scope(by_dates, intended_use):
        return (Caution("AGE_AMBIGUOUS", "the birth date says an age outside the intended use"),)
    return ()


def _is_age_in_scope(age_years: float, intended_use: IntendedUse) -> bool:
    least, most = intended_use.min_age_years, intended_use.max_age_years
    return (least is None or age_years >= least) and (most is None or age_years <= most)


def _check_annotation(context: DicomContext) -> tuple[Caution, ...]:
    if not context.burned_in_annotation:
        return ()
    return (Caution("BURNED_IN_ANNOTATION", "text is burned into the pixels; it may hold names"),)


def _check_shape(grey: Grey, padding: NDArray[np.bool_] | None) -> None:
    """Padding has no part in it."""
    shown = grey if padding is None else grey[recorded_box(padding)]
    shorter, longer = sorted(shown.shape)
    if longer > MOST_ELONGATED_RATIO * shorter:
        raise NotEvaluated("NOT_A_CHEST", "one side is more than four times as long as the other")


def _check_polarity(likeness: float) -> tuple[Caution, ...]:
    """Doubt the tags, or the export, where the picture clearly is a negative."""
    if polarity_of(likeness) is not Polarity.INVERTED:
        return ()
    return (Caution("POLARITY_SUSPECT", "lungs look brighter than mediastinum and abdomen"),)


def _check_turn(degrees: int, context: DicomContext | None) -> tuple[Caution, ...]:
    """Doubt a picture that lies on its side or stands on its head."""
    if degrees:
        return (Caution("ORIENTATION_SUSPECT", f"looks turned by {degrees} degrees"),)
    directions = () if context is None else context.patient_orientation
    if len(directions) == 2 and (directions[0][:1], directions[1][:1]) != UPRIGHT:
        detail = "the tags say that rows and columns do not run to the left and to the feet"
        return (Caution("ORIENTATION_SUSPECT", detail),)
    return ()


def _check_content(
    grey: Grey, padding: NDArray[np.bool_] | None, likeness: float
) -> tuple[Caution, ...]:
    """Refuse a picture, thinned, that is nearly constant, or noise without anatomy.

    A narrow range alone is none: the network sees it stretched. But it has to hold levels enough
    for that, and, however turned, some likeness to a chest.
    """
    filled = grey.astype(np.float32)
    levels = filled.ravel()
    if padding is not None:
        levels = filled[~padding]
        filled[padding] = levels.mean() if levels.size else 0
    if not levels.size:
        raise NotEvaluated("IMAGE_BLANK", "every pixel is padding")
    darkest, brightest = percentiles(levels, 1, 99)
    is_narrow = brightest - darkest < NARROW_RANGE_RATIO * WHITE
    if is_narrow and (likeness < LEAST_LIKENESS or not _has_levels(levels, darkest, brightest)):
        raise NotEvaluated("IMAGE_BLANK", "the picture is nearly constant")
    side = (_STRUCTURE_SIDE, _STRUCTURE_SIDE)
    averaged = cv2.resize(filled, side, interpolation=cv2.INTER_AREA)
    if _deviation(averaged) < STRUCTURE_RATIO * _deviation(filled):
        raise NotEvaluated("IMAGE_BLANK", "the picture holds noise and no anatomy")
    if not is_narrow:
        return ()
    return (Caution("RANGE_NARROW", "less than a hundredth of the grey scale is used"),)


def _has_levels(levels: NDArray[np.float32], darkest: float, brightest: float) -> bool:
    within = levels[(levels >= darkest) & (levels <= brightest)]
    return np.unique(within).size >= LEAST_LEVELS


def _deviation(levels: NDArray[Any]) -> float:
    return float(cv2.meanStdDev(levels)[1].item())
