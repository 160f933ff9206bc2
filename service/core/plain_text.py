"""What people write in any script -> whether it can be kept, and shown as it was written."""

import unicodedata
from typing import Final

UNKEPT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, halves of a pair, line and paragraph ends."""

TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that show what follows in another order, beyond the end of the text that has them."""


def is_plain(text: str) -> bool:
    """Whether a database can keep it, and a page or a line shows it as what it is.

    `str.isprintable` refuses what people need: the wide space of Japanese names, the joiners of
    Persian and Hindi, the no-break space, and every character newer than this Python.
    """
    return text.isprintable() or not any(  # what is printable is plain, and told at once
        character in TURNING or unicodedata.category(character) in UNKEPT for character in text
    )
