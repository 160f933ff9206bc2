"""Which examination it is, as tags say it: what is read, and what is outside the intended use."""

import numpy as np
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    DigitalXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from tests.support.cases import Case, exact, refused, warned
from tests.support.dicom_damage import replaced, report, with_sequence
from tests.support.phantoms import chest_levels
from tests.support.radiographs import coded

LEVELS_8 = chest_levels(96, 80, bits=8).astype(np.uint8)
GREY_RGB = np.dstack([LEVELS_8] * 3)
COLOURED = GREY_RGB * np.array([1, 0, 0], np.uint8)
OTHER_VIEWS = ("RLO", "LLO", "RLD", "LLD", "RAO", "LAO", "OBLIQUE", "AP LORDOTIC", "LAT DECUB")

EXAM: dict[str, Case] = {
    "body part in other words": exact(body_part="PORT CHEST"),
    "body part in French": exact(body_part="POUMONS"),
    "body part in Spanish": exact(body_part="T\u00d3RAX"),
    "body part in Polish": exact(body_part="KLATKA PIERSIOWA"),
    "body part in Turkish, in UTF-8": exact(
        body_part="x" * 8, change=replaced(b"x" * 8, "GÖĞÜS".encode())
    ),
    "body part in Russian, in UTF-8": exact(
        body_part="x" * 28, change=replaced(b"x" * 28, "ГРУДНАЯ КЛЕТКА ".encode())
    ),
    "body part in Japanese, in UTF-8": exact(
        body_part="x" * 6, change=replaced(b"x" * 6, "胸部".encode())
    ),
    "body part in Spanish, in UTF-8": exact(
        body_part="T__RAX", change=replaced(b"T__RAX", "T\u00d3RAX".encode())
    ),
    "body part that is a placeholder": warned("BODY_PART_UNKNOWN", body_part="UNKNOWN"),
    "placeholder beside a code": exact(
        body_part="OTHER", tags={"AnatomicRegionSequence": coded("51185008")}
    ),
    "body part that its code contradicts": warned(
        "BODY_PART_AMBIGUOUS", tags={"AnatomicRegionSequence": coded("818981001")}
    ),
    "body part by its code": exact(
        body_part=None, tags={"AnatomicRegionSequence": coded("51185008")}
    ),
    "view by its code": exact(view=None, tags={"ViewCodeSequence": coded("272479007")}),
    "18 years, by dates": exact(
        age=None, tags={"PatientBirthDate": "20060615", "StudyDate": "20240615"}
    ),
    "age in weeks": exact(age="999W"),
    "age without leading zeros": exact(age="45Y"),
    "a sequence that is not read, with 49,000 items": exact(
        change=with_sequence(0x00400275, 49_000)
    ),
    "view by one of 49,000 codes": warned(
        "TAG_UNREADABLE", change=with_sequence(0x00540220, 49_000)
    ),
    "view by 700 sequences of codes": warned(
        "TAG_UNREADABLE", change=with_sequence(0x00540220, 60, times=700)
    ),
    "AP view": warned("VIEW_AP", view="AP"),
    "no view": warned("VIEW_UNKNOWN", view=None),
    "unknown view": warned("VIEW_UNKNOWN", view="STEHEND"),
    "views of a whole study": warned("VIEW_UNKNOWN", view="PA/LAT"),
    "views of a whole study, as two values": warned("VIEW_UNKNOWN", view=["PA", "LATERAL"]),
    "views of a whole study, this one by its code": exact(
        view="PA/LAT", tags={"ViewCodeSequence": coded("272479007")}
    ),
    "frontal by its view, lateral by its sides": warned(
        "ORIENTATION_SUSPECT", tags={"PatientOrientation": ["A", "F"]}
    ),
    "view in several words": exact(view="ERECT PA"),
    "no body part": warned("BODY_PART_UNKNOWN", body_part=None),
    "age of 999 years": warned("AGE_UNKNOWN", age="999Y"),
    "age of 131 years, 45 by dates": exact(age="131Y", tags={"PatientBirthDate": "19790101"}),
    "age that the birth date contradicts": warned(
        "AGE_AMBIGUOUS", tags={"PatientBirthDate": "20200101"}
    ),
    "no age": warned("AGE_UNKNOWN", age=None, tags={"PatientBirthDate": None}),
    "unreadable age": warned("AGE_UNKNOWN", age="YY", tags={"PatientBirthDate": "1899"}),
}

PURPOSE: dict[str, Case] = {
    "for processing": refused("FOR_PROCESSING", tags={"PresentationIntentType": "FOR PROCESSING"}),
    "for processing, by SOP class": refused(
        "FOR_PROCESSING", tags={"SOPClassUID": DigitalXRayImageStorageForProcessing}
    ),
    "CT": refused("NOT_A_CHEST_RADIOGRAPH", modality="CT", tags={"SOPClassUID": CTImageStorage}),
    "fluoroscopy": refused(
        "NOT_A_CHEST_RADIOGRAPH",
        modality="RF",
        tags={"SOPClassUID": XRayRadiofluoroscopicImageStorage},
    ),
    "other": refused("NOT_A_CHEST_RADIOGRAPH", modality="OT"),
    "mammogram": refused("NOT_A_CHEST_RADIOGRAPH", modality="MG"),
    "hand": refused("NOT_A_CHEST_RADIOGRAPH", body_part="HAND"),
    "thoracic spine": refused("NOT_A_CHEST_RADIOGRAPH", body_part="THORAXSPINE"),
    "thoracolumbar spine": refused("NOT_A_CHEST_RADIOGRAPH", body_part="THORACOLUMBAR"),
    "placeholder beside the code of a knee": refused(
        "NOT_A_CHEST_RADIOGRAPH",
        body_part="UNKNOWN",
        tags={"AnatomicRegionSequence": coded("72696002")},
    ),
    "lateral": refused("VIEW_LATERAL", view="LL"),
    "PA, lateral by its code": refused(
        "VIEW_LATERAL", tags={"ViewCodeSequence": coded("399067008")}
    ),
    "lateral, by its sides alone": refused(
        "VIEW_LATERAL", view=None, tags={"PatientOrientation": ["P", "F"]}
    ),
    "views of a whole study, lateral by its sides": refused(
        "VIEW_LATERAL", view="PA/LAT", tags={"PatientOrientation": ["A", "FR"]}
    ),
    "axial, by its sides alone": refused(
        "VIEW_OTHER", view=None, tags={"PatientOrientation": ["L", "P"]}
    ),
    "thoracic spine in Polish": refused("NOT_A_CHEST_RADIOGRAPH", body_part="KREGOSLUP KLATKA"),
    "thoracic spine in Japanese": refused(
        "NOT_A_CHEST_RADIOGRAPH",
        body_part="x" * 6,
        change=replaced(b"x" * 6, "胸椎".encode()),
    ),
    "oblique, by its code": refused(
        "VIEW_OTHER", view=None, tags={"ViewCodeSequence": coded("399356000")}
    ),
    **{f"view {view}": refused("VIEW_OTHER", view=view) for view in OTHER_VIEWS},
    "lateral, by its code": refused(
        "VIEW_LATERAL", view=None, tags={"ViewCodeSequence": coded("399173006")}
    ),
    "secondary capture": refused(
        "DERIVED_IMAGE", tags={"SOPClassUID": SecondaryCaptureImageStorage}
    ),
    "coloured secondary capture": refused(
        "DERIVED_IMAGE",
        COLOURED,
        photometric="RGB",
        bits_stored=8,
        tags={"SOPClassUID": SecondaryCaptureImageStorage},
    ),
    "made from another image": refused(
        "DERIVED_IMAGE", tags={"ImageType": ["DERIVED", "SECONDARY"]}
    ),
    "child": refused("AGE_OUT_OF_SCOPE", age="007Y"),
    "child, bad value": refused("AGE_OUT_OF_SCOPE", age="7Y"),
    "infant in months": refused("AGE_OUT_OF_SCOPE", age="018M"),
    "age of 999 years, child by birth date": refused(
        "AGE_OUT_OF_SCOPE", age="999Y", tags={"PatientBirthDate": "20200101"}
    ),
    "child, by birth date": refused(
        "AGE_OUT_OF_SCOPE",
        age=None,
        tags={"PatientBirthDate": "20150101", "StudyDate": "20240615"},
    ),
    "structured report": Case(report(BasicTextSRStorage, "SR"), "NOT_AN_IMAGE"),
    "presentation state": Case(
        report(GrayscaleSoftcopyPresentationStateStorage, "PR"), "NOT_AN_IMAGE"
    ),
    "key object": Case(report(KeyObjectSelectionDocumentStorage, "KO"), "NOT_AN_IMAGE"),
    "PDF": Case(report(EncapsulatedPDFStorage, "DOC"), "NOT_AN_IMAGE"),
}
