"""The durable queue: each instance once, from the moment it is noticed until it is settled."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, insert, or_, select, update

from service.pacs.backoff import LONGEST_SECONDS
from service.pacs.orthanc import NEW_INSTANCE, Change
from service.pacs.position import Anchor, Position
from service.pacs.queue_file import open_file
from service.pacs.tables import instances, position
from service.record import new_id
from service.record.database import BEGIN_OPTION

ONLY: Final = 1
"""Key of the one row of `position`."""


class State(StrEnum):
    """Where an instance stands."""

    WAITING = "waiting"
    ANSWERED = "answered"
    """Its row is in the shadow log."""
    IGNORED = "ignored"
    """Of another modality; never pulled."""
    GONE = "gone"
    """Deleted from the PACS before it was pulled."""
    DEAD = "dead"
    """A dead letter: someone must look."""


@dataclass(frozen=True, slots=True)
class Item:
    """One instance that waits.

    Attributes
    ----------
    case_id
        Its row will have this id, whatever happens in between: a row that is there already tells
        a restarted service that the work was done.
    digest
        Of the bytes that were answered before, if it was stored again.
    """

    instance: str
    case_id: str
    tries: int
    noticed: float
    sequence: int | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """The next instance to pull, or the seconds until there may be one."""

    item: Item | None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits."""

    waiting: int
    dead: int
    oldest_noticed: float | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An instance that was given up."""

    instance: str
    code: str
    tries: int
    settled: float


class Queue:
    """Blocks the calling thread; each method is one transaction.

    Parameters
    ----------
    clock
        Seconds since 1970.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def notice(self, instance: str) -> bool:
        """Enqueue an instance that the PACS named itself; returns whether it is new."""
        with self._writing() as connection:
            return self._notice(connection, instance, None)

    def advance(self, changes: Sequence[Change], after: Position) -> int:
        """Enqueue what is new and move the position, both or neither; returns how many are new."""
        named = [change for change in changes if change.kind == NEW_INSTANCE]
        with self._writing() as connection:
            new = [self._notice(connection, change.id, change.sequence) for change in named]
            _write_position(connection, after)
        return sum(new)

    def begin_anew(self) -> None:
        """The PACS has another database: read it from its first change; known is what is known."""
        with self._writing() as connection:
            connection.execute(update(instances).values(sequence=None))
            _write_position(connection, Position())
            connection.execute(update(position).values(resets=position.c.resets + 1))

    def position(self) -> Position | None:
        """How far the changes were read; None before the first contact."""
        with self._engine.begin() as connection:
            row = connection.execute(select(position)).first()
        if row is None:
            return None
        anchors = tuple(Anchor(**anchor) for anchor in json.loads(row.anchors))
        return Position(row.sequence, row.floor, anchors)

    def next_due(self, taken: Collection[str]) -> Due:
        """The instance that has waited longest and is due, but none of those that are taken.

        One that lies further ahead than anything is ever told to wait is due as well: the clock was
        set back.
        """
        now, due = self._clock(), instances.c.due
        free = [instances.c.state == State.WAITING.value, instances.c.instance.not_in(taken)]
        is_due = or_(due <= now, due > now + LONGEST_SECONDS, instances.c.tries == 0)
        first = select(instances).where(*free).order_by(due).limit(1)
        with self._engine.begin() as connection:
            row = connection.execute(first.where(is_due)).first()
            soonest = connection.scalar(select(func.min(due)).where(*free)) if row is None else None
        if row is not None:
            return Due(_item_of(row))
        return Due(None, None if soonest is None else soonest - now)

    def settle(
        self, item: Item, state: State, *, code: str | None = None, digest: str | None = None
    ) -> bool:
        """Note how it ended; False where it was stored anew meanwhile, and waits once more."""
        ended: dict[str, Any] = {
            "state": state.value, "settled": self._clock(), "code": code,
            "digest": digest or item.digest, "tries": item.tries,
        }  # fmt: skip
        with self._writing() as connection:
            is_old = item.sequence is not None and item.sequence != connection.scalar(
                select(instances.c.sequence).where(instances.c.instance == item.instance)
            )
            values = {**ended, **self._fresh()} if is_old else ended
            _set(connection, item.instance, values)
        return not is_old

    def postpone(self, item: Item, code: str, seconds: float) -> None:
        """Count a try that failed, and wait."""
        due = self._clock() + seconds
        with self._writing() as connection:
            _set(connection, item.instance, {"tries": item.tries + 1, "code": code, "due": due})

    def let_others_pass(self, item: Item) -> None:
        """Those that are due go first; no try is counted."""
        with self._writing() as connection:
            _set(connection, item.instance, {"due": self._clock()})

    def give_up(self, item: Item, code: str) -> None:
        """Make it a dead letter, with the try that was one too many."""
        self.settle(replace(item, tries=item.tries + 1), State.DEAD, code=code)

    def depth(self) -> Depth:
        """How many wait or are dead, and since when the first has waited."""
        self._follow_clock()
        counted = select(instances.c.state, func.count(), func.min(instances.c.noticed))
        states = (State.WAITING.value, State.DEAD.value)
        grouped = counted.where(instances.c.state.in_(states)).group_by(instances.c.state)
        with self._engine.begin() as connection:
            found = {row[0]: (row[1], row[2]) for row in connection.execute(grouped)}
        waiting, oldest = found.get(State.WAITING.value, (0, None))
        return Depth(waiting, found.get(State.DEAD.value, (0, None))[0], oldest)

    def counts(self) -> dict[State, int]:
        """How many are in each state; reads the whole index."""
        counted = select(instances.c.state, func.count()).group_by(instances.c.state)
        with self._engine.begin() as connection:
            found = {State(row[0]): row[1] for row in connection.execute(counted)}
        return {state: found.get(state, 0) for state in State}

    def resets(self) -> int:
        """How often the PACS was found with another database."""
        with self._engine.begin() as connection:
            return connection.scalar(select(position.c.resets)) or 0

    def dead_letters(self) -> list[DeadLetter]:
        """All of them, oldest first."""
        dead = select(instances).where(instances.c.state == State.DEAD.value)
        with self._engine.begin() as connection:
            rows = connection.execute(dead.order_by(instances.c.settled)).all()
        return [DeadLetter(row.instance, row.code, row.tries, row.settled) for row in rows]

    def retry(self, chosen: Collection[str] | None = None) -> int:
        """Let dead letters wait again from their first try, all or the chosen; returns how many."""
        letters = [letter.instance for letter in self.dead_letters()]
        revived = [one for one in letters if chosen is None or one in chosen]
        with self._writing() as connection:
            for instance in revived:
                _set(connection, instance, self._fresh())
        return len(revived)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _follow_clock(self) -> None:
        """Where the clock was set back, what was noticed before would look young for as long."""
        noticed, is_waiting = instances.c.noticed, instances.c.state == State.WAITING.value
        now = self._clock()
        with self._engine.begin() as connection:
            latest = connection.scalar(select(func.max(noticed)).where(is_waiting))
        if latest is None or latest <= now:
            return
        with self._writing() as connection:
            later = update(instances).where(is_waiting, noticed > now)
            connection.execute(later.values(noticed=noticed - (latest - now)))

    def _notice(self, connection: Connection, instance: str, sequence: int | None) -> bool:
        known = connection.execute(
            select(instances.c.state, instances.c.sequence).where(instances.c.instance == instance)
        ).first()
        if known is None:
            row = {"instance": instance, "sequence": sequence, **self._fresh()}
            connection.execute(insert(instances), [row])
            return True
        is_back = known.state == State.GONE.value
        is_later = sequence is not None and (known.sequence or 0) < sequence
        is_settled = known.state != State.WAITING.value
        # Without a number it was told, and this may be the change of that very notice.
        is_again = is_back or (is_later and is_settled and known.sequence is not None)
        values = {"sequence": sequence} if is_later else {}
        values |= self._fresh() if is_again else {}
        if values:
            _set(connection, instance, values)
        return is_again

    def _fresh(self) -> dict[str, Any]:
        """Columns of an instance that waits from now on."""
        now = self._clock()
        return {
            "case_id": new_id(), "state": State.WAITING.value, "noticed": now, "due": now,
            "tries": 0, "settled": None, "code": None,
        }  # fmt: skip

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        engine = self._engine.execution_options(**{BEGIN_OPTION: "BEGIN IMMEDIATE"})
        with engine.begin() as connection:
            yield connection


def open_queue(path: Path, clock: Callable[[], float]) -> Queue:
    """Open the queue, creating or migrating its file first; see `open_file`."""
    return Queue(open_file(path), clock)


def _item_of(row: Any) -> Item:
    return Item(row.instance, row.case_id, row.tries, row.noticed, row.sequence, row.digest)


def _set(connection: Connection, instance: str, values: dict[str, Any]) -> None:
    connection.execute(update(instances).where(instances.c.instance == instance).values(**values))


def _write_position(connection: Connection, new: Position) -> None:
    values = {
        "sequence": new.sequence,
        "floor": new.floor,
        "anchors": json.dumps([asdict(anchor) for anchor in new.anchors]),
    }
    moved = connection.execute(update(position).where(position.c.id == ONLY).values(**values))
    if moved.rowcount == 0:
        connection.execute(insert(position), [{"id": ONLY, "resets": 0, **values}])
