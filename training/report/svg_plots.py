"""Figures of the HTML report: one small SVG a panel, in colours that the page decides."""

import hashlib
import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from service.core.artifact import OperatingPoint, Purpose
from training.measures.evidence import Curve, DecisionCurve, Histogram
from training.measures.statistics import ReliabilityBin
from training.report.plots import COLOURS

WIDTH_INCHES, HEIGHT_INCHES = 3.5, 3.1
INK, MUTED = "#010203", "#777879"
"""Stand for what the page puts in their place: light and dark pages differ."""

COUNTS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
"""Ticks of a logarithmic axis of images."""

HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
NOISE = re.compile(
    r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|(?<=<g) id=\"[^\"]*\""
    r"| xmlns(?::xlink)?=\"[^\"]*\"| (?:width|height)=\"[\d.]+pt\"| font-family: [^;]*;",
    re.DOTALL,
)
"""What would reach out of the drawing into the page, or has no meaning inside of one."""

REFERENCE = re.compile(r'( id="|url\(#|href="#)')


def draw_roc(curve: Curve) -> str:
    """The network, and dashed the trivial baseline."""

    def panel(axes: Axes) -> None:
        colour = COLOURS[curve.finding]
        axes.plot(*np.transpose(curve.roc), color=colour, label="network")
        baseline = np.transpose(curve.baseline_roc)
        axes.plot(*baseline, "--", color=colour, linewidth=1, label="trivial baseline")
        axes.plot([0, 1], [0, 1], ":", color=MUTED, linewidth=1)
        axes.set(xlabel="1 - specificity", ylabel="sensitivity")
        _unit_square(axes)
        axes.legend(loc="lower right")

    return _svg(panel, "ROC curve")


def draw_precision_recall(curve: Curve) -> str:
    """The dotted line is the share of positives: what chance gives."""

    def panel(axes: Axes) -> None:
        sensitivity, ppv = np.transpose(curve.precision_recall)
        axes.step(sensitivity, ppv, where="pre", color=COLOURS[curve.finding])
        share = curve.positives / (curve.positives + curve.negatives)
        axes.axhline(share, linestyle=":", color=MUTED, linewidth=1)
        axes.set(xlabel="sensitivity", ylabel="PPV in this mix")
        _unit_square(axes)

    return _svg(panel, "precision-recall curve")


def draw_reliability_bins(finding: str, bins: tuple[ReliabilityBin, ...]) -> str:
    """Observed share against mean probability, with Wilson intervals and images per bin."""

    def panel(axes: Axes) -> None:
        means = [part.mean_probability for part in bins]
        observed = np.array([part.observed.value for part in bins])
        reach = [
            observed - [part.observed.low for part in bins],
            [part.observed.high for part in bins] - observed,
        ]
        axes.plot([0, 1], [0, 1], ":", color=MUTED, linewidth=1)
        axes.errorbar(
            means, observed, np.clip(reach, 0, None), fmt="o-", color=COLOURS[finding],
            capsize=3, markersize=4, linewidth=1,
        )  # fmt: skip
        for part in bins:
            place = (part.mean_probability, part.observed.value)
            axes.annotate(str(part.images), place, (4, -9), textcoords="offset points", fontsize=7)
        axes.set(xlabel="mean probability", ylabel="observed share")
        _unit_square(axes)

    return _svg(panel, "reliability diagram")


def draw_decision(curve: DecisionCurve) -> str:
    """Net benefit with its band, beside treating all and treating none."""

    def panel(axes: Axes) -> None:
        colour = COLOURS[curve.finding]
        axes.fill_between(
            curve.thresholds, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0
        )
        axes.plot(curve.thresholds, curve.model, color=colour, label="network")
        everyone = (curve.thresholds, curve.treat_all)
        axes.plot(*everyone, "--", color=INK, linewidth=1, label="treat all")
        axes.axhline(0, linestyle=":", color=MUTED, label="treat none")
        share = curve.positives / curve.images
        axes.set(xlabel="threshold probability", ylabel="net benefit", xlim=(0, 1))
        axes.set_ylim(-0.25 * share, 1.15 * share)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, columnspacing=1)

    return _svg(panel, "decision curve")


def draw_histogram(
    histogram: Histogram, groups: tuple[str, ...], points: tuple[OperatingPoint, ...]
) -> str:
    """Images by log-odds, coloured by truth; lines are the flag and the refer threshold."""

    def panel(axes: Axes) -> None:
        edges, highest = np.array(histogram.edges), [1]
        for truth, colour in COLOURS.items():
            chosen = [histogram.counts[name] for name in groups if name.endswith(f": {truth}")]
            if chosen:
                counts = np.sum(chosen, axis=0)
                highest.append(int(counts.max()))
                axes.stairs(counts, edges, fill=True, alpha=0.55, color=colour, label=truth)
        for point in points:
            if point.threshold is not None and 0 < point.threshold < 1:
                style = "-" if point.purpose is Purpose.FLAG else "--"
                odds = np.log(point.threshold / (1 - point.threshold))
                axes.axvline(odds, color=INK, linestyle=style, linewidth=1, label=point.purpose)
        axes.set(xlabel=f"log-odds of {histogram.finding}", ylabel="images (log scale)")
        axes.set_yscale("symlog", linthresh=1)
        axes.set_yticks(COUNTS, [str(count) for count in COUNTS])
        axes.minorticks_off()
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.2 * max(highest)))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=7)

    return _svg(panel, "score histogram")


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")


def _svg(draw: Callable[[Axes], None], label: str) -> str:
    with _styled():
        canvas = Canvas(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        draw(canvas.add_subplot())
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = NOISE.sub("", HEAD.sub("", buffer.getvalue())).replace("xlink:href", "href")
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    text = text.replace(INK, "currentColor").replace(MUTED, "var(--muted)")
    # Names must not be shared between the drawings of one page.
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    text = REFERENCE.sub(rf"\g<1>{mark}-", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip()


def _styled() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text, in the font of the page
            "svg.hashsalt": "cxr-triage",  # the same numbers give the same bytes
            "font.size": 9,
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "legend.fontsize": 8,
        }
    )
