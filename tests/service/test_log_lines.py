"""Lines of the log: in order, all of them while somebody reads, and nobody waits for the reader."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from service.log_lines import Lines

PIPE_BYTES = 1 << 16
"""What Linux keeps of a pipe that nobody reads."""
BLOCK = "x" * (PIPE_BYTES - 1) + "\n"


@dataclass(frozen=True, slots=True)
class Pipe:
    """Both ends."""

    reader: int
    writer: int

    def read_until(self, last: str) -> str:
        """All that comes, to the line that ends so."""
        told = b""
        while not told.endswith(last.encode()):
            told += os.read(self.reader, PIPE_BYTES)
        return told.decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    opened = Pipe(*os.pipe())
    yield opened
    os.close(opened.reader)


def lines_to(pipe: Pipe, most: int = 10_000) -> Lines:
    return Lines(pipe.writer, lambda dropped: f"dropped {dropped}\n", most=most)


def test_lines_of_many_threads_are_all_written_each_thread_s_in_order(pipe: Pipe) -> None:
    lines = lines_to(pipe)

    def write(name: int) -> None:
        for number in range(500):
            lines.write(f"{name} {number}\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines.write("end\n")

    told = pipe.read_until("end\n").splitlines()
    assert len(told) == 2001
    for name in range(4):
        numbers = [int(line.split()[1]) for line in told[:-1] if line.startswith(f"{name} ")]
        assert numbers == list(range(500))


def test_reader_that_stalls_costs_lines_that_are_counted_once_it_reads_again(pipe: Pipe) -> None:
    lines = lines_to(pipe, most=4)
    lines.write(BLOCK + BLOCK)
    os.read(pipe.reader, 1)  # it is being written, and waits for the rest to be read
    for number in range(10):
        lines.write(f"{number}\n")

    told = pipe.read_until("dropped 6\n")
    lines.write("later\n")

    assert told.splitlines()[1:] == [BLOCK.strip(), "0", "1", "2", "3", "dropped 6"]
    assert pipe.read_until("later\n") == "later\n"


def test_end_waits_for_a_reader_no_longer_than_it_says(pipe: Pipe) -> None:
    lines = lines_to(pipe)
    lines.write(BLOCK + "more\n")

    is_in_time = lines.finish(0.01)
    told = pipe.read_until("more\n")

    assert not is_in_time
    assert told == BLOCK + "more\n"
    assert lines.finish()


def test_line_that_the_descriptor_refuses_is_lost_and_the_next_ones_are_not_waited_for() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = Lines(writer, str)

    lines.write("nobody reads\n")
    lines.write("nobody reads\n")

    assert lines.finish()


CRASH = """
import structlog
from service.logs import set_up_logs
set_up_logs("info")
for _ in range(1000):
    structlog.get_logger().info("triage.completed")
raise KeyError
"""


def test_lines_that_wait_are_written_when_the_program_crashes() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRASH], capture_output=True, text=True, check=False, timeout=300
    )

    assert ended.returncode == 1
    assert ended.stderr.count('"triage.completed"') == 1000
