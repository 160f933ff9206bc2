"""What `nvidia-smi` says is heard, and nothing is where it says nothing."""

from pathlib import Path

import pytest

from bench.busy import busy_of, read_samples, watching


def write_program(folder: Path, body: str) -> str:
    """A stand-in for `nvidia-smi`; notes how it was asked."""
    path = folder / "smi"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n{body}\n', "utf-8")
    path.chmod(0o755)
    return str(path)


def test_words_of_nvidia_smi_that_are_no_numbers_are_left_out() -> None:
    assert read_samples(["97\n", "[N/A]\n", " 100\n", "\n"]) == [0.97, 1.0]


@pytest.mark.parametrize(
    ("shares", "expected"), [([], None), ([0.0, 0.9, 1.0, 0.0], 0.95), ([0.5], 0.5)]
)
def test_device_is_as_busy_as_in_the_middle_of_the_run(
    shares: list[float], expected: float | None
) -> None:
    assert busy_of(shares) == expected


def test_share_of_the_named_device_is_told(tmp_path: Path) -> None:
    program = write_program(tmp_path, "echo 87")

    with watching("GPU-1234", program) as busy:
        pass

    assert busy() == 0.87
    assert (tmp_path / "asked").read_text("utf-8").startswith("-i GPU-1234 ")


@pytest.mark.parametrize("body", ["echo '[N/A]'", "echo 'No devices were found'; exit 6"])
def test_program_that_cannot_tell_stops_nothing(tmp_path: Path, body: str) -> None:
    with watching("GPU-1234", write_program(tmp_path, body)) as busy:
        pass

    assert busy() is None


def test_machine_without_the_program_stops_nothing(tmp_path: Path) -> None:
    with watching("GPU-1234", str(tmp_path / "none")) as busy:
        pass

    assert busy() is None


def test_nothing_is_asked_where_there_is_no_device(tmp_path: Path) -> None:
    with watching(None, write_program(tmp_path, "echo 87")) as busy:
        pass

    assert busy() is None
    assert not (tmp_path / "asked").exists()
