"""Tags -> which part of the body, seen from which side: words and codes in many spellings."""

import re
from typing import Final

from service.core.dicom_tags import Tags
from service.core.folding import fold
from service.core.radiograph import View

LATERAL_WORDS: Final = frozenset(
    ("LL", "RL", "LAT", "LLAT", "RLAT", "LLATERAL", "RLATERAL", "LTLATERAL", "RTLATERAL",
     "XTLATERAL", "PROFIL", "PROFILE", "PERFIL", "SEITLICH")
)  # fmt: skip
OTHER_WORDS: Final = frozenset(("RLO", "LLO", "RLD", "LLD", "RAO", "LAO", "RPO", "LPO"))
"""Defined terms of View Position (PS3.3 C.8.1.1), and their anterior and posterior kin."""

LATERAL_STEMS: Final = ("LATERAL",)
OTHER_STEMS: Final = ("OBL", "DECUB", "LORDO", "AXIAL", "TANGENT")
"""What a word begins with; a special view stays one, whether it is called AP or PA besides."""

PLACEHOLDERS: Final = frozenset(
    ("UNKNOWN", "OTHER", "OTHERS", "NONE", "NULL", "ANY", "NA", "UNSPECIFIED", "UNDEFINED",
     "NOTSPECIFIED", "NOTAPPLICABLE", "DEFAULT", "BODYPART", "XX", "XXX", "")
)  # fmt: skip
"""Of Body Part Examined, without blanks and signs: says nothing."""

_VIEW_CODES: Final = {
    "272479007": View.PA,
    "R-10214": View.PA,
    "R-40888": View.PA,
    "399348003": View.AP,
    "R-10206": View.AP,
    "399067008": View.LATERAL,
    "R-102CD": View.LATERAL,
    "399173006": View.LATERAL,
    "R-10236": View.LATERAL,
    "399198007": View.LATERAL,
    "R-10232": View.LATERAL,
}
"""DICOM CID 4010, SNOMED CT and its older SRT codes."""

_OTHER_VIEW_CODES: Final = frozenset((
    # Oblique ones.
    "399038007", "399225005", "399059000", "399099002", "399288005", "399135007", "260427002",
    "399236003", "399368009", "399356000", "399312000", "399184004", "399182000", "260426006",
    "399132005", "399325008", "399160007", "399004004", "399006002", "R-10210", "R-10250",
    "R-10216", "R-10230", "R-10248", "R-10220", "R-40783", "R-10234", "R-10226", "R-40985",
    "R-10208", "R-10238", "R-102C1", "R-40782", "R-10252", "R-10254", "R-10204", "R-10246",
    "R-10212",
    # Axial, sagittal, tangential, cranio-caudal, medio-lateral, and the other way round.
    "399061009", "30730003", "399110001", "399162004", "399196006", "399260004", "399352003",
    "R-10241", "G-A145", "R-102C2", "R-10242", "R-10244", "R-10224", "R-10228",
))  # fmt: skip
"""The rest of DICOM CID 4010 that may be taken of a trunk."""

_FRONT_OR_BACK: Final = ("A", "P")

_CHEST_CODES: Final = frozenset(
    ("51185008", "816094009", "T-D3000", "43799004", "T-D3200", "39607008", "T-28000",
     "86598002", "72410000")
)  # fmt: skip
"""DICOM CID 4009 and 4: chest, thoracic cavity, lung and its apex, mediastinum; SNOMED CT, SRT."""


def read_view(tags: Tags) -> View:
    """View Position and View Code Sequence; free text (series description) is not read.

    Where the two disagree, the one that is no frontal view counts. A View Position that names
    frontal and lateral at once tells which films belong together, and not which one this is. Where
    neither tells, Patient Orientation may: of a frontal view no side runs to the front or the back.
    """
    words = re.split(r"[^A-Z]+", fold(" ".join(tags.texts("ViewPosition"))))
    by_word = _view_of(words)
    codes = [item.text("CodeValue").upper() for item in tags.items("ViewCodeSequence")]
    found = [by_word, *(_view_of_code(code) for code in codes)]
    for view in (View.OTHER, View.LATERAL):
        if view in found:
            return view
    told = next((view for view in found if view is not View.UNKNOWN), None)
    return _view_of_sides(tags.texts("PatientOrientation")) if told is None else told


def read_body_part(tags: Tags) -> str:
    """Body Part Examined, else Anatomic Region Sequence: "CHEST", or the code of another region."""
    body_part = fold(tags.text("BodyPartExamined"))
    return read_region(tags) if re.sub(r"\W|_", "", body_part) in PLACEHOLDERS else body_part


def read_region(tags: Tags) -> str:
    """Anatomic Region Sequence: "CHEST", the code of another region, or ""."""
    codes = [item.text("CodeValue").upper() for item in tags.items("AnatomicRegionSequence")]
    code = next((code for code in codes if code), "")
    return "CHEST" if code in _CHEST_CODES else code


def _view_of_sides(directions: tuple[str, ...]) -> View:
    """Where rows and columns run (PS3.3 C.7.6.1.1.1): A and P are anterior and posterior."""
    if len(directions) != 2:
        return View.UNKNOWN
    rows, columns = (direction[:1].upper() for direction in directions)
    if rows in _FRONT_OR_BACK:
        return View.LATERAL
    return View.OTHER if columns in _FRONT_OR_BACK else View.UNKNOWN


def _view_of_code(code: str) -> View:
    return View.OTHER if code in _OTHER_VIEW_CODES else _VIEW_CODES.get(code, View.UNKNOWN)


def _view_of(words: list[str]) -> View:
    if OTHER_WORDS.intersection(words) or any(word.startswith(OTHER_STEMS) for word in words):
        return View.OTHER
    found = {View(word) for word in words if word in (View.PA, View.AP)}
    if LATERAL_WORDS.intersection(words) or any(w.startswith(LATERAL_STEMS) for w in words):
        found.add(View.LATERAL)
    return found.pop() if len(found) == 1 else View.UNKNOWN
