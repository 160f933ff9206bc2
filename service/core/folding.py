"""Words of tags as they are compared; by itself, since a manifest is read before any DICOM is."""

import unicodedata
from contextlib import suppress


def fold(text: str) -> str:
    """Capitals without accents, whatever character set the sender took."""
    with suppress(UnicodeError):  # code strings have none of their own, so UTF-8 reads as Latin 1
        text = text.encode("latin-1").decode("utf-8")
    letters = unicodedata.normalize("NFKD", text.upper())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
