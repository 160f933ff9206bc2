"""Log set-up: JSON lines, and an allow-list that drops every field nobody vouched for."""

import json
import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.log_lines import Lines

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ALLOWED_FIELDS = frozenset({
    "event", "level", "timestamp", "logger",
    "request_id", "id", "method", "route", "http_status", "code", "outcome", "mode",
    "model_name", "model_version", "model_digest", "engine", "device", "store",
    "status", "reason", "priority", "flags", "warnings", "replay", "file_format", "scanner",
    "body_bytes", "body_seconds", "decode_seconds", "queue_seconds", "inference_seconds",
    "record_seconds", "request_seconds", "score_seconds", "start_seconds", "drain_seconds",
    "images", "in_flight", "queued", "rows", "sequence", "digest", "difference", "signal", "error",
    "error_type", "error_at", "host", "port", "version",
    "lane", "scalar", "ratio", "since", "kind", "cause", "part", "key_id", "peer", "person",
    "instances", "tries",
})  # fmt: skip
"""No field here can hold a patient tag, a file name, a header or free text from outside."""

SERVER_LOGGER = "uvicorn"
"""Its messages are its own words; those of any other library may quote a tag value."""


def _tell_dropped(lines: int) -> str:
    told = {"event": "log.lines_dropped", "level": "warning", "rows": lines}
    return json.dumps(told | {"timestamp": datetime.now(UTC).isoformat()}) + "\n"


STDERR: Final = Lines(2, _tell_dropped)
"""Of the process, as its descriptor is: one queue for all who write there."""


class _Patient:
    """A stream that may refuse: that costs a line, and no request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class _Direct:
    """What structlog writes with. Its own logger holds a lock that no finalizer gets past."""

    def __init__(self, stream: "_Patient | Lines") -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line."""
        self._stream.write(line + "\n")

    debug = info = warning = error = critical = msg


def set_up_logs(level: str, stream: TextIO | None = None) -> None:
    """Send our events, and what libraries say, to stderr as JSON lines.

    A line that stderr refuses is lost, and what wrote it goes on. Nobody waits for its reader but
    `write_out_logs` and the end of the program.

    Messages of other libraries are replaced by `library.spoke` and the name of the logger:
    DICOM readers quote the values that they stumble over. Of what nobody caught, in a thread or a
    finalizer, type and place are told; Python would print to stderr what it choked on.

    Parameters
    ----------
    stream
        Instead of stderr; every line is in it at once.
    """
    patient = STDERR if stream is None else _Patient(stream)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, keep_allowed_fields, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=lambda *_names: _Direct(patient),
        cache_logger_on_first_use=False,
    )
    _capture_libraries(level, cast(TextIO, patient), shared)
    if stream is None:
        threading.excepthook = _tell_thread
        sys.unraisablehook = _tell_unraisable


def write_out_logs() -> None:
    """Wait, for a bounded time, until the lines that wait are on stderr."""
    STDERR.finish()


def keep_allowed_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop every field that is not on the allow-list."""
    return {name: value for name, value in event.items() if name in ALLOWED_FIELDS}


def describe_error(error: BaseException) -> Mapping[str, str]:
    """Type and place of an error; never its message, which may quote what it choked on."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.startswith("service"):
            place = f"{module}.{code.co_qualname}:{trace.tb_lineno}"
        trace = trace.tb_next
    return {"error_type": type(error).__name__, "error_at": place}


def _tell_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        log.error("thread.failed", **describe_error(failed.exc_value))


def _tell_unraisable(failed: "sys.UnraisableHookArgs") -> None:
    if failed.exc_value is not None:
        log.error("finalizer.failed", **describe_error(failed.exc_value))


def _capture_libraries(level: str, stream: TextIO, shared: list[Processor]) -> None:
    logging.raiseExceptions = False  # or a message that cannot be formatted is printed, values too
    handler = logging.StreamHandler(stream)
    handler.addFilter(_drop_values)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _hush, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                keep_allowed_fields,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    for name in (SERVER_LOGGER, f"{SERVER_LOGGER}.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(True)


def _drop_values(record: logging.LogRecord) -> bool:
    """What is not told need not be formatted, and may not fit its format."""
    if not record.name.startswith(SERVER_LOGGER):
        record.args = ()
    return True


def _hush(
    _logger: WrappedLogger, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    if not str(event.get("logger", "")).startswith(SERVER_LOGGER):
        event["event"] = "library.spoke"
    elif "\n" in str(event["event"]):
        event["event"] = "server.failed"  # a stack trace: its last line may quote anything
    return event
