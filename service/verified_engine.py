"""The engine of the site's model, checked; at the start it opens while the rest is imported."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Event

from service.core.artifact import Artifact, is_current, load_current
from service.engine.base import Engine
from service.engine.loading import may_bring_torch, open_engine, prove
from service.environment import read_settings
from service.logs import set_up_logs
from service.settings import Settings, find_model_store
from service.signature import Trust, check_signature


def trust_of(settings: Settings) -> Trust:
    """What a model version must be signed by."""
    return Trust(settings.model.public_key, settings.model.certificate_chain)


def open_verified_engine(
    settings: Settings,
    artifact: Artifact,
    threads: int | None = None,
    before_proof: Callable[[], object] = lambda: None,
) -> Engine:
    """The engine that would serve, if the version is signed as the site asks for.

    Parameters
    ----------
    threads
        Of a CPU engine; None takes what the settings say.
    before_proof
        See `open_engine`.

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
        threads=settings.engine.threads if threads is None else threads,
        cache_dir=settings.model.cache_dir,
        before_proof=before_proof,
    )


def open_whole_engine(settings: Settings, artifact: Artifact) -> Engine:
    """The same with every way to score opened and proven, also those that may come later.

    Raises
    ------
    ArtifactError
        As `open_verified_engine`.
    """
    engine = open_verified_engine(settings, artifact)
    try:
        engine.finish(partial(prove, artifact))
    except BaseException:
        engine.close()
        raise
    return engine


class HeadStart:
    """Opens the engine of the current version on a thread of its own, from now on.

    Compiling a network and proving it takes a second, nearly none of it Python's, and so does
    importing the web service, which is all Python's. What would import packages of its own is left
    to the ordinary way: two threads that import at once can meet half a package. So the readers of
    the golden uploads are imported here, on the calling thread, while the network is compiled.
    """

    def __init__(self) -> None:
        can_read = Event()
        self._loading: Future[Artifact] = Future()
        self._opening: Future[tuple[str, Engine]] | None = None
        try:
            settings = _read_settings()  # here, since what it checks may bring in a package
        except Exception as error:  # noqa: BLE001 - who reads them next meets the same, and tells it
            self._loading.set_exception(error)
        else:
            thread = ThreadPoolExecutor(1, thread_name_prefix="head-start")
            self._opening = thread.submit(_open_current, settings, self._loading, can_read.wait)
            thread.shutdown(wait=False)
        try:
            import_module("service.core.self_test")
        finally:
            can_read.set()

    def artifact(self, store: Path) -> Artifact | None:
        """The version that it opens, which need not be read and verified twice.

        Returns
        -------
        None if `CURRENT` names another one by now, and where it could not be read.
        """
        if self._loading.exception() is not None:
            return None
        artifact = self._loading.result()
        return artifact if is_current(store, artifact) else None

    def take(self, artifact: Artifact) -> Engine | None:
        """Wait for the engine, and hand it over, once.

        Returns
        -------
        None for another artifact, and where it was not, or could not be, opened: who opens it anew
        meets the same refusal, and tells it.
        """
        opening, self._opening = self._opening, None
        if opening is None or opening.exception() is not None:
            return None
        digest, engine = opening.result()
        if digest == artifact.digest:
            return engine
        engine.close()
        return None


class _LeftToOthers(Exception):
    """Not for this thread."""


def _open_current(
    settings: Settings, loading: "Future[Artifact]", before_proof: Callable[[], object]
) -> tuple[str, Engine]:
    try:
        artifact = load_current(find_model_store(settings.model.store))
    except BaseException as error:
        loading.set_exception(error)
        raise
    loading.set_result(artifact)
    return artifact.digest, open_verified_engine(settings, artifact, before_proof=before_proof)


def _read_settings() -> Settings:
    settings = read_settings()
    engine = settings.engine
    if may_bring_torch(engine.name, engine.device) or trust_of(settings).is_asked_for:
        raise _LeftToOthers
    set_up_logs(settings.log_level)
    return settings
