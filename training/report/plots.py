"""Figures of an evaluation, as PNG bytes."""

import io
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit
from sklearn.metrics import roc_curve

from service.core.artifact import MetricInterval, Purpose
from service.core.findings import ABNORMAL, FINDINGS
from training.measures.discrimination import Opponents, Question
from training.measures.results import Evaluation

DPI = 110
PANEL_INCHES = 4.0
COLOURS = {"normal": "#4d7c52", "pneumonia": "#c2571a", "tuberculosis": "#5b4b9a"}


def draw_figures(
    evaluation: Evaluation, asked: dict[str, Question], opponents: Opponents
) -> dict[str, bytes]:
    """File name -> PNG."""
    pooled = {name: asked[name] for name in asked if name.endswith("vs rest")}
    within = {name: asked[name] for name in asked if name not in pooled}
    figures = {
        "roc.png": draw_roc(pooled, opponents, evaluation),
        "confusion.png": draw_confusion(evaluation),
        "reliability.png": draw_reliability(evaluation),
        "scores.png": draw_scores(opponents, evaluation),
    }
    if within:
        figures["roc_sources.png"] = draw_roc(within, opponents, evaluation)
    return figures


def draw_roc(asked: dict[str, Question], opponents: Opponents, evaluation: Evaluation) -> bytes:
    """One panel a question: the network, and dashed the trivial baseline."""

    def panel(axes: Axes, name: str) -> None:
        question, measured = asked[name], evaluation.discrimination[name]
        column, inside = FINDINGS.index(question.finding), question.images
        truth = question.positive[inside]
        for scores_nf, label, area, style in (
            (opponents.network_nf, "network", measured.network, "-"),
            (opponents.baseline_nf, "trivial baseline", measured.baseline, "--"),
        ):
            false_rate, true_rate, _ = roc_curve(truth, scores_nf[inside, column])
            text = f"{label} {_text(area)}"
            axes.plot(false_rate, true_rate, style, color=COLOURS[question.finding], label=text)
        axes.plot([0, 1], [0, 1], ":", color="grey", linewidth=1)
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
        axes.set_title(f"{name}\n{measured.positives} against {measured.negatives}", fontsize=10)
        axes.legend(loc="lower right", fontsize=7)

    return _panels(list(asked), panel)


def draw_confusion(evaluation: Evaluation) -> bytes:
    """Counts of the most likely finding, shaded by share of the row."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def panel(axes: Axes, name: str) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            shade = "white" if shares[row, column] > 0.5 else "black"
            text = f"{counts[row, column]}\n{shares[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=shade)
        names = [finding.value for finding in FINDINGS]
        axes.set_xticks(range(len(names)), names, fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8, rotation=90, va="center")
        axes.set(xlabel="most likely finding", ylabel="truth")
        axes.set_title(name, fontsize=10)

    return _panels([f"{evaluation.split}, all sources"], panel)


def draw_reliability(evaluation: Evaluation) -> bytes:
    """Observed share against mean probability in tenths, with Wilson intervals."""

    def panel(axes: Axes, name: str) -> None:
        bins = evaluation.calibration[name].bins
        observed = np.array([part.observed.value for part in bins])
        low = observed - [part.observed.low for part in bins]
        high = [part.observed.high for part in bins] - observed
        means = [part.mean_probability for part in bins]
        errors = np.clip([low, high], 0, None)
        axes.errorbar(means, observed, errors, fmt="o-", color=COLOURS[name], capsize=3)
        for part, mean in zip(bins, means, strict=True):
            axes.annotate(
                f"{part.images}",
                (mean, part.observed.value),
                (4, -9),
                textcoords="offset points",
                fontsize=7,
            )
        axes.plot([0, 1], [0, 1], ":", color="grey")
        axes.set(xlabel="mean probability", ylabel="observed share", aspect="equal")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axes.set_title(f"{name} (images per bin)", fontsize=10)

    return _panels([finding.value for finding in FINDINGS], panel)


def draw_scores(opponents: Opponents, evaluation: Evaluation) -> bytes:
    """Histogram of each abnormal probability by truth, on the log-odds scale."""
    truth = [study.finding.value for study in opponents.studies]

    def panel(axes: Axes, name: str) -> None:
        column = [finding.value for finding in FINDINGS].index(name)
        edges = expit(np.linspace(-9, 9, 49))
        scores = np.clip(opponents.network_nf[:, column], edges[0], edges[-1])
        for finding in FINDINGS:
            chosen = scores[[known == finding for known in truth]]
            axes.hist(
                chosen,
                bins=edges,
                alpha=0.55,
                color=COLOURS[finding],
                label=finding,
            )
        for rates in evaluation.points:
            point = rates.point
            if point.finding == name and point.threshold is not None:
                style = "-" if point.purpose is Purpose.FLAG else "--"
                label = f"{point.purpose} {point.label}"
                axes.axvline(point.threshold, color="black", linestyle=style, label=label)
        axes.set_xscale("logit", one_half="0.5")
        axes.set(xlabel=f"probability of {name}", ylabel="images")
        axes.legend(fontsize=7)

    return _panels([finding.value for finding in ABNORMAL], panel)


def _panels(names: list[str], draw: Callable[[Axes, str], None]) -> bytes:
    """A row of panels as PNG."""
    figure = Figure(figsize=(PANEL_INCHES * len(names), PANEL_INCHES + 0.3), layout="constrained")
    for position, name in enumerate(names, start=1):
        draw(figure.add_subplot(1, len(names), position), name)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _text(interval: MetricInterval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
