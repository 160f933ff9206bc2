"""Numbers of the drift benchmark -> its page, with the bars and whether they hold."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.drift_streams import (
    EARLIEST,
    LATEST,
    LONGEST_DELAY,
    TYPED_IMAGES,
    Cell,
    Extent,
    Reading,
)
from service.core.drift_shifts import parse_shift
from service.core.drift_typing import ShiftKind

OURS = "CUSUM"
MATCHED = "CUSUM, equal rate"
STRANGER = "CUSUM, equal rate, kind unknown"
RUN_BAR, TYPED_BAR, RIGHT_BAR = 10_000, 0.9, 0.95
FAST = ("invert:1", "grey_levels:64")
FAST_BAR, GAMMA_BAR, SMALL_SHARE_BAR = 15, 60, 60
GAMMA = ("gamma:0.8", "gamma:1.25")


@dataclass(frozen=True, slots=True)
class Row:
    """One shift: cells by detector and share, what it looks like, what it costs."""

    shift: str
    cells: dict[tuple[str, float], Cell]
    reading: Reading
    loss: dict[str, float]

    def ours(self, share: float = 1.0) -> Cell:
        """Of our detector."""
        return self.cells[OURS, share]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page says."""

    reference_images: int
    scalars: int
    fresh_images: int
    unseen_images: int
    shown_images: int
    known_changes: int
    sources: dict[str, float]
    stated_run: int
    run_length: float
    run_length_low: float
    unseen_run_length: float
    usual_run: dict[str, float]
    usual_limit: dict[str, float]
    limits: dict[str, float]
    rows: tuple[Row, ...]
    typed: dict[str, Reading]
    extent: Extent

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the others."""
        return tuple(name for name in self.limits if name not in (OURS, MATCHED))


def write_report(report: Report, about: str) -> str:
    """The page.

    Parameters
    ----------
    about
        Model, date, machine and commit, in words.
    """
    parts = (
        _head(report, about), _bars(report), _delays(report), _shares(report), _costs(report),
        _prevalence(report), _usual(report),
    )  # fmt: skip
    return "\n\n".join(parts) + "\n"


def check_bars(report: Report) -> Iterator[tuple[str, str, bool]]:
    """Bar, what was measured, and whether it holds."""
    rows = {row.shift: row for row in report.rows}
    run = f"{report.run_length:,.0f} (at least {report.run_length_low:,.0f} at 97.5 %)"
    yield f"family ARL0 >= {RUN_BAR:,} on null streams", run, report.run_length >= RUN_BAR
    for shifts, bar in ((FAST, FAST_BAR), (GAMMA, GAMMA_BAR)):
        for shift in shifts:
            median = rows[shift].ours().median
            yield f"{shift}: median delay <= {bar} images", _images(median), median <= bar
    for shift in (*FAST, *GAMMA):
        median = rows[shift].ours(0.1).median
        told = f"{shift} at 10 % of the traffic: <= {SMALL_SHARE_BAR} of that scanner's images"
        yield told, _images(median), median <= SMALL_SHARE_BAR
    found = [row for row in report.rows if row.ours().within(LONGEST_DELAY) >= 0.95]
    for share in (0.3, 0.1):
        right = [float(row.ours(share).is_right.mean()) for row in found]
        told = f"the right scanner named in >= {RIGHT_BAR:.0%}, at {share:.0%} of the traffic"
        mean, least = float(np.mean(right)), min(right)
        yield told, f"{mean:.1%}; of the worst shift {least:.1%}", mean >= RIGHT_BAR
    for name, reading in report.typed.items():
        share = reading.share(ShiftKind.PREVALENCE)
        told = f"{name}: typed as prevalence in >= {TYPED_BAR:.0%}"
        yield told, f"{share:.0%} of {reading.kinds.total()} alarms", share >= TYPED_BAR
    for name in report.baselines:
        better, equal, worse = _compare(report, name)
        told = f"shorter median delay than {name} at the same false-alarm rate"
        yield told, f"{better} shifts better, {equal} equal, {worse} worse", worse + equal == 0


def _compare(report: Report, name: str) -> tuple[int, int, int]:
    pairs = [(row.cells[MATCHED, 1.0].median, row.cells[name, 1.0].median) for row in report.rows]
    better = sum(ours < theirs for ours, theirs in pairs)
    worse = sum(ours > theirs for ours, theirs in pairs)
    return better, len(pairs) - better - worse, worse


def _head(report: Report, about: str) -> str:
    streams = report.extent.streams
    sources = ", ".join(f"{name} {share:.0%}" for name, share in report.sources.items())
    return f"""# Drift benchmark

Made by `python -m bench.drift`; the radiographs are not part of the project. {about}

- Reference: {report.reference_images:,} images, {report.scalars} scalars ({sources}).
- Streams: drawn from {report.fresh_images:,} radiographs of patients whom the reference does not
  know, in its mix of sources and labels. The network has not seen {report.unseen_images} of them.
  On the others, as on most of the reference, it was trained, which changes nothing about their
  pixels; their scores and features are borrowed from an unseen one of the same source and label.
  While the detector was developed, these patients were in a reference or nowhere, but for a first
  judgement that [drift.md](drift.md) tells of.
- {streams} null streams of {report.extent.null_images:,} images, and {streams} shifted ones for
  each cell; the change comes after {EARLIEST} to {LATEST} images. Shifts were applied to
  {report.shown_images} unseen radiographs.
- The run length of *{OURS}*, at the limits that the method sets, is {_images(report.run_length)}
  images; on streams of the unseen radiographs alone, {_images(report.unseen_run_length)}. Few
  radiographs lie off the reference by the chance of their choice, and a small shift that never ends
  is found in the end: a pool understates the run length, a small one the most.
- The collections are 8-bit JPEG of 256 px. Every image is given uniform noise of one grey level and
  12 bits before anything else, so that a change of tone does not show as a comb in the histogram;
  shifts are computed in floating point. `grey_levels:256` is the loss from 12 to 8 bits.
- Delays are images of the changed scanner, from its change. A baseline watches the same scalars of
  the same scanner, at the limit that gives it a run length of {report.stated_run:,} on these very
  images. *{MATCHED}* is ours in the same way: its limits times {report.limits[MATCHED]:.2f}. PSI
  and KS look back on 250 images, ADWIN on up to 512 in buckets of 16, mean ± 3 sd on batches of 25.
- Ours knows {report.known_changes} changes by their signatures, measured on other images, some of
  them of the same kind and amount as here. *{STRANGER}* is the same without every series that was
  made for this kind.
- The right scanner is named if the two unchanged ones have been silent from the beginning."""


def _bars(report: Report) -> str:
    lines = [
        f"| {bar} | {found} | {'yes' if holds else '**no**'} |"
        for bar, found, holds in check_bars(report)
    ]
    return _table("Bars", ("bar", "measured", "holds"), lines)


def _delays(report: Report) -> str:
    names = (OURS, MATCHED, STRANGER, *report.baselines)
    lines = []
    for row in report.rows:
        cells = [row.cells[name, 1.0] for name in names]
        medians = " | ".join(f"{_images(c.median)} / {_images(c.p90)}" for c in cells)
        lines.append(f"| {row.shift} | {medians} |")
    title = "Median / 90th percentile of the delay"
    return _table(title, ("shift", *names), lines)


def _shares(report: Report) -> str:
    lines = []
    for row in report.rows:
        of_share = [row.ours(share) for share in (1.0, 0.3, 0.1)]
        medians = " | ".join(_images(cell.median) for cell in of_share)
        found = f"{row.ours().within(200):.0%} | {row.ours().within(500):.0%}"
        right = f"{row.ours(0.3).is_right.mean():.0%} | {row.ours(0.1).is_right.mean():.0%}"
        lines.append(f"| {row.shift} | {medians} | {found} | {right} |")
    heads = (
        "shift", "100 % of the traffic", "30 %", "10 %", "found within 200", "within 500",
        "right scanner at 30 %", "at 10 %",
    )  # fmt: skip
    return _table("Ours, by share of the traffic", heads, lines)


def _costs(report: Report) -> str:
    lines = []
    for row in report.rows:
        kinds, alarms = row.reading.kinds, row.reading.kinds.total()
        scalar = row.reading.scalars.most_common(1)
        named = row.reading.causes[parse_shift(row.shift).name]
        told = f"{scalar[0][0]} ({scalar[0][1] / alarms:.0%})" if scalar else "-"
        typed = f"{kinds[ShiftKind.COVARIATE] / alarms:.0%}" if alarms else "-"
        cause = f"{named / alarms:.0%}" if alarms else "-"
        known = {name: change for name, change in row.loss.items() if not math.isnan(change)}
        loss = ", ".join(f"{name} {change:+.3f}" for name, change in known.items())
        lines.append(f"| {row.shift} | {loss} | {told} | {cause} | {typed} |")
    heads = ("shift", "sensitivity at the flag threshold", "scalar named", "cause", "covariate")
    streams = report.extent.typed
    note = (
        f"\n\nScalar, cause and kind are read by the service's own detector, {TYPED_IMAGES} images "
        f"after the change, in {streams} streams. The signatures of the causes are made from "
        "other images with the same kinds of change, so the cause of a change of another kind is "
        "told in words of its scalars."
    )
    return _table("What it costs, and what is said of it", heads, lines) + note


def _prevalence(report: Report) -> str:
    lines = []
    for name, reading in report.typed.items():
        kinds = ", ".join(f"{kind} {count}" for kind, count in reading.kinds.most_common())
        lines.append(f"| {name} | {reading.kinds.total()} of {report.extent.controls} | {kinds} |")
    title = "Negative control: only the prevalence changes"
    return _table(title, ("change", "streams with an alarm", "typed as"), lines)


def _usual(report: Report) -> str:
    lines = [
        f"| {name} | {report.usual_limit[name]:.3g} | {_images(run)} | {report.limits[name]:.3g} |"
        for name, run in report.usual_run.items()
    ]
    heads = ("detector", "usual limit", "its family ARL0", "limit used here")
    return _table("Baselines at the limits that people use", heads, lines)


def _table(title: str, heads: tuple[str, ...], lines: list[str]) -> str:
    rule = "| " + " | ".join("---" for _ in heads) + " |"
    return "\n".join([f"## {title}", "", "| " + " | ".join(heads) + " |", rule, *lines])


def _images(count: float) -> str:
    return "never" if math.isinf(count) else f"{count:,.0f}"
