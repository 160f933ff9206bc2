"""One site, from its settings: what is opened for it outside the service itself."""

from pathlib import Path

from service.drift_state import STATE
from service.ops.address import API_KEYS, LogAddress
from service.settings import Settings, find_model_store

PACS_QUEUE = "pacs.db"


def log_address(settings: Settings) -> LogAddress:
    """Where the log is, and each file that a backup of the site must hold besides."""
    record = settings.record
    state = {
        STATE: record.site_key_file.with_name(STATE),
        API_KEYS: settings.access.keys_file,
        PACS_QUEUE: settings.pacs.queue_file,
    }
    store = find_model_store(settings.model.store)
    return LogAddress(record.url, record.site_key_file, state, store)


def secret_files(settings: Settings) -> list[Path]:
    """Secrets that the site lays down for the service."""
    named = (
        settings.record.password_file,
        settings.pacs.password_file,
        settings.access.oidc_client_secret_file,
    )
    return [path for path in named if path is not None]
