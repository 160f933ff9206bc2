"""A marked phantom through the whole service: answered, recorded, and recognised nowhere."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import chain
from pathlib import Path

import httpx
from sqlalchemy import select

from service.core.artifact import Artifact
from service.ops.address import LogAddress
from service.ops.check import Told, Verdict, fail_for, failed, not_checked, passed
from service.ops.phantom import Phantom, find_marks, find_marks_in_file
from service.record import Entry, Identifier, Outcome, Pseudonymiser, load_key
from service.record import open_reader as open_log
from service.record.queries import find_entry
from service.record.tables import CHAINED

SKEW_SECONDS = 5.0
ENGINE_TOLERANCE = 0.01
"""Beyond the manifest's: the phantom goes through DICOM, 16 bits and another window."""

SHADOW_MODE = "SHADOW_MODE"
"""What `/explain` answers by design where no prediction may be shown."""


@dataclass(slots=True)
class Trial:
    """One phantom and everything that it left behind, as far as it can be seen from here."""

    client: httpx.Client
    artifact: Artifact
    log: LogAddress
    phantom: Phantom
    second: Phantom
    """Goes through the PACS, so that its arrival is no replay of the first."""
    read_log: Callable[[], bytes | None]
    """The service's log lines so far; None where they cannot be seen."""
    folders: Sequence[Path]
    """Where the service writes, temporary files included."""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    answers: list[httpx.Response] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)

    def check_model(self) -> Told:
        """The service is ready, and serves the version that the store names."""
        ready = self.client.get("/readyz")
        if not ready.is_success:
            return failed(f"/readyz: {ready.status_code} {ready.text[:200]}")
        serves = self.client.get("/model").json()["digest"]
        if serves != self.artifact.digest:
            return failed(f"it serves {serves[:19]}; the store names {self.artifact.digest[:19]}")
        skew = abs((self._clock(ready) - datetime.now(UTC)).total_seconds())
        if skew > SKEW_SECONDS:
            return failed(f"its clock differs from this one by {skew:.0f} s")
        return passed(f"ready, {self.artifact.reference}")

    def check_round_trip(self) -> Told:
        """The phantom is answered, its row is on disk, and the scores are those of the release."""
        answer = self.client.post("/predict", content=self.phantom.body)
        self.answers.append(answer)
        if answer.status_code not in (200, 202):
            return failed(f"POST /predict: {answer.status_code} {answer.text[:200]}")
        row = self._find_row(str(answer.json()["id"]))
        if row is None:
            return failed("answered, and there is no such row in the shadow log")
        return compare_row(row, self.phantom, self.artifact)

    def check_pages(self) -> Told:
        """Other ways in and their refusals, for what they may tell."""
        self.answers += [
            self.client.post("/explain", content=self.phantom.body),
            self.client.post("/predict", files={"file": (self._file_name(), self.phantom.body)}),
            self.client.post("/predict", content=self.phantom.body[:-1000]),
        ]
        refused = [a for a in self.answers if a.status_code in (401, 403)]
        codes = sorted({_code_of(answer) for answer in refused} - {SHADOW_MODE})
        if codes:
            return failed(f"refused with {', '.join(codes)}; the key needs scope predict")
        broken = [str(a.status_code) for a in self.answers if a.status_code >= 500]
        return fail_for(broken, f"{len(self.answers)} requests answered as they should be")

    def check_answers(self) -> Told:
        """No mark in any answer, header or metric."""
        metrics = self.client.get("/metrics")
        is_here = metrics.status_code != HTTPStatus.NOT_FOUND
        if is_here and not metrics.is_success:
            return failed(f"/metrics: {metrics.status_code}; the key needs scope metrics")
        told = [repr(a.headers).encode() + a.content for a in (*self.answers, metrics)]
        found = self._search({"an answer or a metric": b"".join(told)})
        if is_here or found.verdict is Verdict.FAIL:
            return found
        return not_checked("no mark in an answer; /metrics is not behind this address")

    def check_log(self) -> Told:
        """No mark in any log line."""
        lines = self.read_log()
        if lines is None:
            return not_checked("name the log of the running service: --log-file")
        if not lines:
            return failed("the log is empty: is it the log of this service?")
        return self._search({"the log": lines})

    def check_rows(self) -> Told:
        """No mark in any row since the trial began."""
        rows = self._rows_since()
        if not rows:
            return failed("no row was written")
        return self._search({"a row of the shadow log": b"\n".join(rows)})

    def check_files(self) -> Told:
        """No mark in any file that was written since the trial began."""
        since = self.started.timestamp() - 1
        written = [path for path in files_below(self.folders) if changed_since(path, since)]
        searched = {path: self._search_file(path) for path in written}
        leaks = [
            f"{', '.join(found)} in the file {path.name}"
            for path, found in searched.items()
            if found
        ]
        locked = sum(found is None for found in searched.values())
        told = f"{len(written) - locked} files written since, none holds a mark"
        return fail_for(leaks, f"{told}; {locked} not readable by this user" if locked else told)

    def _search_file(self, path: Path) -> list[str] | None:
        """Keywords whose mark is in it; None where another user alone may read it."""
        try:
            both = [find_marks_in_file(phantom, path) for phantom in (self.phantom, self.second)]
        except PermissionError:
            return None
        return list(chain.from_iterable(both))

    def _search(self, places: Mapping[str, bytes]) -> Told:
        leaks = [
            f"{', '.join(found)} in {place}"
            for place, traces in places.items()
            for phantom in (self.phantom, self.second)
            if (found := find_marks(phantom, traces))
        ]
        return fail_for(leaks, f"{len(self.phantom.marks)} marks, none found")

    def _find_row(self, entry_id: str) -> Entry | None:
        with closing(open_log(self.log.url)) as reader, reader.reading() as connection:
            found = find_entry(connection, entry_id)
        return None if found is None else found.entry

    def _rows_since(self) -> list[bytes]:
        with closing(open_log(self.log.url)) as reader, reader.reading() as connection:
            return [
                repr(row).encode()
                for table, moment in zip(CHAINED, ("received_at", "recorded_at"), strict=True)
                for row in connection.execute(
                    select(table).where(table.c[moment] >= self.started.isoformat())
                )
            ]

    def _file_name(self) -> str:
        return f"{self.phantom.marks['PatientID']}.dcm"

    def _clock(self, answer: httpx.Response) -> datetime:
        return parsedate_to_datetime(answer.headers["date"])


def _code_of(answer: httpx.Response) -> str:
    """The code of a refusal, or its status where something before the service gave it."""
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)


def compare_row(row: Entry, phantom: Phantom, artifact: Artifact) -> Told:
    """Whether the service says of the phantom what the release said."""
    if row.outcome is Outcome.NOT_EVALUATED:
        return passed(
            f"recorded, not evaluated ({row.reason}); scores are proven by the golden set"
        )
    if row.outcome is not Outcome.EVALUATED or row.probabilities is None:
        return failed(f"the row says {row.outcome}")
    told = [row.probabilities[finding] for finding in artifact.manifest.findings]
    difference = max(abs(a - b) for a, b in zip(told, phantom.probabilities, strict=True))
    bound = artifact.manifest.tolerance.probability + ENGINE_TOLERANCE
    if difference > bound:
        return failed(f"scores differ from the release's by {difference:.3f}, allowed {bound:.3f}")
    return passed(f"recorded; scores are the release's to {difference:.4f}")


def pseudonym_of(phantom: Phantom, key: Path) -> str:
    """How the log names the phantom's instance."""
    signer = Pseudonymiser(load_key(key))
    return str(signer.pseudonymise(Identifier.SOP_INSTANCE, phantom.sop_instance_uid))


def files_below(folders: Iterable[Path]) -> list[Path]:
    """Every plain file."""
    found = {Path(at) / name for top in folders for at, _, names in os.walk(top) for name in names}
    return sorted(found)


def changed_since(path: Path, moment: float) -> bool:
    """Whether a plain file was written since; one that is gone by now was not kept."""
    try:
        state = path.lstat()
    except FileNotFoundError:
        return False
    except PermissionError:  # its folder may be listed and no more; whoever opens it is told
        return True
    return stat.S_ISREG(state.st_mode) and state.st_size > 0 and state.st_mtime >= moment
