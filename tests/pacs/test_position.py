"""Is it still the same Orthanc, and where does reading go on?"""

from hypothesis import given
from hypothesis import strategies as st

from service.pacs.orthanc import Change, ChangesPage
from service.pacs.position import MOST_ANCHORS, Position, Verdict, first_position


def change(number: int, mark: str = "a") -> Change:
    """One line of a log of changes."""
    values = {"ChangeType": "NewStudy", "ID": f"{mark}-{number}", "Date": "D", "Seq": number}
    return Change.model_validate(values)


def answer(log: list[Change], since: int, *, last: int, limit: int = 200) -> ChangesPage:
    """What Orthanc says: the last number of the page, or of all where the page is empty."""
    page = [one for one in log if one.sequence > since][:limit]
    values = {
        "Changes": [one.model_dump(by_alias=True) for one in page],
        "Done": not page or page[-1].sequence == log[-1].sequence,
        "Last": page[-1].sequence if page else last,
    }
    return ChangesPage.model_validate(values)


def read(log: list[Change], position: Position, last: int) -> tuple[Position, list[int], int]:
    """Follow a log to its end; the position, what was new, and how many resets were seen."""
    new: list[int] = []
    resets = 0
    for _ in range(1000):
        page = answer(log, position.since, last=last, limit=7)
        verdict = position.judge(page)
        if verdict is Verdict.RESET:
            position, resets = Position(), resets + 1
        elif verdict is Verdict.VANISHED:
            position = position.without_newest()
        else:
            unread = position.unread(page)
            new += [one.sequence for one in unread]
            position = position.after(unread)
            if page.is_done:
                return position, new, resets
    raise AssertionError("reading never ends")


def log_of(length: int, mark: str = "a") -> list[Change]:
    """Changes 1, 2, 3 ..."""
    return [change(number, mark) for number in range(1, length + 1)]


@given(st.integers(0, 60), st.integers(0, 60))
def test_each_change_is_read_once(before: int, more: int) -> None:
    position, first, _ = read(log_of(before), Position(), before)

    position, second, resets = read(log_of(before + more), position, before + more)

    assert first + second == list(range(1, before + more + 1))
    assert (position.sequence, resets) == (before + more, 0)


@given(st.integers(1, 60), st.integers(1, 120))
def test_another_database_is_noticed_and_read_whole(before: int, after: int) -> None:
    position, _, _ = read(log_of(before), Position(), before)

    _, new, resets = read(log_of(after, "b"), position, after)

    assert resets == 1
    assert new == list(range(1, after + 1))


@given(st.sets(st.integers(1, 40)), st.integers(0, 20))
def test_deleted_changes_are_outlived(deleted: set[int], more: int) -> None:
    whole = log_of(40 + more)
    position, _, _ = read(whole[:40], Position(), 40)
    left = [one for one in whole if one.sequence not in deleted]

    _, new, resets = read(left, position, 40 + more)

    assert resets == 0
    assert set(new) >= set(range(41, 41 + more))


@given(st.integers(0, 60), st.integers(0, 30))
def test_what_was_there_at_first_contact_is_never_read(before: int, more: int) -> None:
    log = log_of(before)
    newest = ChangesPage.model_validate(
        {"Changes": [one.model_dump(by_alias=True) for one in log[-1:]], "Done": True,
         "Last": before}
    )  # fmt: skip

    position = first_position(newest)
    _, new, resets = read(log_of(before + more), position, before + more)

    assert (new, resets) == (list(range(before + 1, before + more + 1)), 0)


def test_archive_stays_unread_though_every_anchor_was_deleted() -> None:
    position = first_position(answer(log_of(40)[-1:], 0, last=40))
    position, _, _ = read(log_of(50), position, 50)
    left = [one for one in log_of(60) if not 40 <= one.sequence <= 50]

    _, new, resets = read(left, position, 60)

    assert (new, resets) == (list(range(51, 61)), 0)


def test_few_anchors_are_kept() -> None:
    position, _, _ = read(log_of(300), Position(), 300)

    assert len(position.anchors) == MOST_ANCHORS
