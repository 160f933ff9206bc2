"""Names and notes of any script can be kept; what a terminal or a page would obey cannot."""

import pytest

from service.core.plain_text import is_plain


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Müller",
        "山田\u3000太郎",
        "نمی\u200cشود",
        "क्\u200dष",
        "n°\u00a03",
        "\u200fאב",
        "\U0001fae8",
    ],
)
def test_every_script_is_plain(text: str) -> None:
    assert is_plain(text)


@pytest.mark.parametrize(
    "text",
    ["a\0b", "a\nb", "a\tb", "\x1b[2J", "a\x85b", "a\u2028b", "\ud800", "a\u202eb", "\u2067a"],
)
def test_what_ends_a_line_or_turns_the_text_is_not(text: str) -> None:
    assert not is_plain(text)
