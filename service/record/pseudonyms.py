"""Identifiers -> pseudonyms, with a key that stays in the hospital."""

import hashlib
import hmac
import os
import secrets
import stat
from enum import StrEnum
from pathlib import Path

import structlog

from service.core.errors import CxrError
from service.core.files import make_private, sync_folder
from service.core.radiograph import DicomContext
from service.record.entry import Pseudonyms

log: structlog.stdlib.BoundLogger = structlog.get_logger()

KEY_BYTES = 32
"""As long as the SHA-256 digest, which RFC 2104 names as the useful length."""

ONLY_DIGITS = "the site key file must hold hexadecimal digits alone"


class Identifier(StrEnum):
    """Kinds of identifier; the same text of two kinds gives unlike pseudonyms."""

    SOP_INSTANCE = "sop_instance"
    STUDY_INSTANCE = "study_instance"
    ACCESSION = "accession"
    PATIENT = "patient"
    SCANNER = "scanner"


class SiteKeyMissing(CxrError):
    """What needs the key of a record was asked for where there is none."""

    code = "SITE_KEY_MISSING"


class SiteKeyInvalid(CxrError):
    """The file of the site key holds none, or cannot be read."""

    code = "SITE_KEY_INVALID"


class Pseudonymiser:
    """HMAC-SHA-256 under the site key: joins what belongs together, and tells no one who."""

    def __init__(self, site_key: bytes) -> None:
        if len(site_key) < KEY_BYTES:
            raise SiteKeyInvalid(f"site key of {len(site_key)} bytes; expected {KEY_BYTES} or more")
        self._site_key = site_key

    def pseudonymise(self, kind: Identifier, value: str) -> str | None:
        """Hash one identifier; padding around it (blank, NUL) does not count.

        Returns
        -------
        64 hexadecimal digits, or None for an empty identifier: else all uploads without one
        would look like one and the same.
        """
        bare = value.strip(" \t\r\n\0")
        if not bare:
            return None
        message = kind.encode() + b"\0" + bare.encode("utf-8", "surrogatepass")
        return hmac.new(self._site_key, message, hashlib.sha256).hexdigest()

    def draw(self, entry_id: str) -> str:
        """A lot for an entry: nobody without the key can tell who gets which."""
        message = b"lot\0" + entry_id.encode()
        return hmac.new(self._site_key, message, hashlib.sha256).hexdigest()

    def sign(self, text: str) -> str:
        """Vouch for a text of the service's own; no pseudonym can pass for a signature."""
        message = b"signature\0" + text.encode()
        return hmac.new(self._site_key, message, hashlib.sha256).hexdigest()

    def pseudonyms_of(self, dicom: DicomContext | None) -> Pseudonyms:
        """Pseudonyms of the four identifiers of an upload; none for PNG and JPEG."""
        if dicom is None:
            return Pseudonyms()
        return Pseudonyms(
            sop_instance=self.pseudonymise(Identifier.SOP_INSTANCE, dicom.sop_instance_uid),
            study_instance=self.pseudonymise(Identifier.STUDY_INSTANCE, dicom.study_instance_uid),
            accession=self.pseudonymise(Identifier.ACCESSION, dicom.accession_number),
            patient=self.pseudonymise(Identifier.PATIENT, dicom.patient_id),
        )


def load_key(path: Path) -> bytes:
    """Read the site key of a record that there is.

    Raises
    ------
    SiteKeyMissing
        There is none, perhaps because this is not the folder of the site; none is made.
    SiteKeyInvalid
        The file is not 64 or more hexadecimal digits, or cannot be read.
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise SiteKeyMissing(
            "there is no site key at CXR_RECORD__SITE_KEY_FILE; `serve` makes one with the record"
        ) from None
    except OSError as error:
        raise SiteKeyInvalid(f"the site key file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SiteKeyInvalid(ONLY_DIGITS) from error
    if is_exposed(path):
        log.warning("record.key_exposed")
    try:
        return bytes.fromhex(text.strip())
    except ValueError as error:
        raise SiteKeyInvalid(ONLY_DIGITS) from error


def load_or_create_key(path: Path) -> bytes:
    """Read the site key, or make it where a record begins.

    Of several processes that come at once one makes it and all use that one: the complete file
    is linked into place, which fails if there is one already.

    Raises
    ------
    SiteKeyInvalid
        The file is not 64 or more hexadecimal digits, or cannot be read or made.
    """
    if not path.exists():
        try:
            _create(path)
        except OSError as error:
            raise SiteKeyInvalid(f"no site key can be made: {error.strerror}") from error
    return load_key(path)


def is_exposed(path: Path) -> bool:
    """Whether others than this user may use a private file.

    One that was laid down for this user by another may be read by its group: so a Kubernetes
    secret comes, which is root's, with the pod's `fsGroup`.
    """
    state = path.stat()
    may_read = 0 if state.st_uid == os.geteuid() else stat.S_IRGRP
    return bool(state.st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~may_read)


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        make_private(part, f"{secrets.token_hex(KEY_BYTES)}\n".encode())
        os.link(part, path)
        sync_folder(path.parent)  # a key lost after its first row would orphan that row
    except FileExistsError:
        pass  # another process was first: its key is the key
    finally:
        part.unlink(missing_ok=True)
