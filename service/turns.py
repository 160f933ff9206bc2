"""Whose turn is next: urgent before routine, callers one after the other, and nobody for ever last.

A caller with a hundred radiographs in the queue and one with a single one are served alternately,
so that an archive which is sent again delays no emergency room. Within one caller, who came first
goes first.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

URGENT_IN_A_ROW: Final = 4
"""After so many urgent ones in a row a routine one goes, if one waits: urgent is no licence to
stop a hospital's routine."""


SPARE_PLACES: Final = 8
"""Beyond each limit, for urgent ones and for the first of a caller: a house that is full of an
archive turns neither an emergency away nor a ward."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Who asks, and how pressing it is; `caller` is compared and never shown."""

    caller: str = ""
    is_urgent: bool = False


ANYBODY: Final = Turn()

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue in two lanes, each of which goes round its callers."""

    def __init__(self) -> None:
        self._lanes = {True: _Lane[T](), False: _Lane[T]()}
        self._turns: dict[int, Turn] = {}
        self._urgent_in_a_row = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._turns)

    def __iter__(self) -> Iterator[T]:
        """All that wait, in no order that matters."""
        for lane in self._lanes.values():
            yield from lane

    def add(self, item: T, turn: Turn = ANYBODY) -> None:
        """Queue an item behind those of the same caller and urgency."""
        self._turns[id(item)] = turn
        self._lanes[turn.is_urgent].add(item, turn.caller)

    def discard(self, item: T) -> bool:
        """Take an item out of the queue; tells whether it was there."""
        turn = self._turns.pop(id(item), None)
        if turn is None:
            return False
        self._lanes[turn.is_urgent].discard(item, turn.caller)
        return True

    def take(self) -> T:
        """Remove the item whose turn it is.

        Raises
        ------
        LookupError
            Nobody waits.
        """
        is_urgent = self._is_urgent_next()
        item = self._lanes[is_urgent].take()
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if is_urgent else 0
        del self._turns[id(item)]
        return item

    def is_first(self, turn: Turn) -> bool:
        """Whether nothing of this caller and urgency waits."""
        return not self._lanes[turn.is_urgent].count_of(turn.caller)

    def count_ahead(self, turn: Turn) -> int:
        """How many at least go before one that would be added now; more where others come."""
        lane = self._lanes[turn.is_urgent]
        in_a_row = max(0, URGENT_IN_A_ROW - self._urgent_in_a_row)
        urgent = 0 if turn.is_urgent else min(len(self._lanes[True]), in_a_row)
        return lane.count_ahead(turn.caller) + urgent

    def _is_urgent_next(self) -> bool:
        if not len(self._lanes[False]):
            return True
        return len(self._lanes[True]) > 0 and self._urgent_in_a_row < URGENT_IN_A_ROW


class _Lane(Generic[T]):
    """Goes round its callers; one that comes anew comes last in the round."""

    def __init__(self) -> None:
        self._callers: OrderedDict[str, dict[int, T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._callers.values()))

    def __iter__(self) -> Iterator[T]:
        for items in self._callers.values():
            yield from items.values()

    def add(self, item: T, caller: str) -> None:
        self._callers.setdefault(caller, {})[id(item)] = item

    def discard(self, item: T, caller: str) -> None:
        items = self._callers[caller]
        del items[id(item)]
        if not items:
            del self._callers[caller]

    def take(self) -> T:
        caller = next(iter(self._callers), None)
        if caller is None:
            raise LookupError("nobody waits")
        items = self._callers[caller]
        item = items.pop(next(iter(items)))
        if items:
            self._callers.move_to_end(caller)
        else:
            del self._callers[caller]
        return item

    def count_of(self, caller: str) -> int:
        return len(self._callers.get(caller, ()))

    def count_ahead(self, caller: str) -> int:
        """In as many full rounds as this caller's own queue takes, others get a turn each."""
        rounds = self.count_of(caller)
        return sum(min(len(items), rounds) for items in self._callers.values())


class Crowd:
    """How many of whom are in the house, without their order: what a newcomer has to expect."""

    def __init__(self) -> None:
        self._lanes: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}

    def __len__(self) -> int:
        """How many in all."""
        return sum(lane.total() for lane in self._lanes.values())

    def add(self, turn: Turn) -> None:
        """One more."""
        self._lanes[turn.is_urgent][turn.caller] += 1

    def remove(self, turn: Turn) -> None:
        """One less."""
        lane = self._lanes[turn.is_urgent]
        lane[turn.caller] -= 1
        if not lane[turn.caller]:
            del lane[turn.caller]

    def is_first(self, turn: Turn) -> bool:
        """Whether nobody of this caller and urgency is here."""
        return not self._lanes[turn.is_urgent][turn.caller]

    def count_ahead(self, turn: Turn) -> int:
        """How many go before one that comes now: its own, as many rounds of others, all urgent."""
        lane = self._lanes[turn.is_urgent]
        own = lane[turn.caller]
        others = sum(min(count, own + 1) for caller, count in lane.items() if caller != turn.caller)
        return own + others + (0 if turn.is_urgent else self._lanes[True].total())
