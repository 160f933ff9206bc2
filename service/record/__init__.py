"""The shadow log: one durable, chained row per request, written before the answer is sent."""

from service.record.chain import Break, Fault, Head, VerifyReport
from service.record.entry import (
    Entry,
    Mode,
    ModelStamp,
    Outcome,
    Pseudonyms,
    age_band_of,
    new_id,
)
from service.record.evidence import Evidence, Kind, Label
from service.record.precedence import VerdictStands
from service.record.pseudonyms import (
    Identifier,
    Pseudonymiser,
    SiteKeyInvalid,
    SiteKeyMissing,
    load_key,
    load_or_create_key,
)
from service.record.queries import LoggedEntry, Upload
from service.record.record import Reader, Record, open_reader, open_record
from service.record.site_key import SiteKeyDiffers, load_signer, open_site_key
from service.record.writer import Recorder

__all__ = [
    "Break",
    "Entry",
    "Evidence",
    "Fault",
    "Head",
    "Identifier",
    "Kind",
    "Label",
    "LoggedEntry",
    "Mode",
    "ModelStamp",
    "Outcome",
    "Pseudonymiser",
    "Pseudonyms",
    "Reader",
    "Record",
    "Recorder",
    "SiteKeyDiffers",
    "SiteKeyInvalid",
    "SiteKeyMissing",
    "Upload",
    "VerdictStands",
    "VerifyReport",
    "age_band_of",
    "load_key",
    "load_or_create_key",
    "load_signer",
    "new_id",
    "open_reader",
    "open_record",
    "open_site_key",
]
