"""How far the changes of an Orthanc were read, and whether it is still the same Orthanc.

A sequence number alone does not tell: a database that was made anew counts from one again, and
may have passed the stored number before it is asked. So some of the last changes are remembered
as anchors, and every question begins at the newest of them: it must come back as it was.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from service.pacs.orthanc import Change, ChangesPage

MOST_ANCHORS: Final = 16
"""Deleting an instance deletes its changes too; so many deletions in a row are outlived."""


class Verdict(StrEnum):
    """What a page says of the database behind it."""

    SAME = "same"
    VANISHED = "vanished"
    """The newest anchor is not there any more: ask from the one before."""
    RESET = "reset"
    """Another database."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One change, as it must come back."""

    sequence: int
    mark: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on.

    Attributes
    ----------
    sequence
        Of the last change that was read.
    floor
        Changes up to this one are older than the first contact and never looked at.
    anchors
        Oldest first.
    """

    sequence: int = 0
    floor: int = 0
    anchors: tuple[Anchor, ...] = ()

    @property
    def since(self) -> int:
        """What to ask for: the newest anchor once more, and all that came after it."""
        return self.anchors[-1].sequence - 1 if self.anchors else self.floor

    def judge(self, page: ChangesPage) -> Verdict:
        """Compare a page that was asked for with `since`."""
        if page.last < self.since:
            return Verdict.RESET
        if not self.anchors:
            return Verdict.SAME
        newest, first = self.anchors[-1], page.changes[0] if page.changes else None
        if first is None or first.sequence != newest.sequence:
            return Verdict.VANISHED
        return Verdict.SAME if mark_of(first) == newest.mark else Verdict.RESET

    def without_newest(self) -> "Position":
        """Fall back to the anchor before; with none left, all is read again from the floor."""
        return replace(self, anchors=self.anchors[:-1])

    def unread(self, page: ChangesPage) -> list[Change]:
        """Changes of a page that were not read before."""
        after = self.sequence if self.anchors else self.floor
        return [change for change in page.changes if change.sequence > after]

    def after(self, changes: list[Change]) -> "Position":
        """The position once these changes are dealt with."""
        if not changes:
            return self
        fresh = tuple(Anchor(change.sequence, mark_of(change)) for change in changes)
        anchors = (*self.anchors, *fresh)[-MOST_ANCHORS:]
        return replace(self, sequence=changes[-1].sequence, anchors=anchors)


def mark_of(change: Change) -> str:
    """Tells two changes of one number apart."""
    return f"{change.kind} {change.id} {change.date}"


def first_position(last: ChangesPage) -> Position:
    """Begin after the newest change that there is.

    Parameters
    ----------
    last
        The answer to `/changes?last`.
    """
    return Position(sequence=last.last, floor=last.last).after(
        [change for change in last.changes if change.sequence == last.last]
    )
