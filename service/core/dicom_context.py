"""Tags -> DicomContext: what scope, record and drift need to know of a radiograph."""

import re
from datetime import date

from service.core.dicom_anatomy import read_body_part, read_region, read_view
from service.core.dicom_tags import Tags
from service.core.radiograph import DicomContext

CR_IMAGE = "1.2.840.10008.5.1.4.1.1.1"
DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"

MAX_AGE_YEARS = 130
"""More is mistyped; the oldest verified human reached 122."""

MAX_PIXEL_ASPECT = 4.0
"""More is mistyped: no detector or film scanner is known to write such pixels."""

_PIXEL_SIDES = (
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelAspectRatio",
)
"""Each is height\\width."""

_DAYS_PER_YEAR = 365.2425
_MODALITY_BY_SOP_CLASS = {CR_IMAGE: "CR", DX_FOR_PRESENTATION: "DX", DX_FOR_PROCESSING: "DX"}
_AGE = re.compile(r"(\d{1,3}) ?([DWMY])", re.IGNORECASE)
_AGE_UNITS = {"D": 1 / _DAYS_PER_YEAR, "W": 7 / _DAYS_PER_YEAR, "M": 1 / 12, "Y": 1.0}
_DATE = re.compile(r"(\d{4})[.\-]?(\d{2})[.\-]?(\d{2})")


def read_context(tags: Tags) -> DicomContext:
    """Collect the context; polarity and window source are filled in by the reader."""
    sop_class = tags.text("SOPClassUID")
    intent = tags.text("PresentationIntentType").upper()
    return DicomContext(
        modality=tags.text("Modality").upper() or _MODALITY_BY_SOP_CLASS.get(sop_class, ""),
        view=read_view(tags),
        body_part=read_body_part(tags),
        anatomic_region=read_region(tags),
        age_years=read_age_years(tags),
        age_by_dates_years=read_age_by_dates(tags),
        presentation_intent="FOR PROCESSING" if sop_class == DX_FOR_PROCESSING else intent,
        image_type=tuple(value.upper() for value in tags.texts("ImageType")),
        sop_class_uid=sop_class,
        polarity_source="",
        window_source="",
        pixel_aspect=read_pixel_aspect(tags),
        burned_in_annotation=tags.text("BurnedInAnnotation").upper() == "YES",
        patient_orientation=tuple(value.upper() for value in tags.texts("PatientOrientation")),
        manufacturer=tags.text("Manufacturer"),
        model_name=tags.text("ManufacturerModelName"),
        station_name=tags.text("StationName"),
        device_serial_number=tags.text("DeviceSerialNumber"),
        software_versions="\\".join(tags.texts("SoftwareVersions")),
        sop_instance_uid=tags.text("SOPInstanceUID"),
        study_instance_uid=tags.text("StudyInstanceUID"),
        accession_number=tags.text("AccessionNumber"),
        patient_id=tags.text("PatientID"),
    )


def read_age_years(tags: Tags) -> float | None:
    """Patient's Age with its unit, else from the dates of birth and study."""
    match = _AGE.fullmatch(tags.text("PatientAge"))
    age = None if match is None else int(match[1]) * _AGE_UNITS[match[2].upper()]
    return read_age_by_dates(tags) if age is None or age > MAX_AGE_YEARS else age


def read_age_by_dates(tags: Tags) -> float | None:
    """Age on the day of the study, or of the acquisition, by the date of birth."""
    born = _read_date(tags, "PatientBirthDate")
    taken = (_read_date(tags, keyword) for keyword in ("StudyDate", "AcquisitionDate"))
    day = next((found for found in taken if found is not None), None)
    if born is None or day is None:
        return None
    birthdays = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    if not 0 <= birthdays <= MAX_AGE_YEARS:
        return None
    # Whole years from the first birthday on: a calendar year is not 365.2425 days.
    return float(birthdays) if birthdays else (day - born).days / _DAYS_PER_YEAR


def read_pixel_aspect(tags: Tags) -> float:
    """Height of a pixel over its width; 1 where no tag tells a plausible one.

    References
    ----------
    DICOM PS3.3 C.7.6.3.1.7: Pixel Aspect Ratio is for images without a spacing.
    """
    for keyword in _PIXEL_SIDES:
        sides = tags.numbers(keyword)
        if len(sides) == 2 and min(sides) > 0:
            aspect = sides[0] / sides[1]
            if 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT:
                return aspect
    return 1.0


def _read_date(tags: Tags, keyword: str) -> date | None:
    match = _DATE.match(tags.text(keyword))
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
