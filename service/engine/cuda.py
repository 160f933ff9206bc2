"""A lane of the CUDA engine: recorded graphs, a stream, and pinned memory both ways.

While the pictures of one lane are computed, those of another are copied, and those of a third are
gathered by its thread: the device waits for none of it. A graph is recorded for each bucket of
pictures, so that a small batch is not slowed by the launch of some hundred kernels. All graphs of a
lane share their working memory, since they never run at the same time.

Axes: M pictures, S side, F findings, h x w feature map, D features.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor

BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)
"""Pictures of each recorded graph; 16 radiographs with 4 views fill the largest."""

LANES: Final = 3
"""One computes, one copies, one is gathered."""

WARM_UP_RUNS: Final = 3
"""Before a graph is recorded, as its documentation asks: libraries allocate on first use."""

Tensors = tuple[Tensor, Tensor, Tensor]
"""Logits (M, F), maps (M, F, h, w), features (M, D)."""

Run = Callable[[Tensor], Tensors]
"""(M, 1, S, S) on the device -> outputs there."""


class CudaLane:
    """For one thread at a time.

    Parameters
    ----------
    run
        The network on the device.
    """

    def __init__(self, run: Run, side_px: int, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call] # torch's own gap
        # A blocking event lets the waiting thread sleep: its core has radiographs to decode.
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call] # torch's own gap
        pool = torch.cuda.graph_pool_handle()
        with torch.cuda.device(device), torch.inference_mode():
            # The largest first: what it works in is enough for all others.
            self._graphs = {
                bucket: _Graph(run, (bucket, 1, side_px, side_px), self._stream, pool)
                for bucket in reversed(BUCKETS)
            }

    def score(self, pixels: Tensor) -> Tensors:
        """(M, 1, S, S) on the host -> outputs there; blocks until they are."""
        with torch.cuda.device(self._device), torch.inference_mode():
            parts = [
                self._score_part(self._graphs[bucket], pixels[start : start + count])
                for start, count, bucket in split_into_buckets(len(pixels))
            ]
        logits, maps, features = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return logits, maps, features

    def _score_part(self, graph: "_Graph", pixels: Tensor) -> Tensors:
        with torch.cuda.stream(self._stream):
            graph.launch(pixels)
            self._done.record(self._stream)
        self._done.synchronize()
        return graph.outputs(len(pixels))


class _Graph:
    """One recorded run of the network over a fixed number of pictures."""

    def __init__(
        self,
        run: Run,
        shape: tuple[int, int, int, int],
        stream: torch.cuda.Stream,
        pool: Any,
    ) -> None:
        self._arriving = torch.zeros(shape, pin_memory=True)
        self._pixels = torch.zeros(shape, device=stream.device)
        self._pixels = self._pixels.to(memory_format=torch.channels_last)
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                run(self._pixels)
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        # Another version may be serving meanwhile: what its threads do is no part of this graph.
        with torch.cuda.graph(
            self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"
        ):
            # As they lie in the host's memory, so that the copy there needs no help of the host.
            self._outputs = [output.contiguous() for output in run(self._pixels)]
        self._leaving = [
            torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
            for output in self._outputs
        ]

    def launch(self, pixels: Tensor) -> None:
        """Send the first rows on their way; what earlier pictures left in the others is dropped."""
        count = len(pixels)
        self._arriving[:count].copy_(pixels)
        self._pixels[:count].copy_(self._arriving[:count], non_blocking=True)
        self._graph.replay()
        for arrived, output in zip(self._leaving, self._outputs, strict=True):
            arrived[:count].copy_(output[:count], non_blocking=True)

    def outputs(self, count: int) -> Tensors:
        """Of the first rows, once the stream has done them; the next run overwrites its own."""
        logits, maps, features = (arrived[:count].clone() for arrived in self._leaving)
        return logits, maps, features


def split_into_buckets(pictures: int) -> Iterator[tuple[int, int, int]]:
    """Start, count and bucket of each replay that together cover the pictures, in order."""
    for start in range(0, pictures, BUCKETS[-1]):
        count = min(BUCKETS[-1], pictures - start)
        yield start, count, next(bucket for bucket in BUCKETS if bucket >= count)
