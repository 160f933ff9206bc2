"""Drift benchmark: detectors x shifts, at the same false-alarm rate.

`python -m bench.drift --data DATA_DIR` prints the page and writes docs/drift-benchmark.md. The
first run measures some hundred radiographs under every shift, which takes a while; `--cache` keeps
that for the next run with the same model. `--half tune` exchanges the patients of the reference and
of the streams, to try things out on; what is published is judged by streams of patients that nobody
developed on.
"""

import argparse
import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.progress import track
from scipy.stats import chi2

from bench.drift_detectors import (
    BINS,
    Detector,
    Measured,
    adwin,
    batch_mean,
    cusum,
    kolmogorov_smirnov,
    prepare,
    psi,
    rolling_bins,
)
from bench.drift_patients import Half, Plan
from bench.drift_pool import SHIFTS, Pool, measure_pool
from bench.drift_report import MATCHED, OURS, STRANGER, Report, Row, write_report
from bench.drift_streams import (
    Extent,
    Streams,
    prevalence_draw,
    read_streams,
    shifted_draw,
)
from service.core.artifact import Artifact, load_artifact, load_current
from service.core.drift import Detector as ScannerDetector
from service.core.drift_cusum import Numbers
from service.core.drift_reference import Standardiser
from service.core.drift_series import Series
from service.core.drift_shifts import parse_shift
from service.settings import find_model_store
from training.drift.reference import Effort
from training.manifest import git_commit

SHARES = (1.0, 0.3, 0.1)
PREVALENCE = {
    "screening: 80 % normal": {"normal": 0.8, "pneumonia": 0.1, "tuberculosis": 0.1},
    "outbreak: pneumonia doubled": {"normal": 0.1, "pneumonia": 0.75, "tuberculosis": 0.15},
    "TB clinic: 60 % tuberculosis": {"normal": 0.25, "pneumonia": 0.15, "tuberculosis": 0.6},
}


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector, the limit at which it has the stated run length, and the usual one."""

    name: str
    detector: Detector
    limit: float
    usual: float


def main() -> None:
    """Run all of it."""
    arguments = _arguments()
    artifact = _load(find_model_store(arguments.store), arguments.model)
    effort = Effort(signature_images=arguments.signatures)
    half = Half(arguments.half)
    plan = Plan(arguments.data, effort, arguments.images, arguments.shown, half)
    pool = measure_pool(plan, artifact, arguments.cache)
    report = run(pool, Extent(streams=arguments.streams))
    page = write_report(report, describe_run(half, artifact))
    print(page)
    arguments.out.write_text(page, encoding="utf-8")


def describe_run(half: Half, artifact: Artifact) -> str:
    """When, on what, with what code."""
    now = datetime.now(UTC).date()
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    commit = git_commit(Path(__file__).parent)
    judged = "" if half is Half.JUDGE else " **Drawn from the patients it was developed on.**"
    return (
        f"Model {artifact.reference} ({artifact.digest[:19]}), {now}, {machine}, one thread, "
        f"commit {commit}.{judged}"
    )


def run(pool: Pool, extent: Extent) -> Report:
    """Every cell of the table."""
    header = pool.reference.header
    streams = Streams(pool, standardise(pool), extent)
    contenders = tuple(build_contenders(pool, streams))
    ours, others = contenders[0], contenders[2:]
    alarms, seen = streams.null_alarms(ours.detector, ours.limit, extent.null_images, salt=7)
    unseen = streams.null_alarms(
        ours.detector, ours.limit, extent.null_images, salt=9, weights=pool.unseen_weights
    )
    reader = ScannerDetector(pool.reference)
    return Report(
        reference_images=len(pool.reference.values),
        scalars=len(header.scalars),
        fresh_images=len(pool.findings),
        unseen_images=len(pool.unseen_weights),
        shown_images=len(pool.shown_weights),
        known_changes=len(header.shifts),
        sources=header.sources,
        stated_run=header.family_run_images,
        run_length=run_length(alarms, seen),
        run_length_low=2 * seen / float(chi2.ppf(0.975, 2 * alarms + 2)),
        unseen_run_length=run_length(*unseen),
        usual_run={other.name: _usual_run(streams, other) for other in others},
        usual_limit={other.name: other.usual for other in others},
        limits={contender.name: contender.limit for contender in contenders},
        extent=extent,
        rows=tuple(
            measure_row(pool, streams, contenders, reader, number)
            for number in track(range(len(SHIFTS)), "cells")
        ),
        typed={
            name: read_streams(
                reader, extent.controls, prevalence_draw(streams, pool, mix, 9000 + number)
            )
            for number, (name, mix) in enumerate(PREVALENCE.items())
        },
    )


def measure_row(
    pool: Pool,
    streams: Streams,
    contenders: tuple[Contender, ...],
    reader: ScannerDetector,
    number: int,
) -> Row:
    """One shift, under every detector."""
    shift, salt = SHIFTS[number], 100 * (number + 1)
    cells = {
        (contender.name, share): streams.run(
            contender.detector, contender.limit, shift, share, salt
        )
        for contender in contenders
        for share in (SHARES if contender.name == OURS else SHARES[:1])
    }
    matched = contenders[1].limit
    cells[STRANGER, 1.0] = streams.run(without_kind(pool, shift), matched, shift, 1.0, salt)
    draw = shifted_draw(streams, pool, shift, salt + 50)
    reading = read_streams(reader, streams.extent.typed, draw)
    loss = {name: pool.sensitivity_change(shift, k) for k, name in enumerate(pool.points)}
    return Row(shift, cells, reading, loss)


def standardise(pool: Pool) -> dict[str, Measured]:
    """The images of the pool in the scale of its reference."""
    reference = pool.reference
    series = Series(reference.header.scalars, reference.values, reference.signatures)
    measured = {}
    for name, values in pool.values.items():
        z = series.scale.standardise(values)
        measured[name] = prepare(z, series.follow(z))
    return measured


def without_kind(pool: Pool, shift: str) -> Detector:
    """Ours, had it never been shown this kind of change: without the series that were made for it.

    The limits of the others stay: they would be lower, had the family been smaller.
    """
    header, limits = pool.reference.header, pool.reference.limits.copy()
    plain = len(limits) - len(header.shifts)
    for number, known in enumerate(header.shifts):
        if parse_shift(known).name == parse_shift(shift).name:
            limits[plain + number] = np.inf
    return cusum(limits, header.allowance)


def build_contenders(pool: Pool, streams: Streams) -> Iterator[Contender]:
    """Ours at its own limits; then all, ours again, at what gives them the stated run length.

    That is found on the very images that they are then judged on. For ours it is a factor on all
    of its limits.
    """
    reference = pool.reference
    ours = cusum(reference.limits, reference.header.allowance)
    yield Contender(OURS, ours, 1.0, 1.0)
    expected = _expected(pool)
    calibrated: dict[str, tuple[Detector, float]] = {
        MATCHED: (ours, 1.0),
        "PSI": (rolling_bins(psi, expected), 0.25),
        "KS, 250": (rolling_bins(kolmogorov_smirnov, expected), 1.63 / 250**0.5),
        "ADWIN": (adwin, -math.log10(0.002)),
        "mean ± 3 sd": (batch_mean, 3.0),
    }
    images = streams.extent.calibration_images
    chance = math.exp(-images / reference.header.family_run_images)
    for salt, (name, (detector, usual)) in enumerate(calibrated.items()):
        peaks = streams.null_peaks(detector, images, 40 + salt)
        yield Contender(name, detector, float(np.quantile(peaks, chance)), usual)


def run_length(alarms: int, seen: int) -> float:
    """Mean images to a false alarm, from streams some of which had none."""
    return seen / alarms if alarms else math.inf


def _usual_run(streams: Streams, contender: Contender) -> float:
    images = streams.extent.usual_images
    return run_length(*streams.null_alarms(contender.detector, contender.usual, images, salt=8))


def _expected(pool: Pool) -> Numbers:
    """(K, B) shares of the reference itself: ties make the bins uneven."""
    z = Standardiser(pool.reference.values).standardise(pool.reference.values)
    shares = []
    for column in z.T:
        known = column[~np.isnan(column)][:, np.newaxis]
        bins = prepare(known, known).bins.ravel()
        shares.append(np.bincount(bins, minlength=BINS) / len(bins))
    return np.stack(shares)


def _load(store: Path, reference: str | None) -> Artifact:
    return load_current(store) if reference is None else load_artifact(store / reference)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--store", type=Path, help="model store")
    parser.add_argument("--model", help="name/version; by default the one that serves")
    parser.add_argument("--cache", type=Path, default=Path("data/drift-pool.npz"))
    parser.add_argument("--out", type=Path, default=Path("docs/drift-benchmark.md"))
    parser.add_argument("--images", type=int, default=2000, help="held out, for the streams")
    parser.add_argument("--shown", type=int, default=240, help="of those, under every shift")
    parser.add_argument("--half", choices=list(Half), default=Half.JUDGE, help="of the patients")
    parser.add_argument("--streams", type=int, default=200, help="in each cell")
    parser.add_argument("--signatures", type=int, default=120)
    return parser.parse_args()


if __name__ == "__main__":
    main()
