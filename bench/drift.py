"""Drift benchmark: detectors x shifts, at the same false-alarm rate.

`python -m bench.drift --data DATA_DIR` writes docs/drift-benchmark.md. The first run measures some
hundred radiographs under every shift, which takes a while; `--cache` keeps that for the next.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
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
from bench.drift_pool import SHIFTS, Pool, measure_pool
from bench.drift_report import Report, Row, write_report
from bench.drift_streams import (
    Extent,
    Streams,
    prevalence_draw,
    read_streams,
    shifted_draw,
)
from service.core.artifact import load_current
from service.core.drift import Detector as ScannerDetector
from service.core.drift_cusum import Numbers
from service.core.drift_reference import Standardiser
from service.core.drift_series import Series
from service.settings import find_model_store
from training.drift_reference import Effort

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
    usual: float | None


def main() -> None:
    """Run all of it."""
    arguments = _arguments()
    artifact = load_current(find_model_store(arguments.store))
    effort = Effort(signature_images=arguments.signatures)
    pool = measure_pool(arguments.data, artifact, arguments.cache, arguments.images, effort)
    report = run(pool, artifact.reference, Extent())
    arguments.out.write_text(write_report(report), encoding="utf-8")


def run(pool: Pool, model: str, extent: Extent) -> Report:
    """Every cell of the table."""
    measured = standardise(pool)
    streams = Streams(pool, measured, extent)
    header = pool.reference.header
    contenders = tuple(build_contenders(pool, streams))
    ours = contenders[0]
    alarms, seen = streams.null_alarms(ours.detector, ours.limit, extent.null_images, salt=7)
    usual = {
        contender.name: run_length(
            *streams.null_alarms(contender.detector, contender.usual, extent.usual_images, 8)
        )
        for contender in contenders[1:]
        if contender.usual is not None
    }
    reader = ScannerDetector(pool.reference)
    rows = []
    for number, shift in enumerate(track(SHIFTS, "cells")):
        salt = 100 * (number + 1)
        cells = {
            (contender.name, share): streams.run(
                contender.detector, contender.limit, shift, share, salt
            )
            for contender in contenders
            for share in (SHARES if contender is ours else SHARES[:1])
        }
        reading = read_streams(reader, extent.typed, shifted_draw(streams, pool, shift, salt + 50))
        loss = {name: pool.sensitivity_change(shift, k) for k, name in enumerate(pool.points)}
        rows.append(Row(shift, cells, reading, loss))
    typed = {
        name: read_streams(reader, extent.typed, prevalence_draw(streams, pool, mix, 9000 + number))
        for number, (name, mix) in enumerate(PREVALENCE.items())
    }
    return Report(
        model=model,
        reference_images=len(pool.reference.values),
        scalars=len(header.scalars),
        fresh_images=len(pool.findings),
        sources=header.sources,
        stated_run=header.family_run_images,
        run_length=run_length(alarms, seen),
        run_length_low=2 * seen / float(chi2.ppf(0.975, 2 * alarms + 2)),
        usual_run=usual,
        usual_limit={c.name: c.usual for c in contenders[1:] if c.usual is not None},
        limits={c.name: c.limit for c in contenders},
        extent=extent,
        rows=tuple(rows),
        typed=typed,
    )


def standardise(pool: Pool) -> dict[str, Measured]:
    """The images of the pool in the scale of its reference."""
    reference = pool.reference
    series = Series(reference.header.scalars, reference.values, reference.signatures)
    measured = {}
    for name, values in pool.values.items():
        z = series.scale.standardise(values)
        measured[name] = prepare(z, series.follow(z))
    return measured


def build_contenders(pool: Pool, streams: Streams) -> Iterator[Contender]:
    """Ours at its own limit; the others at the limit that gives them the stated run length.

    The others are calibrated on the very images that they are then judged on, in their favour.
    """
    reference = pool.reference
    yield Contender("CUSUM", cusum(reference.limits, reference.header.allowance), 1.0, None)
    expected = _expected(pool)
    others: dict[str, tuple[Detector, float]] = {
        "PSI": (rolling_bins(psi, expected), 0.25),
        "KS, 250": (rolling_bins(kolmogorov_smirnov, expected), 1.63 / 250**0.5),
        "ADWIN": (adwin, -math.log10(0.002)),
        "mean ± 3 sd": (batch_mean, 3.0),
    }
    images = streams.extent.calibration_images
    chance = math.exp(-images / reference.header.family_run_images)
    for salt, (name, (detector, usual)) in enumerate(others.items()):
        peaks = streams.null_peaks(detector, images, 40 + salt)
        yield Contender(name, detector, float(np.quantile(peaks, chance)), usual)


def run_length(alarms: int, seen: int) -> float:
    """Mean images to a false alarm, from streams some of which had none."""
    return seen / alarms if alarms else math.inf


def _expected(pool: Pool) -> Numbers:
    """(K, B) shares of the reference itself: ties make the bins uneven."""
    z = Standardiser(pool.reference.values).standardise(pool.reference.values)
    shares = []
    for column in z.T:
        known = column[~np.isnan(column)][:, np.newaxis]
        bins = prepare(known, known).bins.ravel()
        shares.append(np.bincount(bins, minlength=BINS) / len(bins))
    return np.stack(shares)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--store", type=Path, help="model store")
    parser.add_argument("--cache", type=Path, default=Path("data/drift-pool.npz"))
    parser.add_argument("--out", type=Path, default=Path("docs/drift-benchmark.md"))
    parser.add_argument("--images", type=int, default=480, help="to which shifts are applied")
    parser.add_argument("--signatures", type=int, default=120)
    return parser.parse_args()


if __name__ == "__main__":
    main()
