"""Files -> results without a server: the same reading and scoring, and no record.

Axes: N images.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from service.answers import by_finding
from service.core.artifact import Artifact
from service.core.errors import EngineFailed, IntakeError, NotEvaluated
from service.core.inference import Scores, recipe_of, score_batch, stack_pixels
from service.core.intake import read_radiograph, sniff
from service.core.ood import check_distribution
from service.core.preprocess import preprocess
from service.core.radiograph import Pixels
from service.core.scope import check_scope
from service.core.triage import triage
from service.engine.base import Engine
from service.tables import Line

CHUNK_FILES = 16
"""Files decoded, then scored together."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file."""

    file: str
    file_format: str | None
    status: str
    """`evaluated`, `not_evaluated`, `unreadable`, or `failed` where the engine did."""
    code: str | None = None
    detail: str | None = None
    probabilities: dict[str, float] | None = None
    out_of_distribution: float | None = None
    priority: str | None = None
    flags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def has_answer(self) -> bool:
        """Whether the model, or its intended use, had something to say of the file."""
        return self.status in ("evaluated", "not_evaluated")

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Decoded:
    path: Path
    file_format: str | None
    seconds: float
    pixels: Pixels | None
    warnings: tuple[str, ...] = ()
    failure: OSError | IntakeError | NotEvaluated | EngineFailed | None = None


class OfflineReader:
    """Reads many files with one engine."""

    def __init__(self, *, artifact: Artifact, engine: Engine, decode_threads: int) -> None:
        self._manifest = artifact.manifest
        self._recipe = recipe_of(artifact)
        self._engine = engine
        self._decode_threads = decode_threads

    def read(self, paths: Sequence[Path]) -> Iterator[FileResult]:
        """Yield one result a file, in order."""
        with ThreadPoolExecutor(self._decode_threads) as threads:
            for start in range(0, len(paths), CHUNK_FILES):
                chunk = paths[start : start + CHUNK_FILES]
                yield from self._score(list(threads.map(self._decode, chunk)))

    def _decode(self, path: Path) -> _Decoded:
        started, file_format = time.perf_counter(), None
        try:
            body = path.read_bytes()
            file_format = sniff(body)
            intended_use = self._manifest.intended_use
            radiograph = read_radiograph(body, intended_use=intended_use)
            cautions = radiograph.cautions + check_scope(radiograph, intended_use)
            pixels = preprocess(radiograph, self._manifest.preprocess)
        except (OSError, IntakeError, NotEvaluated) as failure:
            return _Decoded(path, file_format, time.perf_counter() - started, None, failure=failure)
        codes = tuple(caution.code for caution in cautions)
        return _Decoded(path, file_format, time.perf_counter() - started, pixels, codes)

    def _score(self, chunk: Sequence[_Decoded]) -> Iterator[FileResult]:
        scored = self._score_readable([item.pixels for item in chunk if item.pixels is not None])
        for item in chunk:
            yield _failed(item) if item.pixels is None else self._judge(item, *next(scored))

    def _score_readable(self, pixels: list[Pixels]) -> Iterator[tuple[Scores, float]]:
        """Scores and each one's share of the time."""
        if not pixels:
            return
        started = time.perf_counter()
        scores_n = score_batch(stack_pixels(pixels), self._engine.forward, self._recipe)
        share_seconds = (time.perf_counter() - started) / len(pixels)
        for scores in scores_n:
            yield scores, share_seconds

    def _judge(self, item: _Decoded, scores: Scores, score_seconds: float) -> FileResult:
        ood, seconds = self._manifest.out_of_distribution, item.seconds + score_seconds
        try:
            cautions = check_distribution(scores.out_of_distribution, ood)
            triaged = triage(scores, self._manifest.operating_points, ood)
        except (NotEvaluated, EngineFailed) as failure:
            return _failed(replace(item, failure=failure, seconds=seconds))
        return FileResult(
            file=str(item.path),
            file_format=item.file_format,
            status="evaluated",
            probabilities=by_finding(scores.probabilities),
            out_of_distribution=scores.out_of_distribution,
            priority=triaged.priority.value,
            flags=tuple(flag.finding.value for flag in triaged.flags),
            warnings=(*item.warnings, *(caution.code for caution in cautions)),
            seconds=seconds,
        )


def expand(named: Iterable[Path]) -> list[Path]:
    """Files as they are, folders with all below them, globs with what they match."""
    return list(itertools.chain.from_iterable(map(_files_of, named)))


def line_of(result: FileResult) -> Line:
    """A result as a table shows it."""
    return Line(
        result.file,
        result.file_format or "?",
        result.code or result.status,
        result.probabilities,
        result.priority,
        result.flags,
        result.seconds,
    )


def _failed(item: _Decoded) -> FileResult:
    code = item.failure.reason if isinstance(item.failure, NotEvaluated) else None
    return FileResult(
        file=str(item.path),
        file_format=item.file_format,
        status=_status_of(item.failure),
        code=code or getattr(item.failure, "code", "FILE_NOT_READ"),
        detail=str(item.failure),
        seconds=item.seconds,
    )


def _status_of(failure: Exception | None) -> str:
    if isinstance(failure, NotEvaluated):
        return "not_evaluated"
    return "failed" if isinstance(failure, EngineFailed) else "unreadable"


def _files_of(named: Path) -> list[Path]:
    if named.is_dir():
        return sorted(path for path in named.rglob("*") if path.is_file())
    if named.is_file():
        return [named]
    root, pattern = Path(named.anchor or "."), str(named.relative_to(named.anchor))
    return sorted(path for path in root.glob(pattern) if path.is_file())
