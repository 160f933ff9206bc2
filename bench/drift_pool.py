"""Images of the drift benchmark: a reference, and what each shift makes of images never seen.

Axes: N images, K scalars, F findings.
"""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress, track

from bench.drift_patients import Fresh, Plan, split_studies, weigh
from service.core.artifact import Artifact
from service.core.drift_cusum import Numbers
from service.core.drift_limits import fit_limits, lend_scalars
from service.core.drift_reference import Reference, read_reference, write_reference
from service.core.drift_scalars import PIXEL_SCALARS, Levels, Scalar, as_vector
from service.core.drift_shifts import as_twelve_bit, parse_shift
from service.core.findings import FINDINGS
from service.core.inference import recipe_of
from service.engine.loading import open_engine
from training.data.dataset import targets_of
from training.data.index import index_studies
from training.data.studies import Study
from training.drift.reference import (
    Chosen,
    Effort,
    build_reference,
    number_groups,
)
from training.drift.signatures import Subject, flag_points, flags_of, measure_all
from training.manifest import time_of_making

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
    """Measured images: first those that the network never saw, the first of them under every shift.

    Attributes
    ----------
    findings
        (N,) of the unchanged images.
    weights, unseen_weights, shown_weights
        (N,), (H,), (M,) chance of each image, so that a stream has the reference's mix of groups:
        all images, those that the network never saw, those under every shift.
    values
        Shift to (M, K); `CLEAN` to (N, K).
    flags
        Shift to (M, points), `CLEAN` to (H, points): above the flag threshold.
    """

    reference: Reference
    findings: NDArray[np.int64] = field(repr=False)
    weights: Numbers = field(repr=False)
    unseen_weights: Numbers = field(repr=False)
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


def measure_pool(plan: Plan, artifact: Artifact, cache: Path) -> Pool:
    """Measure all, or read what an earlier run measured of the same model in the same way."""
    key = _key(plan, artifact)
    if (known := _read(cache, key, plan.effort)) is not None:
        return known
    points = flag_points(artifact.manifest.operating_points)
    engine = open_engine(artifact, engine="openvino", device="auto", threads=1, cache_dir=None)
    subject = Subject(engine.forward, recipe_of(artifact), points, prepare=as_twelve_bit)
    chosen, fresh = split_studies(index_studies(plan.data), plan)
    with Progress() as progress:
        bar = progress.add_task("reference", total=len(chosen.studies) + len(chosen.shown))
        reference = build_reference(
            plan.data,
            chosen,
            subject,
            plan.effort,
            lambda n: progress.advance(bar, n),
            created=time_of_making(),
        )
    pool = measure_streams(plan, subject, reference, chosen, fresh)
    _write(cache, key, pool, _describe(chosen, reference))
    return pool


def measure_streams(
    plan: Plan, subject: Subject, reference: Reference, chosen: Chosen, fresh: Fresh
) -> Pool:
    """Measure the images of the streams, which shall have the mix of groups of the chosen ones.

    As in the reference, images that were trained on borrow the scores of held-out ones.
    """
    shown = min(plan.shown, len(fresh.held_out))
    scalars = reference.header.scalars
    values, flags = _measure_held_out(plan, subject, reference, fresh.held_out)
    plain = [
        as_vector(subject.measure_pixels(subject.read(plan.data, study)), scalars)
        for study in track(fresh.trained, "without shifts")
    ]
    values[CLEAN] = lend_scalars(
        np.concatenate([values[CLEAN], np.array(plain, np.float32).reshape(-1, len(scalars))]),
        number_groups(fresh.studies),
        np.random.default_rng(plan.effort.seed),
    )
    return Pool(
        reference,
        targets_of(fresh.studies),
        weigh(fresh.studies, chosen.studies),
        weigh(fresh.held_out, chosen.studies),
        weigh(fresh.held_out[:shown], chosen.studies),
        values,
        flags,
        tuple(point.finding.value for point in subject.points),
    )


def _measure_held_out(
    plan: Plan, subject: Subject, reference: Reference, studies: tuple[Study, ...]
) -> tuple[dict[str, Levels], dict[str, NDArray[np.bool_]]]:
    """Values and flags of each study as it is, and of the first ones under every shift."""
    scalars, features = reference.header.scalars, reference.features
    rows: dict[str, list[Levels]] = {name: [] for name in (CLEAN, *SHIFTS)}
    flags: dict[str, list[list[bool]]] = {name: [] for name in rows}
    for number, study in enumerate(track(studies, "shifts")):
        names = (CLEAN, *SHIFTS) if number < plan.shown else (CLEAN,)
        clean = subject.read(plan.data, study)
        radiographs = [clean, *(parse_shift(name).apply(clean) for name in names[1:])]
        for name, radiograph, scores in zip(
            names, radiographs, subject.score(radiographs), strict=True
        ):
            rows[name].append(measure_all(subject, radiograph, scores, features, scalars))
            flags[name].append(flags_of(scores, subject.points))
    return (
        {name: np.stack(found) for name, found in rows.items()},
        {name: np.array(found, np.bool_) for name, found in flags.items()},
    )


def _key(plan: Plan, artifact: Artifact) -> str:
    """What a cache must have been measured with."""
    return json.dumps(
        {
            "model": artifact.digest,
            "effort": dataclasses.asdict(plan.effort),
            "images": [plan.images, plan.shown, plan.half],
            "shifts": SHIFTS,
            "scalars": list(Scalar),
        },
        sort_keys=True,
    )


def _describe(chosen: Chosen, reference: Reference) -> dict[str, NDArray[np.generic]]:
    """What the limits are made from, beside the reference itself."""
    measured = reference.values.copy()
    is_borrowed = [name not in PIXEL_SCALARS for name in reference.header.scalars]
    measured[len(chosen.held_out) :, is_borrowed] = np.nan
    return {"measured": measured, "groups": number_groups(chosen.studies)}


def _set_limits(
    reference: Reference, measured: Levels, groups: NDArray[np.int64], effort: Effort
) -> Reference:
    """A cache holds what was measured; the limits are made by the code of today."""
    limits = fit_limits(
        reference.header.scalars, measured, groups, reference.blocks, reference.signatures,
        images=effort.run_images, streams=effort.streams, seed=effort.seed,
    )  # fmt: skip
    return dataclasses.replace(reference, limits=limits)


def _write(path: Path, key: str, pool: Pool, of_reference: dict[str, NDArray[np.generic]]) -> None:
    values = {f"values/{name}": rows for name, rows in pool.values.items()}
    flags = {f"flags/{name}": rows for name, rows in pool.flags.items()}
    arrays: dict[str, NDArray[np.generic]] = {
        "key": np.array(key),
        "findings": pool.findings,
        "weights": pool.weights,
        "unseen_weights": pool.unseen_weights,
        "shown_weights": pool.shown_weights,
        "points": np.array(pool.points),
        "reference": np.frombuffer(write_reference(pool.reference), np.uint8),
        **of_reference,
        **values,
        **flags,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **arrays)


def _read(path: Path, key: str, effort: Effort) -> Pool | None:
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        if "key" not in arrays or str(arrays["key"]) != key:
            return None
        names = (CLEAN, *SHIFTS)
        known = read_reference(arrays["reference"].tobytes())
        return Pool(
            _set_limits(known, arrays["measured"], arrays["groups"], effort),
            arrays["findings"],
            arrays["weights"],
            arrays["unseen_weights"],
            arrays["shown_weights"],
            {name: arrays[f"values/{name}"] for name in names},
            {name: arrays[f"flags/{name}"] for name in names},
            tuple(map(str, arrays["points"])),
        )
