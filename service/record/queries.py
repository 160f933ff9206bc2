"""Reads the shadow log: whether a SOP instance was seen before, and the rows in order."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from service.core.errors import ReplayConflict
from service.record.chain import GENESIS, Head
from service.record.entry import ANSWERED, Entry, Mode
from service.record.rows import entry_of
from service.record.tables import shadow_log

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
    claim = find_claims(connection, [upload.sop_instance]).get(upload.sop_instance)
    check_claim(claim, upload.input_digest, upload.pixel_digest)
    return None


def find_claims(connection: Connection, sop_instances: Collection[str]) -> dict[str, Claim]:
    """Read what each SOP instance stood for when it was first answered."""
    answered = select(
        shadow_log.c.sop_instance, shadow_log.c.input_digest, shadow_log.c.pixel_digest
    ).where(
        shadow_log.c.sop_instance.in_(sop_instances),
        shadow_log.c.pixel_digest.is_not(None),
        shadow_log.c.outcome.in_(_ANSWERED),
    )
    claims: dict[str, Claim] = {}
    for sop_instance, *digests in connection.execute(answered.order_by(shadow_log.c.sequence)):
        claims.setdefault(sop_instance, Claim(*digests))
    return claims


def check_claim(claim: Claim | None, input_digest: str, pixel_digest: str | None) -> None:
    """Refuse other pixels under a claimed SOP instance.

    Equal bytes never conflict: a new release may decode them to other grey levels.
    """
    if claim is None or pixel_digest is None or input_digest == claim.input_digest:
        return
    if pixel_digest != claim.pixel_digest:
        raise ReplayConflict("this SOP instance was answered before with other pixels")


def read_head(connection: Connection) -> Head:
    """Read the last row's number and digest."""
    last = select(shadow_log.c.sequence, shadow_log.c.row_digest)
    row = connection.execute(last.order_by(shadow_log.c.sequence.desc()).limit(1)).first()
    return GENESIS if row is None else Head(*row)


def has_row(connection: Connection, head: Head) -> bool:
    """Whether the log holds this very row."""
    found = select(shadow_log.c.row_digest).where(shadow_log.c.sequence == head.sequence)
    return head == GENESIS or connection.scalar(found) == head.digest


def rows(connection: Connection, after_sequence: int = 0, limit: int = 1000) -> list[LoggedEntry]:
    """Read rows in order, at most `limit` of those after `after_sequence`."""
    page = select(shadow_log).where(shadow_log.c.sequence > after_sequence)
    found = connection.execute(page.order_by(shadow_log.c.sequence).limit(limit))
    return [
        LoggedEntry(Head(row.sequence, row.row_digest), entry_of(row._asdict())) for row in found
    ]


def count(connection: Connection) -> int:
    """Count the rows."""
    return connection.scalar(select(func.count()).select_from(shadow_log)) or 0
