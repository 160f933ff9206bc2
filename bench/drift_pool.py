"""Images of the drift benchmark: a reference, and what each shift makes of images never seen.

Axes: N images, K scalars, F findings.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress, track

from service.core.artifact import Artifact
from service.core.drift_cusum import Numbers
from service.core.drift_reference import Reference, read_reference, write_reference
from service.core.drift_scalars import Levels
from service.core.drift_shifts import as_twelve_bit, parse_shift
from service.core.findings import FINDINGS
from service.core.inference import recipe_of
from service.engine.loading import open_engine
from training.data import Split, Study, index_studies, select, targets_of
from training.drift_reference import Chosen, Effort, build_reference, choose_studies
from training.drift_signatures import Subject, flag_points, measure_all

CLEAN = ""
SHIFTS = (
    "gamma:0.8", "gamma:1.25", "gain:0.9", "gain:1.1", "level:0.95", "level:1.05", "width:0.85",
    "width:1.15", "contrast:0.8", "contrast:1.25", "blur:0.7", "blur:1", "gaussian_noise:0.02",
    "shot_noise:1000", "impulse_noise:0.005", "jpeg:50", "jpeg:25", "jpeg:15", "jpeg:7",
    "border:0.05", "border:0.1", "invert:1", "grey_levels:256", "grey_levels:64", "unsharp:1",
    "dead_columns:3",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pool:
    """Measured images.

    Attributes
    ----------
    values
        Shift, or `CLEAN`, to (N, K).
    flags
        The same, to (N, points): above the flag threshold.
    weights
        (N,) chance of each image, so that a stream has the reference's mix of groups.
    """

    reference: Reference
    findings: NDArray[np.int64] = field(repr=False)
    weights: Numbers = field(repr=False)
    values: dict[str, Levels] = field(repr=False)
    flags: dict[str, NDArray[np.bool_]] = field(repr=False)
    points: tuple[str, ...]

    def sensitivity_change(self, shift: str, point: int) -> float:
        """Shifted minus clean, on the positives of one operating point."""
        is_positive = self.findings == FINDINGS.index(self.points[point])
        shown, clean = (self.flags[name][is_positive, point].mean() for name in (shift, CLEAN))
        return float(shown - clean)


def measure_pool(data: Path, artifact: Artifact, cache: Path, images: int, effort: Effort) -> Pool:
    """Measure all, or read what an earlier run measured.

    Parameters
    ----------
    images
        Most images to which the shifts are applied.
    """
    if cache.is_file():
        return _read(cache)
    points = flag_points(artifact.manifest.operating_points)
    engine = open_engine(artifact, engine="openvino", device="auto", threads=1, cache_dir=None)
    subject = Subject(engine.forward, recipe_of(artifact), points, prepare=as_twelve_bit)
    chosen, fresh = split_studies(index_studies(data), effort, images)
    with Progress() as progress:
        bar = progress.add_task("reference", total=len(chosen.studies) + len(chosen.shown))
        reference = build_reference(
            data, chosen, subject, effort, lambda n: progress.advance(bar, n)
        )
    rows: dict[str, list[Levels]] = {name: [] for name in (CLEAN, *SHIFTS)}
    flags: dict[str, list[list[bool]]] = {name: [] for name in rows}
    for study in track(fresh, "shifts"):
        clean = subject.read(data, study)
        shown = [clean, *(parse_shift(name).apply(clean) for name in SHIFTS)]
        for name, radiograph, scores in zip(rows, shown, subject.score(shown), strict=True):
            scalars, features = reference.header.scalars, reference.features
            rows[name].append(measure_all(subject, radiograph, scores, features, scalars))
            flags[name].append(
                [scores.probabilities[FINDINGS.index(p.finding)] >= p.threshold for p in points]
            )
    pool = Pool(
        reference,
        targets_of(fresh),
        _weights(fresh, chosen.studies),
        {name: np.stack(found) for name, found in rows.items()},
        {name: np.array(found, np.bool_) for name, found in flags.items()},
        tuple(point.finding.value for point in points),
    )
    _write(cache, pool)
    return pool


def split_studies(
    studies: tuple[Study, ...], effort: Effort, images: int
) -> tuple[Chosen, tuple[Study, ...]]:
    """Reference: training images, and every other patient held out; the rest make the streams."""
    held_out = select(studies, Split.VAL, Split.TEST)
    patients = sorted({(study.source, study.patient_id) for study in held_out})
    random = np.random.default_rng(effort.seed)
    order = [patients[i] for i in random.permutation(len(patients))]
    of_reference = set(order[::2])
    known = [s for s in held_out if (s.source, s.patient_id) in of_reference]
    fresh = [s for s in held_out if (s.source, s.patient_id) not in of_reference]
    trained = choose_studies(select(studies, Split.TRAIN, Split.VAL), effort).trained
    shown = tuple(
        known[i] for i in sorted(random.permutation(len(known))[: effort.signature_images])
    )
    taken = sorted(random.permutation(len(fresh))[:images])
    return Chosen(tuple(known), trained, shown), tuple(fresh[i] for i in taken)


def _weights(fresh: tuple[Study, ...], reference: tuple[Study, ...]) -> Numbers:
    groups = [(study.source, study.finding) for study in fresh]
    here = Counter(groups)
    wanted = Counter((study.source, study.finding) for study in reference)
    weights = np.array([wanted[group] / here[group] for group in groups])
    return np.asarray(weights / weights.sum(), np.float64)


def _write(path: Path, pool: Pool) -> None:
    values = {f"values/{name}": rows for name, rows in pool.values.items()}
    flags = {f"flags/{name}": rows for name, rows in pool.flags.items()}
    arrays: dict[str, NDArray[np.generic]] = {
        "findings": pool.findings,
        "weights": pool.weights,
        "points": np.array(pool.points),
        "reference": np.frombuffer(write_reference(pool.reference), np.uint8),
        **values,
        **flags,
    }
    np.savez(path, allow_pickle=False, **arrays)


def _read(path: Path) -> Pool:
    with np.load(path, allow_pickle=False) as arrays:
        names = (CLEAN, *SHIFTS)
        return Pool(
            read_reference(arrays["reference"].tobytes()),
            arrays["findings"],
            arrays["weights"],
            {name: arrays[f"values/{name}"] for name in names},
            {name: arrays[f"flags/{name}"] for name in names},
            tuple(map(str, arrays["points"])),
        )
