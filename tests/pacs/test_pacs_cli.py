"""`cxr-triage pacs`: what waits, what was given up, and another try for it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.pacs.position import Position
from service.pacs.queue import Queue, State, open_queue
from tests.support.clocks import ManualClock
from tests.support.fake_pacs import name_of


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("CXR_PACS__QUEUE_FILE", str(tmp_path / "pacs.db"))
    queue = open_queue(tmp_path / "pacs.db", ManualClock())
    queue.advance([], Position(12))
    return queue


def give_up(queue: Queue, number: int) -> None:
    """Make a dead letter."""
    queue.notice(name_of(number))
    item = queue.next_due([]).item
    assert item is not None
    queue.give_up(item, "PACS_FAILED")


def test_status_tells_how_much_waits_and_how_far_it_was_read(queue: Queue) -> None:
    queue.notice(name_of(1))

    result = CliRunner().invoke(app, ["pacs", "status", "--json"])

    told = json.loads(result.stdout)
    assert (result.exit_code, told["waiting"], told["last_sequence"]) == (0, 1, 12)
    assert told["oldest_waiting_seconds"] > 1e6


def test_dead_letters_are_named_and_told_to_scripts(queue: Queue) -> None:
    give_up(queue, 1)

    listed = CliRunner().invoke(app, ["pacs", "dead-letters", "--json"])
    status = CliRunner().invoke(app, ["pacs", "status"])

    assert json.loads(listed.stdout) == {
        "instance": name_of(1), "code": "PACS_FAILED", "tries": 1,
        "given_up": "1970-01-01T00:16:40+00:00",
    }  # fmt: skip
    assert (listed.exit_code, status.exit_code) == (3, 3)


def test_letter_is_shown_whole_where_eighty_columns_do_not_hold_it(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    queue.notice(name_of(1))
    item = queue.next_due([]).item
    assert item is not None
    queue.give_up(item, "UNSUPPORTED_TRANSFER_SYNTAX")

    (_, line) = CliRunner().invoke(app, ["pacs", "dead-letters"]).stdout.splitlines()

    assert line.split() == [
        name_of(1), "UNSUPPORTED_TRANSFER_SYNTAX", "1", "1970-01-01T00:16:40+00:00",
    ]  # fmt: skip


def test_letter_is_shown_as_it_is_named(queue: Queue) -> None:
    queue.notice("[red]x[/red]:x:")
    item = queue.next_due([]).item
    assert item is not None
    queue.give_up(item, "PACS_[bold]FAILED")

    listed = CliRunner().invoke(app, ["pacs", "dead-letters"]).stdout

    assert "[red]x[/red]:x:" in listed
    assert "PACS_[bold]FAILED" in listed


def test_chosen_letter_waits_again(queue: Queue) -> None:
    give_up(queue, 1)
    give_up(queue, 2)

    result = CliRunner().invoke(app, ["pacs", "retry", name_of(2)])

    assert (result.exit_code, result.stdout) == (0, "1 waiting again\n")
    assert queue.counts()[State.DEAD] == 1


def test_all_letters_wait_again(queue: Queue) -> None:
    give_up(queue, 1)
    give_up(queue, 2)

    assert CliRunner().invoke(app, ["pacs", "retry", "--all"]).exit_code == 0
    assert queue.counts()[State.WAITING] == 2


def test_letter_that_is_not_there_is_told_by_the_exit_code(queue: Queue) -> None:
    give_up(queue, 1)

    assert CliRunner().invoke(app, ["pacs", "retry", name_of(9)]).exit_code == 1
    assert CliRunner().invoke(app, ["pacs", "retry"]).exit_code == 2


def test_without_a_queue_it_says_what_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_PACS__QUEUE_FILE", str(tmp_path / "pacs.db"))

    result = CliRunner().invoke(app, ["pacs", "status"])

    assert (result.exit_code, "CXR_PACS__URL" in result.stderr) == (1, True)
