"""One site, from its settings: what is opened for it outside the service itself."""

from pathlib import Path

from service.core.artifact import Artifact
from service.drift_state import STATE
from service.engine.base import Engine
from service.engine.loading import open_engine
from service.ops.address import API_KEYS, LogAddress
from service.settings import Settings, find_model_store
from service.signature import Trust, check_signature

PACS_QUEUE = "pacs.db"


def log_address(settings: Settings) -> LogAddress:
    """Where the log is, and each file that a backup of the site must hold besides."""
    record = settings.record
    state = {
        STATE: record.site_key_file.with_name(STATE),
        API_KEYS: settings.access.keys_file,
        PACS_QUEUE: settings.pacs.queue_file,
    }
    return LogAddress(record.url, record.site_key_file, state)


def trust_of(settings: Settings) -> Trust:
    """What a model version must be signed by."""
    return Trust(settings.model.public_key, settings.model.certificate_chain)


def open_verified_engine(settings: Settings, artifact: Artifact) -> Engine:
    """The engine that would serve, if the version is signed as the site asks for.

    Raises
    ------
    ArtifactError
        The signature or the golden scores are not as they must be.
    """
    check_signature(artifact, find_model_store(settings.model.store), trust_of(settings))
    return open_engine(
        artifact,
        engine=settings.engine.name,
        device=settings.engine.device,
        threads=settings.engine.threads,
        cache_dir=settings.model.cache_dir,
    )


def secret_files(settings: Settings) -> list[Path]:
    """Secrets that the site lays down for the service."""
    named = (
        settings.record.password_file,
        settings.pacs.password_file,
        settings.access.oidc_client_secret_file,
    )
    return [path for path in named if path is not None]
