"""docs/intake.md names every code with its status, and every transfer syntax that is read."""

import re
from pathlib import Path

import pytest

from service import codes
from service.api.problems import STATUS
from service.core.dicom_codecs import DECODERS
from service.core.errors import IntakeError

PAGE = (Path(__file__).parents[2] / "docs" / "intake.md").read_text(encoding="utf-8")
STATUS_OF = {code: int(status) for code, status in re.findall(r"\| `(\w+)` \| (\d{3}) \|", PAGE)}


def section(heading: str) -> str:
    """The text under one heading."""
    return PAGE.split(f"## {heading}")[1].split("\n## ")[0]


def test_every_refusal_is_listed_with_its_status() -> None:
    refusals = {error.code for error in IntakeError.__subclasses__()} & set(STATUS)

    assert {code: int(STATUS[code]) for code in STATUS_OF} == STATUS_OF
    assert refusals - set(STATUS_OF) <= {"UPLOAD_TIMEOUT"}


@pytest.mark.parametrize(
    ("heading", "listed"),
    [
        ("Not evaluated: a valid image outside the intended use", codes.REASONS),
        ("Warned: read and scored, with a code in `warnings`", codes.WARNINGS),
    ],
)
def test_every_code_is_listed(heading: str, listed: tuple[str, ...]) -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", section(heading), re.MULTILINE)) == set(listed)


@pytest.mark.parametrize("transfer_syntax", DECODERS)
def test_every_transfer_syntax_is_listed(transfer_syntax: str) -> None:
    number = transfer_syntax.removeprefix("1.2.840.10008.")

    assert re.search(rf"\b{re.escape(number)}\b", section("Codecs"))
