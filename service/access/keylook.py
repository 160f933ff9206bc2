"""Looks at the keys file, which nobody waits for whose file system does not answer."""

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from service.access.keyfile import KeyFile, Signature, load_keys, signature_of
from service.access.refusals import KeysUnavailable

PATIENCE_SECONDS: Final = 0.25
"""A file system of this machine answers in microseconds; one that hangs is waited for once."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the file was at a moment.

    Attributes
    ----------
    at
        Seconds, when the looking began.
    signature
        None if there is no file.
    file
        None if it is the one that was known before, or has a fault.
    """

    at: float
    signature: Signature | None
    file: KeyFile | None = None
    fault: str | None = None


Question = tuple[float, Signature | None]
"""When it is put, and the signature of the file that is known."""


def look_at(path: Path, question: Question) -> Look:
    """Read the file if it is another one; blocks for as long as the file system does."""
    at, known = question
    try:
        signature = signature_of(path.stat())
    except OSError:
        signature = None
    if signature is not None and signature == known:
        return Look(at, signature)
    try:
        file, signature = load_keys(path)
    except KeysUnavailable as error:
        return Look(at, signature, fault=str(error))
    return Look(at, signature, file)


class KeyAsker:
    """Has one thread look at the file, and does not wait for a look that takes long.

    That of a network hangs while its server is away, and whoever looks hangs too.

    Parameters
    ----------
    look
        Blocks for as long as the file system does.
    """

    def __init__(self, path: Path, look: Callable[[Path, Question], Look] = look_at) -> None:
        self._path = path
        self._look = look
        self._questions: SimpleQueue[Question | None] = SimpleQueue()
        self._looks: SimpleQueue[Look] = SimpleQueue()
        self._is_asked = False
        self._thread: threading.Thread | None = None

    def ask(self, now: float, known: Signature | None) -> Look | None:
        """The look that was asked for; None if it takes longer than `PATIENCE_SECONDS`.

        One that was asked for before comes first, with the time of then, and is not waited for.
        """
        patience = 0.0 if self._is_asked else PATIENCE_SECONDS
        if not self._is_asked:
            self._put((now, known))
        try:
            look = self._looks.get(timeout=patience)
        except Empty:
            return None
        self._is_asked = False
        return look

    def _put(self, question: Question) -> None:
        if self._thread is None:
            # It does not know of this object, and ends with it.
            parts = self._path, self._look, self._questions, self._looks
            self._thread = threading.Thread(target=_answer, args=parts, name="keys", daemon=True)
            self._thread.start()
            weakref.finalize(self, self._questions.put, None)
        self._is_asked = True
        self._questions.put(question)


def _answer(
    path: Path, look: Callable[[Path, Question], Look],
    questions: "SimpleQueue[Question | None]", looks: "SimpleQueue[Look]",
) -> None:  # fmt: skip
    while (question := questions.get()) is not None:
        try:
            told = look(path, question)
        except Exception as error:  # noqa: BLE001 - end of a thread: nobody else would ever answer
            fault = f"the keys file cannot be read: {type(error).__name__}"
            told = Look(question[0], None, fault=fault)
        looks.put(told)
