"""The command line of `make bench`."""

import pytest

from bench.speed import PARTS, read_arguments


def test_without_a_choice_everything_is_measured() -> None:
    assert tuple(read_arguments([]).parts) == PARTS


def test_parts_are_chosen_by_name() -> None:
    assert read_arguments(["start", "soak"]).parts == ["start", "soak"]


def test_a_part_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments(["warp"])

    assert "none of engines, serving" in capsys.readouterr().err
