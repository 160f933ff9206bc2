"""The queue is durable, knows each instance once, and moves with its position or not at all."""

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from service.pacs.backoff import LONGEST_SECONDS
from service.pacs.options import PacsMisconfigured
from service.pacs.orthanc import Change
from service.pacs.position import Anchor, Position
from service.pacs.queue import Item, Queue, State, open_queue
from service.pacs.queue_file import held_alone
from tests.support.clocks import ManualClock
from tests.support.fake_pacs import name_of


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(tmp_path: Path, clock: ManualClock) -> Queue:
    return open_queue(tmp_path / "pacs.db", clock)


def new_instance(number: int, sequence: int) -> Change:
    """A line of the log of changes."""
    values = {"ChangeType": "NewInstance", "ID": name_of(number), "Date": "D", "Seq": sequence}
    return Change.model_validate(values)


def taken(queue: Queue, *others: str) -> Item:
    """The next that is due."""
    item = queue.next_due(others).item
    assert item is not None
    return item


def test_page_and_position_are_committed_together(queue: Queue, tmp_path: Path) -> None:
    position = Position(5, 0, (Anchor(5, "mark"),))
    queue.advance([new_instance(1, 4), new_instance(2, 5)], position)

    reopened = open_queue(tmp_path / "pacs.db", ManualClock())

    assert reopened.position() == position
    assert reopened.counts()[State.WAITING] == 2


def test_page_that_cannot_be_enqueued_moves_no_position(queue: Queue) -> None:
    queue.advance([], Position(3))
    broken = new_instance(1, 4).model_copy(update={"id": None})

    with pytest.raises(IntegrityError):
        queue.advance([new_instance(2, 5), broken], Position(5))

    assert queue.position() == Position(3)
    assert queue.counts()[State.WAITING] == 0


def test_instance_is_known_by_its_name_alone(queue: Queue) -> None:
    assert queue.notice(name_of(1))

    assert not queue.notice(name_of(1))
    assert queue.advance([new_instance(1, 9)], Position(9)) == 0
    assert queue.counts()[State.WAITING] == 1


def test_first_to_come_is_first_to_go_and_none_is_given_twice(
    queue: Queue, clock: ManualClock
) -> None:
    queue.notice(name_of(2))
    clock.advance(1)
    queue.notice(name_of(1))

    first = taken(queue)
    second = taken(queue, first.instance)

    assert [first.instance, second.instance] == [name_of(2), name_of(1)]
    assert queue.next_due([name_of(1), name_of(2)]).item is None


def test_postponed_instance_waits_its_time(queue: Queue, clock: ManualClock) -> None:
    queue.notice(name_of(1))
    queue.postpone(taken(queue), "PACS_FAILED", 30)

    assert queue.next_due([]).seconds == 30
    clock.advance(30)
    assert (taken(queue).tries, taken(queue).instance) == (1, name_of(1))


def test_instance_that_lets_others_pass_goes_behind_those_that_are_due(
    queue: Queue, clock: ManualClock
) -> None:
    for number in (1, 2):
        queue.notice(name_of(number))
        clock.advance(1)

    queue.let_others_pass(taken(queue))

    assert taken(queue).instance == name_of(2)
    assert (taken(queue, name_of(2)).instance, taken(queue, name_of(2)).tries) == (name_of(1), 0)


@pytest.mark.parametrize("seconds", [60, 3600])
def test_clock_that_is_set_back_holds_up_nothing_that_was_due(
    queue: Queue, clock: ManualClock, seconds: float
) -> None:
    queue.notice(name_of(1))
    clock.advance(-seconds)

    assert taken(queue).instance == name_of(1)


def test_clock_that_is_set_back_makes_no_wait_longer_than_the_longest(
    queue: Queue, clock: ManualClock
) -> None:
    queue.notice(name_of(1))
    queue.postpone(taken(queue), "PACS_FAILED", LONGEST_SECONDS)
    before = queue.next_due([])
    clock.advance(-3600)

    assert before.seconds == LONGEST_SECONDS
    assert taken(queue).instance == name_of(1)


def test_wait_of_another_holds_up_nothing_from_before_the_clock_was_set_back(
    queue: Queue, clock: ManualClock
) -> None:
    queue.notice(name_of(1))
    clock.advance(-3600)
    queue.notice(name_of(2))
    queue.postpone(taken(queue), "PACS_FAILED", 30)

    assert taken(queue).instance == name_of(1)


def test_what_was_noticed_before_the_clock_was_set_back_grows_old_from_then_on(
    queue: Queue, clock: ManualClock
) -> None:
    queue.notice(name_of(1))
    clock.advance(300)
    queue.notice(name_of(2))
    clock.advance(-3600)

    oldest = [queue.depth().oldest_noticed]
    clock.advance(60)
    oldest.append(queue.depth().oldest_noticed)

    assert oldest == [clock.now - 360] * 2


def test_id_of_the_row_is_the_same_after_a_restart(queue: Queue, tmp_path: Path) -> None:
    queue.notice(name_of(1))
    before = taken(queue)

    after = taken(open_queue(tmp_path / "pacs.db", ManualClock(2000)))

    assert after.case_id == before.case_id


def test_instance_stored_anew_while_it_was_pulled_waits_once_more(queue: Queue) -> None:
    queue.advance([new_instance(1, 4)], Position(4))
    item = taken(queue)
    queue.advance([new_instance(1, 8)], Position(8))

    is_over = queue.settle(item, State.ANSWERED, digest="sha256:1")

    again = taken(queue)
    assert not is_over
    assert again.digest == "sha256:1"
    assert again.case_id != item.case_id


def test_changes_that_are_read_again_revive_nothing(queue: Queue) -> None:
    queue.advance([new_instance(1, 4)], Position(4))
    queue.settle(taken(queue), State.ANSWERED)

    new = queue.advance([new_instance(1, 4)], Position(4))

    assert new == 0
    assert queue.counts()[State.ANSWERED] == 1


@pytest.mark.parametrize("is_told", [True, False])
def test_instance_that_comes_back_waits_again(queue: Queue, is_told: bool) -> None:
    queue.notice(name_of(1))
    queue.settle(taken(queue), State.GONE)

    if is_told:
        queue.notice(name_of(1))
    else:
        queue.advance([new_instance(1, 4)], Position(4))

    assert taken(queue).instance == name_of(1)


def test_change_of_an_instance_that_was_told_first_is_nothing_new(queue: Queue) -> None:
    queue.notice(name_of(1))
    queue.settle(taken(queue), State.ANSWERED)

    assert queue.advance([new_instance(1, 4)], Position(4)) == 0
    assert queue.advance([new_instance(1, 9)], Position(9)) == 1


def test_another_database_revives_no_known_instance(queue: Queue) -> None:
    queue.advance([new_instance(1, 4)], Position(4))
    queue.settle(taken(queue), State.ANSWERED)

    queue.begin_anew()
    new = queue.advance([new_instance(1, 900), new_instance(2, 901)], Position(901))

    assert new == 1
    assert queue.counts()[State.ANSWERED] == 1
    assert queue.resets() == 1


def test_dead_letters_are_listed_and_wait_again_when_told(queue: Queue) -> None:
    for number in (1, 2):
        queue.notice(name_of(number))
        queue.give_up(taken(queue), "PACS_FAILED")

    assert [letter.tries for letter in queue.dead_letters()] == [1, 1]
    assert queue.retry([name_of(2)]) == 1
    assert (taken(queue).instance, taken(queue).tries) == (name_of(2), 0)
    assert queue.depth().dead == 1


def test_depth_tells_the_oldest(queue: Queue, clock: ManualClock) -> None:
    queue.notice(name_of(1))
    clock.advance(60)
    queue.notice(name_of(2))

    depth = queue.depth()

    assert (depth.waiting, depth.dead, depth.oldest_noticed) == (2, 0, 1000.0)


def test_second_service_is_kept_from_the_queue(tmp_path: Path) -> None:
    with (
        held_alone(tmp_path / "pacs.db"),
        pytest.raises(PacsMisconfigured, match="another service"),
        held_alone(tmp_path / "pacs.db"),
    ):
        raise AssertionError("both got in")


def test_file_that_is_no_queue_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pacs.db").write_bytes(b"not a database " * 100)

    with pytest.raises(PacsMisconfigured, match="cannot be opened"):
        open_queue(tmp_path / "pacs.db", ManualClock())


def test_folder_of_the_queue_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pacs.db"

    with held_alone(path):
        open_queue(path, ManualClock())

    assert path.exists()


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(PacsMisconfigured, match="cannot be created"):
        open_queue(tmp_path / "file" / "pacs.db", ManualClock())


def test_queue_is_private(queue: Queue, tmp_path: Path) -> None:
    queue.notice(name_of(1))

    assert (tmp_path / "pacs.db").stat().st_mode & 0o077 == 0
