"""A lane of the CUDA engine: recorded graphs, a stream, and pinned memory both ways.

While the pictures of one lane are computed, those of another are copied, and those of a third are
gathered by its thread: the device waits for none of it. A graph is recorded for each bucket of
pictures, so that a small batch is not slowed by the launch of some hundred kernels. All graphs of a
lane share their working memory, since they never run at the same time.

Axes: M pictures, S side, F findings, h x w feature map, D features.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from service.core.inference import Outputs
from service.core.radiograph import Pixels
from service.engine.base import EngineUnavailable
from service.engine.recording import Recorder, Streams

BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)
"""Pictures of each recorded graph; 16 radiographs with 4 views fill the largest."""

LANES: Final = 3
"""One computes, one copies, one is gathered."""

WARM_UP_RUNS: Final = 3
"""Before a graph is recorded, as its documentation asks: libraries allocate on first use."""

RECORDER: Final = Recorder()
STREAMS: Final = Streams[torch.cuda.Stream](torch.cuda.Stream)
"""Of the process, as what they guard is."""

Tensors = tuple[Tensor, Tensor, Tensor]
"""Logits (M, F), maps (M, F, h, w), features (M, D)."""

Run = Callable[[Tensor], Tensors]
"""(M, 1, S, S) on the device -> outputs there."""


def open_lanes(run: Run, side_px: int, device: torch.device) -> list["CudaLane"]:
    """All lanes of an engine, or none.

    Raises
    ------
    EngineUnavailable
        The device refuses: its memory is full, or a recording failed.
    """
    with RECORDER.alone(), ExitStack() as opened:
        lanes = []
        for _ in range(LANES):
            try:
                lane = CudaLane(run, side_px, device)
            except RuntimeError as error:
                raise EngineUnavailable(f"{device} cannot hold another engine") from error
            opened.callback(lane.close)
            lanes.append(lane)
        opened.pop_all()
    return lanes


class CudaLane:
    """For one thread at a time.

    Parameters
    ----------
    run
        The network on the device.
    device
        With its index.
    """

    buckets: tuple[int, ...] = BUCKETS

    def __init__(self, run: Run, side_px: int, device: torch.device) -> None:
        self._device = device
        self._stream = STREAMS.take(device)
        # A blocking event lets the waiting thread sleep: its core has radiographs to decode.
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call] # torch's own gap
        pool = torch.cuda.graph_pool_handle()
        self._graphs: dict[int, _Graph] = {}
        try:
            with torch.cuda.device(device), torch.inference_mode():
                # The largest first: what it works in is enough for all others.
                for bucket in reversed(BUCKETS):
                    shape = (bucket, 1, side_px, side_px)
                    self._graphs[bucket] = _Graph(run, shape, self._stream, pool)
        except BaseException:
            self.close()
            raise

    def score(self, batch_nchw: Pixels, bucket: int) -> Outputs:
        """(M, 1, S, S) for M up to the bucket -> outputs; blocks until they are here."""
        graph = self._graphs[bucket]
        pixels = torch.from_numpy(np.ascontiguousarray(batch_nchw, np.float32))
        with torch.cuda.device(self._device), torch.inference_mode():
            with torch.cuda.stream(self._stream):
                graph.launch(pixels)
                self._done.record(self._stream)
            self._done.synchronize()
            return graph.outputs(len(pixels))

    def close(self) -> None:
        """Let the graphs' memory go, and the stream be another lane's; no `score` after it."""
        self._graphs.clear()
        STREAMS.give_back(self._device, self._stream)


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
        self._outputs = self._record(run, stream, pool)
        self._leaving = [
            torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
            for output in self._outputs
        ]

    def _record(self, run: Run, stream: torch.cuda.Stream, pool: Any) -> list[Tensor]:
        # Threads that serve another version go on meanwhile: what they ask of the device is no part
        # of this graph ("thread_local"). `graph` leaves its stream the current one if it fails.
        with (
            RECORDER.recording(),
            torch.cuda.stream(stream),
            torch.cuda.graph(
                self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"
            ),
        ):
            # As they lie in the host's memory, so that the copy there needs no help of the host.
            return [output.contiguous() for output in run(self._pixels)]

    def launch(self, pixels: Tensor) -> None:
        """Send the first rows on their way; what earlier pictures left in the others is dropped."""
        count = len(pixels)
        self._arriving[:count].copy_(pixels)
        self._pixels[:count].copy_(self._arriving[:count], non_blocking=True)
        self._graph.replay()
        for arrived, output in zip(self._leaving, self._outputs, strict=True):
            arrived[:count].copy_(output[:count], non_blocking=True)

    def outputs(self, count: int) -> Outputs:
        """Of the first rows, once the stream has done them; the next run overwrites its own."""
        return Outputs(*(arrived[:count].numpy().copy() for arrived in self._leaving))
