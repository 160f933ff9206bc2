"""What the pages and their JSON ask of the log; all of it blocks, so routes run in threads."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from service.core.artifact import OperatingPoint, Purpose
from service.core.errors import CxrError
from service.core.findings import ABNORMAL, Finding
from service.record import Kind, ModelStamp
from service.record.case_index import CaseIndex, Progress
from service.record.entry import Outcome
from service.record.queries import LoggedEntry, evidence_about, find_entry, newest_body
from service.record.record import Reader
from service.review import worklist
from service.review.cases import (
    EVERYONE,
    WINDOW_DAYS,
    Cases,
    find_ids,
    load_cases,
    newest_flagged,
    newest_model,
    span_of,
)
from service.review.comparison import Comparison, compare
from service.review.golive import GoLive, decide
from service.review.queueing import QueueReport, replay
from service.review.thresholds import ThresholdReport, curves, judge_threshold

STEPS_AT_ONCE = 2
"""Some thousand rows: what a page waits for; the rest is taken in behind its back."""

QUEUE_CASES = 4000
"""Newest arrivals that the reading room replays; three disciplines take about half a second."""

CACHED_WINDOWS = 3
"""Each takes some tens of megabytes for a million cases."""

CACHED_COMPARISONS = len(WINDOW_DAYS)
"""Some kilobytes each."""

UNSEALED_BLOCKS = 2
"""Blocks that a page reads row by row at no cost that anybody notices."""

ARRIVING = (Outcome.EVALUATED, Outcome.NOT_EVALUATED)
"""Who waits in a reading room: somebody reads what the model did not."""

QUEUE_NAMES = (
    *EVERYONE, "rank",
    *(f"{part}_{finding}" for finding in ABNORMAL for part in ("report", "flag")),
)  # fmt: skip
COMPARISON_NAMES = (
    *EVERYONE, "scanner", "candidate",
    *(
        f"{part}_{finding}"
        for finding in ABNORMAL
        for part in ("score", "flag", "report", "candidate_score", "candidate_flag")
    ),
)  # fmt: skip

SIMULATED_MODEL = "simulated/"

_Window = tuple[int, int, tuple[str, ...], int | None, bool, tuple[Outcome, ...]]
"""All that decides which cases a window holds: rows of the log, and what was asked for."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class ReviewDesk:
    """The open index and log, with the last few windows kept in memory."""

    def __init__(self, *, index: CaseIndex, reader: Reader) -> None:
        self._index = index
        self._reader = reader
        self._windows: dict[_Window, Cases] = {}
        self._compared: dict[tuple[int, int], Comparison] = {}
        self._lock = threading.Lock()
        self.proposing = asyncio.Lock()
        """Held from looking for a proposal until it is written."""
        self._follower: threading.Thread | None = None

    def refresh(self) -> Progress:
        """Take in what is new; a long backlog is finished by a thread of its own."""
        for _ in range(STEPS_AT_ONCE):
            if not self._index.step():
                break
        progress = self._index.progress()
        with self._lock:
            is_idle = self._follower is None or not self._follower.is_alive()
            is_behind = not progress.is_current or self._index.unsealed() > UNSEALED_BLOCKS
            if is_behind and is_idle:
                self._follower = threading.Thread(target=self._follow, daemon=True)
                self._follower.start()
        return progress

    def newest_model(self) -> tuple[str, str, str] | None:
        """Name, digest and threshold digest of the newest row's model."""
        with self._index.reading() as connection:
            return newest_model(connection)

    def page(self, filters: worklist.Filters) -> worklist.Page:
        """A page of the worklist."""
        with self._index.reading() as connection:
            return worklist.read_page(connection, filters)

    def choices(self) -> dict[str, list[str]]:
        """Values that the worklist's filters can take."""
        with self._index.reading() as connection:
            return worklist.read_choices(connection)

    def case(self, entry_id: str) -> tuple[worklist.Row, LoggedEntry, list[dict[str, Any]]] | None:
        """One radiograph: its index row, its entry, and the evidence about it."""
        with self._index.reading() as connection:
            row = worklist.read_one(connection, entry_id)
        with self._reader.reading() as connection:
            logged = find_entry(connection, entry_id)
            evidence = evidence_about(connection, entry_id)
        return None if row is None or logged is None else (row, logged, evidence)

    def to_adjudicate(self, draw: Callable[[str], str]) -> list[worklist.Row]:
        """Cases for a second reading."""
        with self._index.reading() as connection:
            return worklist.to_adjudicate(connection, draw)

    def adjudicated(self) -> list[tuple[worklist.Row, dict[str, str]]]:
        """The newest second readings."""
        with self._index.reading() as connection:
            return worklist.adjudicated(connection)

    def readings(self) -> worklist.Readings:
        """How many second readings are open, and how many were given."""
        with self._index.reading() as connection:
            return worklist.count_readings(connection)

    def thresholds(
        self, finding: Finding, threshold: float, *, days: int, use_verdicts: bool
    ) -> ThresholdReport:
        """What a threshold would do."""
        cases = self.cases(days, _threshold_names(finding))
        return judge_threshold(
            cases, finding, threshold, find_ids=self._find_ids, use_verdicts=use_verdicts
        )

    def curves(self, finding: Finding, *, days: int, use_verdicts: bool) -> dict[str, list[float]]:
        """Sensitivity and specificity over all thresholds."""
        return curves(
            self.cases(days, _threshold_names(finding)), finding, use_verdicts=use_verdicts
        )

    def comparison(self, *, days: int) -> Comparison:
        """Champion against candidate."""
        key = (self._index.progress().done, days)
        known = self._compared.get(key)
        if known is None:
            known = compare(self.cases(days, COMPARISON_NAMES, only_counted=True), self._find_ids)
            with self._lock:
                _keep(self._compared, key, known, CACHED_COMPARISONS)
        return known

    def queue(
        self, *, days: int, readers: int, utilisation: float, cap_minutes: float
    ) -> QueueReport:
        """The reading room under each discipline."""
        return replay(
            self.cases(days, QUEUE_NAMES, limit=QUEUE_CASES, outcomes=ARRIVING),
            readers=readers,
            utilisation=utilisation,
            cap_minutes=cap_minutes,
        )

    def go_live(self, serving: ModelStamp) -> GoLive | None:
        """The decision on the model that serves; None before criteria are registered.

        Of drawn traffic the drawn model is judged, which never serves; the decision says so.
        """
        with self._reader.reading() as log:
            registration = newest_body(log, Kind.CRITERIA)
        if registration is None:
            return None
        model = (f"{serving.name}/{serving.version}", serving.digest, serving.threshold_digest)
        with self._index.reading() as connection:
            reviewed = newest_model(connection)
            is_drawn = reviewed is not None and reviewed[0].startswith(SIMULATED_MODEL)
            judged = reviewed if reviewed is not None and is_drawn else model
            return decide(connection, registration, judged, is_serving=judged == model)

    def threshold_in_use(
        self, finding: Finding, digest: str, points: tuple[OperatingPoint, ...]
    ) -> float | None:
        """Where flags of the reviewed model begin; None where none was ever raised.

        Parameters
        ----------
        digest, points
            Of the model that serves: its manifest tells. A retired one told it with each flag.
        """
        with self._index.reading() as connection:
            newest = newest_model(connection)
            if newest is None or newest[1] == digest:
                flags = (p for p in points if p.finding is finding and p.purpose is Purpose.FLAG)
                return next((point.threshold for point in flags), None)
            flagged = newest_flagged(connection, finding, newest)
        if flagged is None:
            return None
        with self._reader.reading() as log:
            logged = find_entry(log, flagged)
        raised = () if logged is None else logged.entry.flags
        return next((flag.threshold for flag in raised if flag.finding is finding), None)

    def find_proposal(self, actor: str, body: dict[str, Any]) -> int | None:
        """Sequence number of the newest proposal, if it is this one by the same person."""
        with self._reader.reading() as log:
            newest = newest_body(log, Kind.PROPOSAL)
        if newest is None or (newest["actor"], newest["body"]) != (actor, body):
            return None
        return int(newest["sequence"])

    def cases(
        self,
        days: int,
        names: tuple[str, ...],
        *,
        limit: int | None = None,
        only_counted: bool = False,
        outcomes: tuple[Outcome, ...] = (Outcome.EVALUATED,),
    ) -> Cases:
        """Cases of the reviewed model in the last days of the log, oldest first."""
        key = (self._index.progress().done, days, names, limit, only_counted, outcomes)
        with self._lock:
            known = self._windows.get(key)
        if known is not None:
            return known
        with self._index.reading() as connection:
            newest = newest_model(connection)
            model = None if newest is None else newest[0]
            span = span_of(connection, days, newest)
            loaded = load_cases(
                connection, span, model=model, names=names, limit=limit,
                only_counted=only_counted, outcomes=outcomes,
            )  # fmt: skip
        with self._lock:
            _keep(self._windows, key, loaded, CACHED_WINDOWS)
        return loaded

    def _find_ids(self, sequences: Sequence[int]) -> dict[int, str]:
        with self._index.reading() as connection:
            return find_ids(connection, sequences)

    def _follow(self) -> None:
        try:
            self._index.catch_up()
        except CxrError:
            return  # the next page tries again, and says how far the index is


def _keep(known: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Put it in, and let go of the oldest."""
    known[key] = value
    while len(known) > most:
        del known[next(iter(known))]


def _threshold_names(finding: Finding) -> tuple[str, ...]:
    parts = ("score", "flag", "report", "verdict")
    return (*EVERYONE, "scanner", "age_band", *(f"{part}_{finding}" for part in parts))
