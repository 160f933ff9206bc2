"""Retention: rows whose time is over are deleted from the front, and a signed row says so.

Only the oldest rows go, so what is left is one chain that follows the last row that was purged.
The newest `purge` row of the evidence log names that row for each table; the site key signs it, so
whoever deletes rows without the key leaves a gap that `verify` names.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select, text

from service.core.errors import CxrError
from service.record.anchor import write_anchor
from service.record.chain import Head, link
from service.record.database import writing
from service.record.evidence import Evidence, Kind, evidence_columns
from service.record.pseudonyms import Pseudonymiser
from service.record.queries import read_head
from service.record.rows import canonical_json
from service.record.tables import evidence_log, shadow_log

FLOOR_DAYS = 183
"""Six months; deployers of high-risk systems keep logs at least as long (EU AI Act, Art. 26(6))."""

TIME_COLUMN = {shadow_log: shadow_log.c.received_at, evidence_log: evidence_log.c.recorded_at}


class RetentionTooShort(CxrError):
    """A purge would reach rows that must be kept."""

    code = "RETENTION_TOO_SHORT"


@dataclass(frozen=True, slots=True)
class Gap:
    """What was purged from one table, all purges of it together: rows 1 to `last`."""

    table: str
    last: int
    last_digest: str
    cutoff: str
    """Rows older than this time were to go."""
    signature: str = ""

    @property
    def head(self) -> Head:
        """The row that the first one left follows."""
        return Head(self.last, self.last_digest)

    def signed(self, signer: Pseudonymiser) -> "Gap":
        """The same gap under the site key."""
        return Gap(self.table, self.last, self.last_digest, self.cutoff, self._sign(signer))

    def is_signed_by(self, signer: Pseudonymiser) -> bool:
        """Whether the site key vouches for it."""
        return self._sign(signer) == self.signature

    def _sign(self, signer: Pseudonymiser) -> str:
        fields = {name: value for name, value in asdict(self).items() if name != "signature"}
        return signer.sign(canonical_json(fields))


def find_gap(connection: Connection, table: Table) -> Gap | None:
    """The newest purge of a table; None when it still has its first row."""
    purges = select(evidence_log.c.body).where(evidence_log.c.kind == Kind.PURGE.value)
    for (body,) in connection.execute(purges.order_by(evidence_log.c.sequence.desc())):
        try:
            gap = Gap(**json.loads(body))
        except (TypeError, ValueError):
            continue  # somebody made another row look like a purge; verification names it
        if gap.table == table.name:
            return gap
    return None


def purge(
    engine: Engine,
    *,
    keep_days: int,
    signer: Pseudonymiser,
    actor: str,
    anchors: Mapping[Table, Path],
    now: datetime | None = None,
) -> dict[str, int]:
    """Delete rows older than `keep_days` from the front of both tables, in one transaction.

    Returns
    -------
    Rows that went, by table.

    Raises
    ------
    RetentionTooShort
        Below `FLOOR_DAYS`.
    """
    if keep_days < FLOOR_DAYS:
        raise RetentionTooShort(f"{keep_days} days; at least {FLOOR_DAYS} are kept")
    moment = now or datetime.now(UTC)
    cutoff = (moment - timedelta(days=keep_days)).isoformat(timespec="microseconds")
    gone: dict[str, int] = {}
    with writing(engine) as connection:
        gaps = {table: find_gap(connection, table) for table in TIME_COLUMN}
        for table in TIME_COLUMN:
            last = _last_to_go(connection, table, cutoff)
            if last is not None:
                gaps[table] = Gap(table.name, last.sequence, last.digest, cutoff).signed(signer)
                gone[table.name] = _delete_until(connection, table, last.sequence)
        # All of them anew: the rows that noted the older ones may be gone with this purge.
        for gap in gaps.values():
            if gone and gap is not None:
                _note(connection, gap, actor, moment)
        head = read_head(connection, evidence_log)
    if gone and evidence_log in anchors:
        write_anchor(anchors[evidence_log], head)
    return gone


def _last_to_go(connection: Connection, table: Table, cutoff: str) -> Head | None:
    """The newest row of the front that is too old; the head always stays, as an anchor may."""
    time, place = TIME_COLUMN[table], table.c.sequence
    first_kept = connection.scalar(select(func.min(place)).where(time >= cutoff))
    head = read_head(connection, table)
    last = (head.sequence if first_kept is None else first_kept) - 1
    digest = connection.scalar(select(table.c.row_digest).where(place == last))
    return None if digest is None else Head(last, digest)


def _delete_until(connection: Connection, table: Table, last: int) -> int:
    """The triggers that refuse it stand aside for this transaction alone."""
    if connection.dialect.name == "sqlite":
        name = f"{table.name}_no_delete"
        made = text("SELECT sql FROM sqlite_master WHERE name = :name")
        trigger = str(connection.scalar(made, {"name": name}))
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
        gone = connection.execute(delete(table).where(table.c.sequence <= last)).rowcount
        connection.exec_driver_sql(trigger)
        return gone
    trigger = f"{table.name}_append_only"
    connection.exec_driver_sql(f"ALTER TABLE {table.name} DISABLE TRIGGER {trigger}")
    gone = connection.execute(delete(table).where(table.c.sequence <= last)).rowcount
    connection.exec_driver_sql(f"ALTER TABLE {table.name} ENABLE TRIGGER {trigger}")
    return gone


def _note(connection: Connection, gap: Gap, actor: str, moment: datetime) -> None:
    evidence = Evidence(kind=Kind.PURGE, body=asdict(gap), actor=actor, recorded_at=moment)
    head = read_head(connection, evidence_log)
    connection.execute(insert(evidence_log), [link(evidence_columns(evidence), head)])
