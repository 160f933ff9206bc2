"""Images of the drift benchmark: a reference, and what each shift makes of images never seen.

Axes: N images, K scalars, F findings.
"""

import dataclasses
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress, track

from service.core.artifact import Artifact
from service.core.drift_cusum import Numbers
from service.core.drift_reference import Reference, read_reference, write_reference
from service.core.drift_scalars import Levels, Scalar
from service.core.drift_shifts import as_twelve_bit, parse_shift
from service.core.findings import FINDINGS
from service.core.inference import recipe_of
from service.engine.loading import open_engine
from training.data import Split, Study, index_studies, select, targets_of
from training.drift.reference import Chosen, Effort, build_reference, choose_studies
from training.drift.signatures import Subject, flag_points, flags_of, measure_all

CLEAN = ""
SHIFTS = (
    "gamma:0.8", "gamma:1.25", "gain:0.9", "gain:1.1", "level:0.95", "level:1.05", "width:0.85",
    "width:1.15", "contrast:0.8", "contrast:1.25", "blur:0.7", "blur:1", "gaussian_noise:0.02",
    "shot_noise:1000", "impulse_noise:0.005", "jpeg:50", "jpeg:25", "jpeg:15", "jpeg:7",
    "border:0.05", "border:0.1", "invert:1", "grey_levels:256", "grey_levels:64", "unsharp:1",
    "dead_columns:3",
)  # fmt: skip


class Half(StrEnum):
    """Which fresh patients the streams are made of."""

    TUNE = "tune"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Pool:
    """Measured images; the first of them also under every shift.

    Attributes
    ----------
    findings
        (N,) of the unchanged images.
    weights, shown_weights
        (N,), (M,) chance of each image, so that a stream has the reference's mix of groups.
    values
        Shift to (M, K); `CLEAN` to (N, K).
    flags
        Shift to (M, points), `CLEAN` to (N, points): above the flag threshold.
    """

    reference: Reference
    findings: NDArray[np.int64] = field(repr=False)
    weights: Numbers = field(repr=False)
    shown_weights: Numbers = field(repr=False)
    values: dict[str, Levels] = field(repr=False)
    flags: dict[str, NDArray[np.bool_]] = field(repr=False)
    points: tuple[str, ...]

    def sensitivity_change(self, shift: str, point: int) -> float:
        """Shifted minus clean, on the positives of one operating point; NaN without any."""
        shown = len(self.shown_weights)
        is_positive = self.findings[:shown] == FINDINGS.index(self.points[point])
        if not is_positive.any():
            return math.nan
        changed, clean = (
            self.flags[name][:shown][is_positive, point].mean() for name in (shift, CLEAN)
        )
        return float(changed - clean)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes
    ----------
    data
        Folder of the collections.
    images, shown
        Most images that streams are drawn from, and most of them that shifts are applied to.
    half
        Whose patients make the streams: those to develop the detector on, or those to judge it by.
    tuning_images
        So many fresh images, and all others of their patients, are never judged by.
    """

    data: Path
    effort: Effort
    images: int
    shown: int
    half: Half = Half.JUDGE
    tuning_images: int = 480

    def key(self, artifact: Artifact) -> str:
        """What a cache must have been measured with."""
        return json.dumps(
            {
                "model": artifact.digest,
                "effort": dataclasses.asdict(self.effort),
                "images": [self.images, self.shown, self.half, self.tuning_images],
                "shifts": SHIFTS,
                "scalars": list(Scalar),
            },
            sort_keys=True,
        )


def measure_pool(plan: Plan, artifact: Artifact, cache: Path) -> Pool:
    """Measure all, or read what an earlier run measured of the same model in the same way."""
    key = plan.key(artifact)
    if (known := _read(cache, key)) is not None:
        return known
    points = flag_points(artifact.manifest.operating_points)
    engine = open_engine(artifact, engine="openvino", device="auto", threads=1, cache_dir=None)
    subject = Subject(engine.forward, recipe_of(artifact), points, prepare=as_twelve_bit)
    chosen, fresh = split_studies(index_studies(plan.data), plan)
    with Progress() as progress:
        bar = progress.add_task("reference", total=len(chosen.studies) + len(chosen.shown))
        reference = build_reference(
            plan.data, chosen, subject, plan.effort, lambda n: progress.advance(bar, n)
        )
    pool = measure_streams(plan, subject, reference, chosen.studies, fresh)
    _write(cache, key, pool)
    return pool


def measure_streams(
    plan: Plan,
    subject: Subject,
    reference: Reference,
    known: tuple[Study, ...],
    fresh: tuple[Study, ...],
) -> Pool:
    """Measure the images of the streams.

    Parameters
    ----------
    known
        Studies of the reference, whose mix of groups the streams shall have.
    """
    shown = min(plan.shown, len(fresh))
    rows: dict[str, list[Levels]] = {name: [] for name in (CLEAN, *SHIFTS)}
    flags: dict[str, list[list[bool]]] = {name: [] for name in rows}
    for number, study in enumerate(track(fresh, "shifts")):
        names = (CLEAN, *SHIFTS) if number < shown else (CLEAN,)
        clean = subject.read(plan.data, study)
        radiographs = [clean, *(parse_shift(name).apply(clean) for name in names[1:])]
        for name, radiograph, scores in zip(
            names, radiographs, subject.score(radiographs), strict=True
        ):
            scalars, features = reference.header.scalars, reference.features
            rows[name].append(measure_all(subject, radiograph, scores, features, scalars))
            flags[name].append(flags_of(scores, subject.points))
    return Pool(
        reference,
        targets_of(fresh),
        _weights(fresh, known),
        _weights(fresh[:shown], known),
        {name: np.stack(found) for name, found in rows.items()},
        {name: np.array(found, np.bool_) for name, found in flags.items()},
        tuple(point.finding.value for point in subject.points),
    )


def split_studies(studies: tuple[Study, ...], plan: Plan) -> tuple[Chosen, tuple[Study, ...]]:
    """Reference: training images, and half of the patients held out; the rest make the streams.

    Of the rest, one half of the patients is for development alone.
    """
    held_out = select(studies, Split.VAL, Split.TEST)
    patients = sorted({(study.source, study.patient_id) for study in held_out})
    random = np.random.default_rng(plan.effort.seed)
    order = [patients[i] for i in random.permutation(len(patients))]
    of_reference = set(order[::2])
    known = [s for s in held_out if (s.source, s.patient_id) in of_reference]
    fresh = [s for s in held_out if (s.source, s.patient_id) not in of_reference]
    trained = choose_studies(select(studies, Split.TRAIN, Split.VAL), plan.effort).trained
    shown = tuple(
        known[i] for i in sorted(random.permutation(len(known))[: plan.effort.signature_images])
    )
    shuffled = [fresh[i] for i in random.permutation(len(fresh))]
    to_tune = {(s.source, s.patient_id) for s in shuffled[: plan.tuning_images]}
    is_tuning = [(s.source, s.patient_id) in to_tune for s in shuffled]
    wanted = [
        study
        for study, tuning in zip(shuffled, is_tuning, strict=True)
        if tuning is (plan.half is Half.TUNE)
    ]
    return Chosen(tuple(known), trained, shown), tuple(wanted[: plan.images])


def _weights(fresh: tuple[Study, ...], reference: tuple[Study, ...]) -> Numbers:
    groups = [(study.source, study.finding) for study in fresh]
    here = Counter(groups)
    wanted = Counter((study.source, study.finding) for study in reference)
    weights = np.array([wanted[group] / here[group] for group in groups])
    return np.asarray(weights / weights.sum(), np.float64)


def _write(path: Path, key: str, pool: Pool) -> None:
    values = {f"values/{name}": rows for name, rows in pool.values.items()}
    flags = {f"flags/{name}": rows for name, rows in pool.flags.items()}
    arrays: dict[str, NDArray[np.generic]] = {
        "key": np.array(key),
        "findings": pool.findings,
        "weights": pool.weights,
        "shown_weights": pool.shown_weights,
        "points": np.array(pool.points),
        "reference": np.frombuffer(write_reference(pool.reference), np.uint8),
        **values,
        **flags,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **arrays)


def _read(path: Path, key: str) -> Pool | None:
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        if "key" not in arrays or str(arrays["key"]) != key:
            return None
        names = (CLEAN, *SHIFTS)
        return Pool(
            read_reference(arrays["reference"].tobytes()),
            arrays["findings"],
            arrays["weights"],
            arrays["shown_weights"],
            {name: arrays[f"values/{name}"] for name in names},
            {name: arrays[f"flags/{name}"] for name in names},
            tuple(map(str, arrays["points"])),
        )
