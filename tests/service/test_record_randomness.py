"""No random byte is given out twice."""

import os
from itertools import count

from service.record.randomness import FETCHED_BYTES, RandomSupply


def test_bytes_are_those_of_the_source_in_order_and_each_once() -> None:
    fetched = count()
    supply = RandomSupply(lambda size: next(fetched).to_bytes() * size)

    taken = [supply.take(8) for _ in range(2 * FETCHED_BYTES // 8)]

    assert taken[0] == b"\0" * 8
    assert taken[-1] == b"\1" * 8
    assert set(taken) == {b"\0" * 8, b"\1" * 8}
    assert next(fetched) == 2


def test_system_is_asked_once_for_many() -> None:
    asked: list[int] = []

    def source(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    supply = RandomSupply(source)
    made = {supply.take(8) for _ in range(FETCHED_BYTES // 8)}

    assert (len(made), asked) == (FETCHED_BYTES // 8, [FETCHED_BYTES])


def test_forked_process_gives_out_other_bytes() -> None:
    supply = RandomSupply()
    supply.take(1)
    reader, writer = os.pipe()

    child = os.fork()
    if child == 0:
        os.write(writer, supply.take(16))
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reader, 16) != supply.take(16)
