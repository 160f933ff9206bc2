"""Logs: JSON lines that hold nothing but what is on the allow-list."""

import io
import json
import logging
import subprocess
import sys
import warnings

import pytest
import structlog

from service.logs import describe_error, set_up_logs
from tests.support.streams import FullDisk

SECRET = "ZQPatientName^JANE"


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    set_up_logs("info", stream)
    return stream


def test_field_that_nobody_vouched_for_is_dropped(lines: io.StringIO) -> None:
    structlog.get_logger().info("triage.completed", id="0197", patient_name=SECRET)

    line = json.loads(lines.getvalue())

    assert line["event"] == "triage.completed"
    assert line["id"] == "0197"
    assert line["level"] == "info"
    assert SECRET not in lines.getvalue()


def test_line_that_the_stream_refuses_is_lost_and_stops_nobody() -> None:
    set_up_logs("info", FullDisk())

    structlog.get_logger().error("record.write_failed", rows=1)
    logging.getLogger("sqlalchemy").error("disk full")


def test_line_below_the_level_is_not_written(lines: io.StringIO) -> None:
    structlog.get_logger().debug("request.completed", route="/healthz")

    assert lines.getvalue() == ""


def test_what_a_library_says_is_counted_and_not_quoted(lines: io.StringIO) -> None:
    logging.getLogger("some.reader").warning("bad value %r", SECRET)

    line = json.loads(lines.getvalue())

    assert line["event"] == "library.spoke"
    assert line["logger"] == "some.reader"
    assert SECRET not in lines.getvalue()


@pytest.mark.filterwarnings("default")
def test_python_warning_is_not_quoted(lines: io.StringIO) -> None:
    warnings.warn(f"value {SECRET} is odd", UserWarning, stacklevel=1)

    assert json.loads(lines.getvalue())["logger"] == "py.warnings"
    assert SECRET not in lines.getvalue()


def test_stack_trace_of_the_server_is_not_written(lines: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").error("Traceback (most recent call last):\n %s", SECRET)

    assert json.loads(lines.getvalue())["event"] == "server.failed"
    assert SECRET not in lines.getvalue()


def test_error_is_described_by_type_and_place_alone() -> None:
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int(SECRET)

    described = describe_error(raised.value)

    assert described["error_type"] == "ValueError"
    assert SECRET not in str(described)


PROBE = f"""
import logging, threading
from service.logs import set_up_logs

set_up_logs("info")

def fail():
    raise ValueError("{SECRET}")

class Failing:
    __del__ = lambda self: fail()

logging.getLogger("some.reader").warning("no place for it", "{SECRET}")
logging.getLogger("uvicorn.error").warning("%d", "{SECRET}")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Failing()
"""


def test_what_nobody_caught_is_told_by_type_alone() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=300
    )

    events = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    assert events == ["library.spoke", "thread.failed", "finalizer.failed"]
    assert SECRET not in ended.stderr
