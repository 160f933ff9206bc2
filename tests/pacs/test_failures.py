"""Whatever a PACS does, nothing is lost, nothing is read twice, and nothing is asked elsewhere."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.pacs.queue import State
from service.record import Outcome
from tests.support.fake_pacs import (
    FakePacs,
    Reply,
    always,
    failing,
    name_of,
    open_fake_pacs,
)
from tests.support.inlet import open_way
from tests.support.orthanc import phantom

ONE, TWO = name_of(1), name_of(2)
BROKEN = [
    pytest.param(Reply(b"oops", 500), "PACS_FAILED", id="error 500"),
    pytest.param(Reply(b"", 404), "PACS_INSTANCE_GONE", id="404 that is not Orthanc's"),
    pytest.param(Reply(b"", 302, ("Location: http://127.0.0.1:9/",)), "PACS_ANSWER_INVALID",
                 id="redirect"),
    pytest.param(Reply(b"DICM", announced=1000), "PACS_ANSWER_INVALID", id="cut off"),
    pytest.param(Reply(gzip.compress(bytes(10**6)), headers=("Content-Encoding: gzip",)),
                 "PACS_ANSWER_INVALID", id="packed though not asked for"),
]  # fmt: skip

NEW = '{{"Changes": [{{"ChangeType": "NewInstance", "ID": {}, "Date": "", "Seq": {}}}], {}}}'
REST = '"Done": true, "Last": 1'
GARBAGE = {
    "text": b"no json",
    "list": b"[]",
    "empty and not done": b'{"Changes": [], "Done": false, "Last": 0}',
    "traversal": NEW.format('"../../system"', 1, REST).encode(),
    "types": NEW.format(1, '"x"', REST).encode(),
    "no end": NEW.format(f'"{ONE}"', 1, '"Done": true').encode(),
    "nested": b"[" * 100_000,
    "large": bytes(5_000_000),
}


@pytest.fixture
async def pacs(tmp_path: Path) -> AsyncIterator[FakePacs]:
    async with open_fake_pacs(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(("reply", "code"), BROKEN)
async def test_answer_that_fails_twice_is_tried_again(
    pacs: FakePacs, tiny_store: Path, reply: Reply, code: str
) -> None:
    pacs.rules.append(failing(f"{ONE}/file", reply, reply))
    pacs.store(ONE, phantom(1))

    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.settled(answered=1)

    assert pacs.pulls(ONE) == 3
    assert [entry.outcome for entry in way.entries()] == [Outcome.EVALUATED]
    assert f'cxr_pacs_failures_total{{code="{code}"}} 2.0' in way.metrics


@pytest.mark.parametrize(("reply", "code"), BROKEN)
async def test_answer_that_always_fails_ends_as_a_dead_letter_and_holds_up_no_other(
    pacs: FakePacs, tiny_store: Path, reply: Reply, code: str
) -> None:
    pacs.rules.append(always(f"{ONE}/file", reply))
    pacs.store(ONE, phantom(1))

    async with open_way(pacs, tiny_store, start="beginning", max_tries=3, retry_seconds=1.0) as way:
        await way.event("pacs.instance_postponed")
        pacs.store(TWO, phantom(2))
        await way.settled(answered=1, dead=1)

    (letter,) = way.queue.dead_letters()
    assert (letter.instance, letter.code, letter.tries) == (ONE, code, 3)
    assert pacs.pulls(ONE) == 3
    assert len(way.entries()) == 1


async def test_dead_letter_that_is_retried_is_answered(pacs: FakePacs, tiny_store: Path) -> None:
    fails = always(f"{ONE}/file", Reply(b"", 500))
    pacs.rules.append(fails)
    pacs.store(ONE, phantom(1))

    async with open_way(pacs, tiny_store, start="beginning", max_tries=2) as way:
        await way.event("pacs.instance_postponed")
        pacs.store(TWO, phantom(2))
        await way.settled(answered=1, dead=1)
        pacs.rules.remove(fails)
        assert way.queue.retry() == 1
        await way.settled(answered=2)

    assert len(way.entries()) == 2


async def test_too_large_an_instance_is_refused_by_its_announced_length(
    pacs: FakePacs, tiny_store: Path
) -> None:
    never = asyncio.Event()
    pacs.rules.append(always(f"{ONE}/file", Reply(b"", announced=300_000_000, hold=never)))
    pacs.store(ONE, b"")
    pacs.store(TWO, phantom(2))

    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.settled(answered=1, dead=1)

    assert [letter.code for letter in way.queue.dead_letters()] == ["BODY_TOO_LARGE"]
    assert pacs.pulls(ONE) == 1
    assert way.runtime.admission.in_flight_bytes == 0


async def test_instance_without_end_is_cut_off_at_the_limit(
    pacs: FakePacs, tiny_store: Path
) -> None:
    pacs.rules.append(always(f"{ONE}/file", Reply(bytes(1_000_000), is_endless=True)))
    pacs.store(ONE, b"")

    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.settled(dead=1)

    assert [letter.code for letter in way.queue.dead_letters()] == ["BODY_TOO_LARGE"]
    assert way.runtime.admission.in_flight_bytes == 0


async def test_instance_that_arrives_too_slowly_is_tried_again(
    pacs: FakePacs, tiny_store: Path
) -> None:
    body, never = phantom(1), asyncio.Event()
    pacs.rules.append(failing(f"{ONE}/file", Reply(body, hold=never)))
    pacs.store(ONE, body)

    async with open_way(pacs, tiny_store, start="beginning", pull_seconds=0.3) as way:
        await way.settled(answered=1)

    assert 'cxr_pacs_failures_total{code="PACS_TIMEOUT"} 1.0' in way.metrics


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_of_changes_moves_nothing(
    pacs: FakePacs, tiny_store: Path, garbage: bytes
) -> None:
    pacs.store(ONE, phantom(1))
    path = "/changes?since=0&limit=200"
    pacs.rules.append(failing(path, Reply(garbage), Reply(garbage)))

    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.settled(answered=1)

    assert [target for target in pacs.asked if "system" in target] == []
    assert 'cxr_pacs_poll_failures_total{code="PACS_ANSWER_INVALID"} 2.0' in way.metrics
    assert len(way.entries()) == 1


async def test_instance_is_not_blamed_while_the_pacs_as_a_whole_is_broken(
    pacs: FakePacs, tiny_store: Path
) -> None:
    async with open_way(pacs, tiny_store, max_tries=2) as way:
        await way.contact()
        all_broken = always("", Reply(b"", 500))
        pacs.rules.append(all_broken)
        await way.event("pacs.contact_lost")
        for number in range(20):
            await way.client.post("/notify", content=name_of(number))
            pacs.store(name_of(number), phantom(number))
        await way.until(
            lambda: pacs.asked.count(f"/instances/{name_of(0)}/simplified-tags") > 3,
            "several tries",
        )
        pacs.rules.remove(all_broken)
        await way.settled(answered=20)

    assert len(way.entries()) == 20


async def test_refused_password_is_held_against_no_instance(
    pacs: FakePacs, tiny_store: Path
) -> None:
    async with open_way(pacs, tiny_store, max_tries=1, poll=False) as way:
        await way.contact()
        pacs.store(ONE, phantom(1))
        pacs.rules.append(failing("tags", *[Reply(b"", 401)] * 3))
        await way.client.post("/notify", content=ONE)
        await way.settled(answered=1)

    assert 'cxr_pacs_failures_total{code="PACS_FORBIDDEN"} 3.0' in way.metrics


def store_of_which_two_are_refused(pacs: FakePacs, status: int) -> None:
    """Three instances; the first two are answered so whenever they are asked for."""
    for number in range(2):
        pacs.rules.append(always(f"{name_of(number)}/simplified-tags", Reply(b"", status)))
    for number in range(3):
        pacs.store(name_of(number), phantom(number))


async def test_instances_that_are_forbidden_end_as_dead_letters_and_hold_up_no_other(
    pacs: FakePacs, tiny_store: Path
) -> None:
    store_of_which_two_are_refused(pacs, 403)

    async with open_way(pacs, tiny_store, start="beginning", max_tries=2, parallel_pulls=2) as way:
        await way.settled(answered=1, dead=2)

    assert {letter.code for letter in way.queue.dead_letters()} == {"PACS_FORBIDDEN"}


async def test_instances_that_want_another_password_hold_up_no_other(
    pacs: FakePacs, tiny_store: Path
) -> None:
    store_of_which_two_are_refused(pacs, 401)

    async with open_way(pacs, tiny_store, start="beginning", max_tries=1, parallel_pulls=2) as way:
        await way.until(lambda: way.queue.counts()[State.ANSWERED] == 1, "the third")

        assert way.queue.depth().waiting == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"this is no DICOM file", "UNKNOWN_FORMAT"),
        (b"", "EMPTY_UPLOAD"),
        (phantom(1)[:-5000], "PIXEL_DATA_DAMAGED"),
        (phantom(1, PixelData=None), "NO_PIXEL_DATA"),
    ],
    ids=["text", "nothing", "cut", "no pixels"],
)
async def test_unreadable_instance_is_a_dead_letter_at_once(
    pacs: FakePacs, tiny_store: Path, body: bytes, code: str
) -> None:
    pacs.store(ONE, body)

    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.settled(dead=1)

    (letter,) = way.queue.dead_letters()
    assert (letter.code, pacs.pulls(ONE)) == (code, 1)
    assert 'cxr_radiographs_total{outcome="refused"} 1.0' in way.metrics
    assert way.entries() == []


@pytest.mark.parametrize(
    ("modality", "wanted"),
    [("", "DX"), ("dx", "DX"), (" DX", "DX"), ("DX\\OT", "DX"), ("\\OT", "DX"), ("DX", "dx ")],
)
async def test_modality_is_taken_as_the_reader_takes_it(
    pacs: FakePacs, tiny_store: Path, modality: str, wanted: str
) -> None:
    pacs.store(ONE, phantom(1), modality=modality)

    async with open_way(pacs, tiny_store, start="beginning", modalities=[wanted]) as way:
        await way.settled(answered=1)

    assert len(way.entries()) == 1


@pytest.mark.parametrize(
    ("told", "ended"),
    [
        (Reply(b"RTSTRUCT "), State.IGNORED),
        (Reply(b"DX\0"), State.ANSWERED),
        (Reply(b"", 404), State.ANSWERED),
    ],
    ids=["another", "wanted", "none"],
)
async def test_modality_of_an_instance_with_boundless_tags_is_asked_for_alone(
    pacs: FakePacs, tiny_store: Path, told: Reply, ended: State
) -> None:
    pacs.rules.append(always(f"{ONE}/simplified-tags", Reply(bytes(5_000_000))))
    pacs.rules.append(always(f"{ONE}/content/0008-0060", told))
    pacs.store(ONE, phantom(1))

    async with open_way(pacs, tiny_store, start="beginning", max_tries=1) as way:
        await way.settled(**{ended.value: 1})

    assert pacs.pulls(ONE) == (1 if ended is State.ANSWERED else 0)


async def test_only_the_configured_address_is_asked(pacs: FakePacs, tiny_store: Path) -> None:
    elsewhere = ("Location: " + pacs.url + "/elsewhere",)
    pacs.rules.append(failing(f"{ONE}/file", Reply(b"", 307, elsewhere)))
    pacs.store(ONE, phantom(1))

    async with open_way(pacs, tiny_store, start="beginning") as way:
        await way.settled(answered=1)

    rooms = {target.split("?")[0] for target in pacs.asked}
    assert rooms == {"/changes", f"/instances/{ONE}/file", f"/instances/{ONE}/simplified-tags"}
