"""Reads the shadow log: whether a SOP instance was seen before, and the rows in order."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select

from service.core.errors import ReplayConflict
from service.record.chain import GENESIS, Head
from service.record.entry import ANSWERED, Entry, Mode
from service.record.evidence import Kind
from service.record.pseudonyms import Identifier
from service.record.rows import entry_of
from service.record.tables import evidence_log, shadow_log

_ANSWERED = [outcome.value for outcome in ANSWERED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What decides whether an upload was answered before."""

    sop_instance: str | None
    """Pseudonym; None for an upload that has no identity and so is never a replay."""
    input_digest: str
    pixel_digest: str | None
    model_digest: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class Claim:
    """Bytes and pixels that a SOP instance stood for when it was first answered."""

    input_digest: str
    pixel_digest: str


Claims = dict[str, dict[str, Claim]]
"""By SOP instance, then by the kind of pixel digest: the part of it before the colon."""


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """An entry with its place in the chain."""

    head: Head
    entry: Entry


def find_answer(connection: Connection, upload: Upload) -> Entry | None:
    """Find the row whose answer a repeated upload gets again.

    Same SOP instance, bytes, model and mode: the first such row. Same SOP instance and pixels
    otherwise (another model, other tags, the log went from shadow to live): None, evaluate.

    Raises
    ------
    ReplayConflict
        The SOP instance was answered before with other pixels.
    """
    if upload.sop_instance is None:
        return None
    same = select(shadow_log).where(
        shadow_log.c.sop_instance == upload.sop_instance,
        shadow_log.c.input_digest == upload.input_digest,
        shadow_log.c.model_digest == upload.model_digest,
        shadow_log.c.mode == upload.mode.value,
        shadow_log.c.outcome.in_(_ANSWERED),
    )
    row = connection.execute(same.order_by(shadow_log.c.sequence).limit(1)).first()
    if row is not None:
        return entry_of(row._asdict())
    claims = find_claims(connection, [upload.sop_instance]).get(upload.sop_instance, {})
    check_claims(claims, upload.input_digest, upload.pixel_digest)
    return None


def find_claims(connection: Connection, sop_instances: Collection[str]) -> Claims:
    """Read what each SOP instance stood for when it was first answered."""
    answered = select(
        shadow_log.c.sop_instance, shadow_log.c.input_digest, shadow_log.c.pixel_digest
    ).where(
        shadow_log.c.sop_instance.in_(sop_instances),
        shadow_log.c.pixel_digest.is_not(None),
        shadow_log.c.outcome.in_(_ANSWERED),
    )
    claims: Claims = {}
    for sop_instance, *digests in connection.execute(answered.order_by(shadow_log.c.sequence)):
        add_claim(claims, sop_instance, Claim(*digests))
    return claims


def add_claim(claims: Claims, sop_instance: str, claim: Claim) -> None:
    """Note a claim, unless there is one of its kind."""
    claims.setdefault(sop_instance, {}).setdefault(_kind(claim.pixel_digest), claim)


def check_claims(claims: Mapping[str, Claim], input_digest: str, pixel_digest: str | None) -> None:
    """Refuse other pixels under a claimed SOP instance.

    Equal bytes never conflict: a new release may decode them to other pixels. Digests of unlike
    kinds tell nothing of each other: what an earlier release digested otherwise is no conflict.
    """
    if pixel_digest is None or any(c.input_digest == input_digest for c in claims.values()):
        return
    claim = claims.get(_kind(pixel_digest))
    if claim is not None and pixel_digest != claim.pixel_digest:
        raise ReplayConflict("this SOP instance was answered before with other pixels")


def _kind(pixel_digest: str) -> str:
    return pixel_digest.partition(":")[0]


def read_head(connection: Connection, table: Table = shadow_log) -> Head:
    """Read the last row's number and digest."""
    row = connection.execute(_last_row(table)).first()
    return GENESIS if row is None else Head(*row)


def newest_seconds(connection: Connection) -> float:
    """Unix time at which the radiograph of the last row was received; 0 without a row."""
    last = select(shadow_log.c.received_at).order_by(shadow_log.c.sequence.desc()).limit(1)
    received_at = connection.scalar(last)
    return 0.0 if received_at is None else datetime.fromisoformat(received_at).timestamp()


@cache
def _last_row(table: Table) -> Select[Any]:
    """Composed once: that takes longer than to ask it, and every commit asks it."""
    last = select(table.c.sequence, table.c.row_digest)
    return last.order_by(table.c.sequence.desc()).limit(1)


def has_row(connection: Connection, head: Head, table: Table = shadow_log) -> bool:
    """Whether the log holds this very row."""
    found = select(table.c.row_digest).where(table.c.sequence == head.sequence)
    return head == GENESIS or connection.scalar(found) == head.digest


def rows(connection: Connection, after_sequence: int = 0, limit: int = 1000) -> list[LoggedEntry]:
    """Read rows in order, at most `limit` of those after `after_sequence`."""
    page = select(shadow_log).where(shadow_log.c.sequence > after_sequence)
    found = connection.execute(page.order_by(shadow_log.c.sequence).limit(limit))
    return [
        LoggedEntry(Head(row.sequence, row.row_digest), entry_of(row._asdict())) for row in found
    ]


def find_entry(connection: Connection, entry_id: str) -> LoggedEntry | None:
    """Read one entry by its id."""
    row = connection.execute(select(shadow_log).where(shadow_log.c.id == entry_id)).first()
    if row is None:
        return None
    return LoggedEntry(Head(row.sequence, row.row_digest), entry_of(row._asdict()))


def find_by_pseudonym(
    connection: Connection, kind: Identifier, pseudonym: str
) -> list[tuple[str, str]]:
    """Id and time of every entry that bears a pseudonym."""
    found = select(shadow_log.c.id, shadow_log.c.received_at).where(
        shadow_log.c[kind.value] == pseudonym
    )
    return [(row[0], row[1]) for row in connection.execute(found.order_by(shadow_log.c.sequence))]


def evidence_about(connection: Connection, entry_id: str) -> list[dict[str, Any]]:
    """Rows of the evidence log that name an entry, in order."""
    about = select(evidence_log).where(evidence_log.c.entry == entry_id)
    found = connection.execute(about.order_by(evidence_log.c.sequence))
    return [row._asdict() | {"body": json.loads(row.body)} for row in found]


def newest_body(connection: Connection, kind: Kind) -> dict[str, Any] | None:
    """The last row of one kind, with its time, number and digest beside its body."""
    last = select(evidence_log).where(evidence_log.c.kind == kind.value)
    row = connection.execute(last.order_by(evidence_log.c.sequence.desc()).limit(1)).first()
    return None if row is None else row._asdict() | {"body": json.loads(row.body)}


def count(connection: Connection, table: Table = shadow_log) -> int:
    """Count the rows."""
    return connection.scalar(select(func.count()).select_from(table)) or 0
