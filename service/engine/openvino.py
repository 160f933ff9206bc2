"""The CPU engine: `model.onnx` under OpenVINO, without torch.

The network is compiled for exactly one picture, and the pictures of a batch run side by side, one
stream a core. So a radiograph's score cannot depend on who shared its batch, no new batch size ever
has to be compiled while a caller waits, and nothing is padded. A picture that is alone would leave
all cores but one idle, so it gets a second compilation that spreads one picture over all of them,
once the first one serves (`finish`); the self-test holds both to the golden scores.

Medians of 8 with DenseNet-121 at 128 px in bf16 on two cores that had other work too: 4 pictures in
84 ms, against 105 ms as one batch of a dynamic size and 107 ms as one of a fixed size; 16 pictures
in 307 ms, against 358 and 330 ms.

Axes: M pictures, S side.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import openvino

from service.core.artifact import ONNX, Artifact
from service.core.errors import ArtifactInvalid
from service.core.inference import Forward, Outputs, Scalars
from service.core.radiograph import Pixels
from service.engine.compiled import INPUT, Compiler

Results = dict[str, Scalars]
"""By name of the output."""

LOGITS, MAPS, FEATURES = "logits", "maps", "features"
PICTURES_A_CALL = 4
"""They pass through a stream one by one, and all are told when the last is done: with 8 the
slowest of a hundred answers took a tenth longer, with 16 a third. Throughput was the same within
3 % (DenseNet-121 at 224 px, two cores, 32 clients)."""


class OpenVinoEngine:
    """The network of an artifact, compiled for this CPU.

    Parameters
    ----------
    threads
        Most threads in use at once; 0 takes all cores.
    cache_dir
        Where compiled networks are kept (`keep`); a damaged one is compiled anew.

    Raises
    ------
    ArtifactInvalid
        `model.onnx` is not a network with our input and outputs.
    """

    name = "openvino"
    company = PICTURES_A_CALL

    def __init__(
        self, artifact: Artifact, *, threads: int = 0, cache_dir: Path | None = None
    ) -> None:
        self._compiler = Compiler(artifact, threads=threads, cache_dir=cache_dir)
        self.device = f"cpu {self._compiler.precision}"
        self._side_px = artifact.manifest.preprocess.side_px
        self._open_streams()
        self._alone: _Request | None = None
        self._callers = 0
        self._door = threading.Lock()

    def forward(self, batch_nchw: Pixels) -> Outputs:
        """(M, 1, S, S) normalised -> logits, maps and features, any M >= 1."""
        results, places = self._open_results(len(batch_nchw))
        with self._entered() as is_only:
            if len(places) == 1 and is_only and self._alone is not None:
                _score_alone(self._alone, batch_nchw[0], places[0])
            else:
                self._streams.score(batch_nchw, places)
        return _outputs(results, len(places))

    def finish(self, prove: Callable[[Forward], object]) -> None:
        """Compile the network once more, for a picture that is alone, and use it once proven."""
        if self._alone is not None:
            return
        request = _Request(self._compiler.compile_spread(), self._shapes)

        def forward_each(batch_nchw: Pixels) -> Outputs:
            results, places = self._open_results(len(batch_nchw))
            for index, place in enumerate(places):
                _score_alone(request, batch_nchw[index], place)
            return _outputs(results, len(places))

        prove(forward_each)
        self._alone = request
        self._compiler.close()

    def keep(self) -> None:
        """Let the next start find what this one compiled; call it once `forward` is proven."""
        self._compiler.keep()

    def renew(self) -> bool:
        """Compile anew what an earlier start had compiled; False where this one did.

        Raises
        ------
        ArtifactInvalid
            As at the beginning.
        """
        if not self._compiler.is_from_file:
            return False
        self._open_streams(anew=True)
        return True

    def close(self) -> None:
        """Wait for what still runs."""
        self._streams.close()

    def _open_streams(self, *, anew: bool = False) -> None:
        try:
            compiled = self._compiler.compile_streams(anew=anew)
            self._shapes = {name: _picture_shape(compiled, name) for name in _outputs_of(compiled)}
            self._streams = _Streams(compiled, self._shapes)
        except RuntimeError as error:
            if self.renew():
                return
            raise ArtifactInvalid(f"{ONNX} does not compile for {self._side_px} px") from error
        self.lanes = self._streams.count

    def _open_results(self, images: int) -> tuple[Results, list[Results]]:
        """Of all pictures, and the place of each: what never comes must not look like a score."""
        results = {
            name: np.full((images, *shape), np.nan, np.float32)
            for name, shape in self._shapes.items()
        }
        return results, [{name: all_[i] for name, all_ in results.items()} for i in range(images)]

    @contextmanager
    def _entered(self) -> Iterator[bool]:
        """Tell whether nobody else is being served; who comes next will be told of this one."""
        with self._door:
            self._callers += 1
            is_only = self._callers == 1
        try:
            yield is_only
        finally:
            with self._door:
                self._callers -= 1


class _Streams:
    """The streams of a compiled network, lent to whoever scores.

    A caller takes all that are idle, waits for one where none is, and gives each back as soon as
    its own last picture there is done: the next batch begins while the last pictures of this one
    are still being scored, and no core waits for another.
    """

    def __init__(self, compiled: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._idle: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        for _ in range(self.count):
            self._idle.put(_Request(compiled, shapes))

    def score(self, batch_nchw: Pixels, places: Sequence[Results]) -> None:
        """Score each picture (1, S, S) into its place."""
        mine = [self._idle.get()]
        with suppress(queue.Empty):
            while len(mine) < len(places):
                mine.append(self._idle.get_nowait())
        running: deque[tuple[_Request, Results]] = deque()
        try:
            for index, place in enumerate(places):
                if not mine:
                    mine.append(_finish(running))
                mine[-1].start(batch_nchw[index])
                running.append((mine.pop(), place))
            while running:
                self._idle.put(_finish(running))
        finally:
            for request, _ in running:
                with suppress(RuntimeError):
                    request.wait()
            for request in (*mine, *(request for request, _ in running)):
                self._idle.put(request)

    def close(self) -> None:
        """Wait until all are idle."""
        for request in [self._idle.get() for _ in range(self.count)]:
            self._idle.put(request)


class _Request:
    """One inference at a time, in memory of its own: nothing is looked up or allocated for it."""

    def __init__(self, compiled: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._request = compiled.create_infer_request()
        self._picture = self._own(INPUT, tuple(compiled.input(INPUT).shape))
        self._results = {name: self._own(name, (1, *shape)) for name, shape in shapes.items()}

    def start(self, picture: Pixels) -> None:
        """Begin with a picture (1, S, S), which is copied.

        Raises
        ------
        RuntimeError
            It has another shape, or the network cannot begin.
        """
        if picture.shape != self._picture.shape[1:]:
            raise RuntimeError(f"picture of {picture.shape}; expected {self._picture.shape[1:]}")
        self._picture[0] = picture
        self._request.start_async()

    def wait(self) -> None:
        """Return when it is scored.

        Raises
        ------
        RuntimeError
            The network failed.
        """
        self._request.wait()

    def keep_results(self, place: Results) -> None:
        """Copy what the network gave for the last picture."""
        for name, row in place.items():
            row[...] = self._results[name][0]

    def _own(self, name: str, shape: tuple[int, ...]) -> Scalars:
        """The array behind an input or an output, as long as this request lives."""
        tensor = openvino.Tensor(openvino.Type.f32, openvino.Shape(shape))
        self._request.set_tensor(name, tensor)
        return cast(Scalars, tensor.data)


def _score_alone(request: _Request, picture: Pixels, place: Results) -> None:
    request.start(picture)
    request.wait()
    request.keep_results(place)


def _outputs(results: Results, images: int) -> Outputs:
    features = results.get(FEATURES, np.zeros((images, 0), np.float32))
    return Outputs(results[LOGITS], results[MAPS], features)


def _finish(running: deque[tuple[_Request, Results]]) -> _Request:
    """Wait for the picture that was started first, keep its results, and give its stream."""
    request, place = running[0]
    request.wait()
    request.keep_results(place)
    running.popleft()
    return request


def _outputs_of(compiled: Any) -> tuple[str, ...]:
    """Logits and maps, and features where the network gives them: early versions do not."""
    given = {name for output in compiled.outputs for name in output.names}
    return (LOGITS, MAPS, FEATURES) if FEATURES in given else (LOGITS, MAPS)


def _picture_shape(compiled: Any, output: str) -> tuple[int, ...]:
    """Of one picture's output, without the batch axis."""
    return tuple(compiled.output(output).shape)[1:]
