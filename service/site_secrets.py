"""The secrets of a new site, each in the folder of the one program that reads it.

Only what is missing is made, so that this may run at every start. Keys for people are not among
them: those are made by hand, with `cxr-triage keys create`, and shown once.
"""

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from service.access.keyfile import KeyFile, StoredKey, edit_keys, load_keys
from service.access.keys import draw_key, read_key
from service.access.refusals import CredentialsInvalid
from service.access.scopes import Scope
from service.core.files import PRIVATE, write_whole

KEYS: Final = "triage/keys.json"
METRICS_KEY: Final = "prometheus/token"
NOTIFY_KEY: Final = "orthanc/notify.key"
NOTIFY_URL: Final = "http://cxr-triage:8000/notify"
ORTHANC_USER: Final = "cxr-triage"
FOR_ITS_VOLUME: Final = 0o444
"""Only one container mounts the folder, under a uid that is not ours."""
PASSWORD_BYTES: Final = 24


def make_missing_secrets(folder: Path) -> list[str]:
    """Make what is not there yet.

    Returns
    -------
    Names, relative to the folder, of the files that were made.
    """
    made = [
        *_make_key(folder, METRICS_KEY, name_of_key="prometheus", scope=Scope.METRICS),
        *_make_key(folder, NOTIFY_KEY, name_of_key="orthanc", scope=Scope.PREDICT),
        *_make(folder, "grafana/admin_password", FOR_ITS_VOLUME, _draw_password),
        *_make(folder, "triage/database_password", PRIVATE, _draw_password),
        *_make(folder, "triage/orthanc_password", PRIVATE, _draw_password),
    ]
    shared = (folder / "triage/database_password").read_text("utf-8")
    made += _make(folder, "postgres/password", FOR_ITS_VOLUME, lambda: shared)
    password = (folder / "triage/orthanc_password").read_text("utf-8")
    return made + _make(folder, "orthanc/site.json", FOR_ITS_VOLUME, lambda: _site(password))


def _draw_password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _site(password: str) -> str:
    """What Orthanc has to know of this site, beside the file that every site has."""
    return json.dumps(
        {
            "RegisteredUsers": {ORTHANC_USER: password},
            "CxrTriage": {"NotifyUrl": NOTIFY_URL, "ApiKeyFile": "/etc/orthanc/notify.key"},
        },
        indent=2,
    )


def _make(folder: Path, name: str, mode: int, draw: Callable[[], str]) -> list[str]:
    path = folder / name
    if path.exists():
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, draw().encode(), mode)
    return [name]


def _make_key(folder: Path, name: str, *, name_of_key: str, scope: Scope) -> list[str]:
    """A key whose text is kept where its program reads it; made anew once that is not good."""
    path = folder / name
    if path.exists() and _is_good(folder / KEYS, path.read_text("utf-8"), datetime.now(UTC)):
        return []
    text, shown = draw_key()
    now = datetime.now(UTC)
    key = StoredKey(
        id=shown.id, name=name_of_key, digest=shown.digest.hex(), scopes=[scope], created=now
    )
    edit_keys(folder / KEYS, lambda file: file.with_key(key), now=now)
    path.unlink(missing_ok=True)
    return _make(folder, name, FOR_ITS_VOLUME, lambda: text)


def _is_good(keys: Path, text: str, now: datetime) -> bool:
    """Whether the service lets it in, and will: it is live, and no other took its place."""
    try:
        shown = read_key(text)
    except CredentialsInvalid:
        return False
    known = load_keys(keys)[0] if keys.exists() else KeyFile()
    return any(
        key.id == shown.id
        and key.digest == shown.digest.hex()
        and key.state(now) == "live"
        and key.replaced_by is None
        for key in known.keys
    )
