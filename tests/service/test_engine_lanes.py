"""Lanes and buckets serve only once they have reproduced the golden uploads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest
from structlog.testing import capture_logs

from service.core.errors import SelfTestFailed
from service.core.inference import Forward, Outputs, Scalars
from service.core.radiograph import Pixels
from service.engine.lanes import FIRST_BUCKET, Lanes, split_into_buckets

BUCKETS = (1, 4, 8, 16)


@dataclass
class FakeLane:
    """The logit of a picture is its first pixel, but for buckets that are off."""

    buckets: tuple[int, ...] = BUCKETS
    off: frozenset[int] = frozenset()
    calls: list[tuple[int, int]] = field(default_factory=list)
    is_closed: bool = False

    def score(self, batch_nchw: Pixels, bucket: int) -> Outputs:
        assert not self.is_closed
        assert 1 <= len(batch_nchw) <= bucket
        self.calls.append((len(batch_nchw), bucket))
        logits = batch_nchw[:, 0, 0, :1] + np.float32(bucket in self.off)
        return Outputs(logits, batch_nchw, logits)

    def close(self) -> None:
        self.is_closed = True


def pictures(count: int) -> Pixels:
    """No two alike."""
    return np.arange(count * 4, dtype=np.float32).reshape(count, 1, 2, 2)


def prove(forward: Forward) -> None:
    golden = pictures(6)
    if not np.array_equal(forward(golden).logits, _logits(golden)):
        raise SelfTestFailed("differs")


def _logits(batch_nchw: Pixels) -> Scalars:
    return batch_nchw[:, 0, 0, :1]


@pytest.fixture
def lanes() -> list[FakeLane]:
    return [FakeLane(), FakeLane(), FakeLane()]


@pytest.mark.parametrize("count", [1, 2, 3, 33, 64, 65, 200])
@pytest.mark.parametrize("buckets", [(1, 2, 4, 8, 16, 32, 64), (8,), (2, 16)])
def test_buckets_cover_every_picture_once_and_in_order(
    count: int, buckets: tuple[int, ...]
) -> None:
    parts = list(split_into_buckets(count, buckets))

    covered = [index for start, part, _ in parts for index in range(start, start + part)]
    assert covered == list(range(count))
    assert all(part <= bucket and bucket in buckets for _, part, bucket in parts)


def test_one_bucket_of_one_lane_serves_until_the_others_are_proven(lanes: list[FakeLane]) -> None:
    lent = Lanes(lanes)

    outputs = lent.score(pictures(11))

    np.testing.assert_array_equal(outputs.logits, _logits(pictures(11)))
    assert [lane.calls for lane in lanes] == [[(8, FIRST_BUCKET), (3, FIRST_BUCKET)], [], []]


def test_every_row_of_every_bucket_of_every_lane_is_proven(lanes: list[FakeLane]) -> None:
    Lanes(lanes).prove(prove)

    full = [(bucket, bucket) for bucket in BUCKETS]
    for lane in lanes[1:]:
        assert set(lane.calls) == set(full)
    assert set(lanes[0].calls) == set(full) - {(FIRST_BUCKET, FIRST_BUCKET)}


def test_proven_lanes_serve_side_by_side(lanes: list[FakeLane]) -> None:
    lent = Lanes(lanes)
    lent.prove(prove)

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lent.score, map(pictures, range(1, 60))))

    for count, outputs in enumerate(found, 1):
        np.testing.assert_array_equal(outputs.logits, _logits(pictures(count)))


def test_bucket_that_is_not_proven_is_never_used_and_told(lanes: list[FakeLane]) -> None:
    for lane in lanes:
        lane.off = frozenset({4, 16})
    lent = Lanes(lanes)

    with capture_logs() as told, pytest.raises(SelfTestFailed, match="6 graphs"):
        lent.prove(prove)

    for count in range(1, 40):
        np.testing.assert_array_equal(lent.score(pictures(count)).logits, _logits(pictures(count)))
    refused = {(entry["lane"], entry["images"]) for entry in told}
    assert refused == {(lane, bucket) for lane in range(3) for bucket in (4, 16)}
    assert {entry["event"] for entry in told} == {"engine.graph_refused"}


def test_lane_of_which_nothing_is_proven_is_never_lent(lanes: list[FakeLane]) -> None:
    lanes[1].off = frozenset(BUCKETS)
    lent = Lanes(lanes)
    with pytest.raises(SelfTestFailed):
        lent.prove(prove)
    proofs = len(lanes[1].calls)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lent.score, [pictures(3)] * 50))

    assert len(lanes[1].calls) == proofs


def test_first_lane_serves_while_its_other_buckets_are_proven(lanes: list[FakeLane]) -> None:
    lent = Lanes(lanes[:1])
    answers = []

    def prove_and_serve(forward: Forward) -> None:
        prove(forward)
        answers.append(lent.score(pictures(5)).logits)

    lent.prove(prove_and_serve)

    assert len(answers) == len(BUCKETS) - 1
    for logits in answers:
        np.testing.assert_array_equal(logits, _logits(pictures(5)))


def test_closing_waits_for_the_batch_that_is_scored() -> None:
    begun, may_end = threading.Event(), threading.Event()
    order: list[str] = []

    class Slow(FakeLane):
        def score(self, batch_nchw: Pixels, bucket: int) -> Outputs:
            begun.set()
            may_end.wait(10)
            order.append("scored")
            return super().score(batch_nchw, bucket)

        def close(self) -> None:
            order.append("closed")

    lent = Lanes([Slow()])
    with ThreadPoolExecutor(2) as threads:
        scoring = threads.submit(lent.score, pictures(1))
        begun.wait(10)
        closing = threads.submit(lent.close)
        may_end.set()
        scoring.result(10)
        closing.result(10)

    assert order == ["scored", "closed"]
