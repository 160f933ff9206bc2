"""Asks one Orthanc over HTTP; whatever it answers is checked before it is believed."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.core.errors import BodyTooLarge
from service.pacs.failures import (
    FAILED,
    FORBIDDEN,
    GONE,
    INVALID,
    TIMEOUT,
    UNREACHABLE,
    Blame,
    PullFailure,
)
from service.pacs.names import INSTANCE
from service.pacs.options import PacsMisconfigured, PacsOptions

M = TypeVar("M", bound=BaseModel)

NEW_INSTANCE: Final = "NewInstance"
CONNECT_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 15.0
"""Longest pause between two pieces of an answer."""
REUSE_SECONDS: Final = 0.5
"""Orthanc closes a connection that is idle for a second; asking on it just then has no answer."""
MOST_JSON_BYTES: Final = 4_000_000
MODALITY_TAG: Final = "0008-0060"
UNKNOWN_RESOURCE: Final = 17
"""`OrthancStatus` of what is not there; a 404 without it may come from a proxy."""


class Change(BaseModel):
    """One line of the log of changes."""

    model_config = ConfigDict(frozen=True, strict=True)

    kind: str = Field(alias="ChangeType", max_length=64)
    id: str = Field(alias="ID", max_length=64)
    date: str = Field(alias="Date", max_length=32)
    sequence: int = Field(alias="Seq", ge=1, lt=2**62)

    @model_validator(mode="after")
    def _names_an_instance(self) -> Self:
        if self.kind == NEW_INSTANCE and INSTANCE.fullmatch(self.id) is None:
            raise ValueError("the id of an instance is none of Orthanc's")
        return self


class ChangesPage(BaseModel):
    """An answer of `/changes`."""

    model_config = ConfigDict(frozen=True, strict=True)

    changes: list[Change] = Field(alias="Changes")
    is_done: bool = Field(alias="Done")
    last: int = Field(alias="Last", ge=0, lt=2**62)

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        numbers = [change.sequence for change in self.changes]
        if numbers != sorted(set(numbers)):
            raise ValueError("the changes are out of order")
        if not self.changes and not self.is_done:
            raise ValueError("an empty page that is not the last")
        return self


class _Tags(BaseModel):
    """Of `simplified-tags`; every other tag is thrown away unread."""

    modality: str | None = Field(None, alias="Modality", max_length=64)


class _Refusal(BaseModel):
    status: int = Field(alias="OrthancStatus")


class Orthanc:
    """One Orthanc; never asks another address, whatever an answer says.

    Parameters
    ----------
    pull_seconds
        Longest time that one instance may take to arrive.
    """

    def __init__(self, http: httpx.AsyncClient, *, pull_seconds: float) -> None:
        self._http = http
        self._pull_seconds = pull_seconds

    async def changes(self, since: int, limit: int) -> ChangesPage:
        """Changes with a greater number than `since`, oldest first."""
        answer = await self._json("changes", {"since": str(since), "limit": str(limit)})
        page = _parse(ChangesPage, answer)
        if page.changes and page.changes[0].sequence <= since:
            raise PullFailure(INVALID, Blame.TRY)
        return page

    async def last_change(self) -> ChangesPage:
        """The newest change, where there is one."""
        return _parse(ChangesPage, await self._json("changes", {"last": ""}))

    async def modality(self, instance: str) -> str:
        """What the instance says that made it, or ""; asks for no pixels.

        As the reader takes it: the first of several values, in capitals.
        """
        path = f"instances/{_checked(instance)}"
        try:
            answer = await self._small(f"{path}/simplified-tags")
        except BodyTooLarge:  # contours of a plan, or the frames of a slide: megabytes of tags
            told = await self._value(f"{path}/content/{MODALITY_TAG}")
        else:
            told = _parse(_Tags, answer).modality or ""
        return told.split("\\")[0].strip("\0 ").upper()

    async def pull(self, instance: str, *, max_bytes: int, reserve: Callable[[int], None]) -> bytes:
        """The DICOM file of an instance.

        Parameters
        ----------
        reserve
            Told how many bytes are about to be held in all; may raise.

        Raises
        ------
        BodyTooLarge
            By its announced length before a byte is read, or as soon as the limit is passed.
        PullFailure
            It cannot be had now.
        """
        path = f"instances/{_checked(instance)}/file"
        return await self._get(path, {}, self._pull_seconds, max_bytes, reserve)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _json(self, path: str, params: dict[str, str] | None = None) -> bytes:
        try:
            return await self._small(path, params)
        except BodyTooLarge as error:
            raise PullFailure(INVALID, Blame.TRY) from error

    async def _value(self, path: str) -> str:
        """One tag as it is stored; "" where there is none, or no instance: its file will tell."""
        try:
            return (await self._json(path)).decode("latin-1")
        except PullFailure as failure:
            if failure.code == GONE:
                return ""
            raise

    async def _small(self, path: str, params: dict[str, str] | None = None) -> bytes:
        return await self._get(path, params or {}, SILENCE_SECONDS, MOST_JSON_BYTES, lambda _: None)

    async def _get(
        self,
        path: str,
        params: dict[str, str],
        seconds: float,
        max_bytes: int,
        reserve: Callable[[int], None],
    ) -> bytes:
        with _translated():
            async with asyncio.timeout(seconds), self._answer(path, params) as answer:
                return await _read(answer, max_bytes, reserve)

    @asynccontextmanager
    async def _answer(self, path: str, params: dict[str, str]) -> AsyncIterator[httpx.Response]:
        async with self._http.stream("GET", path, params=params) as answer:
            if answer.status_code == HTTPStatus.OK and not answer.headers.get("content-encoding"):
                yield answer
                return
            raise await _refusal_of(answer)


class _translated:  # noqa: N801 - reads as a word in a `with` statement
    """Turns what the network does into the reasons of the queue."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
            raise PullFailure(UNREACHABLE, Blame.PACS) from error
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            raise PullFailure(TIMEOUT, Blame.TRY) from error
        if isinstance(error, httpx.NetworkError):
            raise PullFailure(UNREACHABLE, Blame.TRY) from error
        if isinstance(error, httpx.HTTPError):
            raise PullFailure(INVALID, Blame.TRY) from error


def open_orthanc(options: PacsOptions) -> Orthanc:
    """A client for the configured address and no other; asks nothing yet.

    Raises
    ------
    PacsMisconfigured
        The file of the password or of the certificates cannot be read.
    """
    try:
        verify = ssl.create_default_context(cafile=options.ca_file)
        auth = _auth_of(options)
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or type(error).__name__
        raise PacsMisconfigured(f"a file of the PACS settings cannot be read: {cause}") from error
    http = httpx.AsyncClient(
        base_url=options.url.rstrip("/") + "/",
        auth=auth,
        verify=verify,
        # A proxy of the environment would be another address, a packed answer could be a bomb.
        trust_env=False,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "cxr-triage"},
        timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(
            max_connections=options.parallel_pulls + 2, keepalive_expiry=REUSE_SECONDS
        ),
    )
    return Orthanc(http, pull_seconds=options.pull_seconds)


def _auth_of(options: PacsOptions) -> httpx.BasicAuth | None:
    if options.user is None or options.password_file is None:
        return None
    password = options.password_file.read_text(encoding="utf-8").strip()
    return httpx.BasicAuth(options.user, password)


async def _read(answer: httpx.Response, max_bytes: int, reserve: Callable[[int], None]) -> bytes:
    announced = int(answer.headers.get("content-length", "0"))
    if announced > max_bytes:
        raise BodyTooLarge(f"the instance has more than the {max_bytes} bytes that are accepted")
    reserve(announced)
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLarge(f"the instance has more than {max_bytes} bytes")
        reserve(len(body))
    return bytes(body)


async def _refusal_of(answer: httpx.Response) -> PullFailure:
    status = answer.status_code
    if status == HTTPStatus.UNAUTHORIZED:  # the password, which opens everything or nothing
        return PullFailure(FORBIDDEN, Blame.PACS)
    if status == HTTPStatus.FORBIDDEN:  # what was asked for: Orthanc's filters decide one by one
        return PullFailure(FORBIDDEN, Blame.TRY)
    if status == HTTPStatus.NOT_FOUND:
        is_told = await _is_told_by_orthanc(answer)
        return PullFailure(GONE, Blame.GONE if is_told else Blame.TRY)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return PullFailure(FAILED, Blame.TRY)
    return PullFailure(INVALID, Blame.TRY)


async def _is_told_by_orthanc(answer: httpx.Response) -> bool:
    try:
        body = await _read(answer, MOST_JSON_BYTES, lambda _: None)
        return _parse(_Refusal, body).status == UNKNOWN_RESOURCE
    except (BodyTooLarge, PullFailure):
        return False


def _checked(instance: str) -> str:
    if INSTANCE.fullmatch(instance) is None:
        raise PullFailure(INVALID, Blame.INSTANCE)
    return instance


def _parse(model: type[M], answer: bytes) -> M:
    try:
        return model.model_validate_json(answer)
    except ValidationError as error:
        raise PullFailure(INVALID, Blame.TRY) from error
