"""What is known of the out-of-distribution detector -> tables for the terminal."""

from rich.table import Table

from training.ood.measure import Alarms, KindResult, OodEvaluation
from training.ood.strangers import Group
from training.report.terminal import text_of

HEADINGS = ("images", "to review or refused", "refused")
TITLES = {
    Group.NOT_A_CHEST: "Strangers: no chest radiograph",
    Group.DAMAGED: "Chests that are inverted, turned, cut, or no frontal view",
    Group.CHEST: "Frontal chests as others export them: alarms are false",
}


def ood_tables(evaluation: OodEvaluation) -> list[Table]:
    """Thresholds, false alarms, every kind of stranger, and the engines that serve."""
    return [
        _point_table(evaluation),
        _alarm_table(evaluation),
        *(_kind_table(evaluation, group) for group in Group),
        _engine_table(evaluation),
    ]


def _point_table(evaluation: OodEvaluation) -> Table:
    point, strangers = evaluation.point, evaluation.strangers
    table = Table(title="Out-of-distribution thresholds")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_row("review at or above", f"{point.review_threshold:.6f}")
    table.add_row("refused at or above", f"{point.refuse_threshold:.8f}")
    table.add_row("validation radiographs (patients)", f"{point.radiographs} ({point.patients})")
    table.add_row("of them refused, upper limit", f"{point.refused_ratio_high:.4f}")
    table.add_row("AUC of all that is no chest", text_of(strangers.auc, 4))
    table.add_row("lowest AUC of a kind", f"{strangers.lowest_kind_auc:.4f}")
    table.add_row("of them to review or refused", text_of(strangers.alarms.reviewed_share))
    table.add_row("of them refused", text_of(strangers.alarms.refused_share))
    table.add_row("stored detector, bytes", str(evaluation.detector_bytes))
    return table


def _alarm_table(evaluation: OodEvaluation) -> Table:
    table = Table(title="False alarms on real radiographs (95 % interval)")
    for heading in ("split", "source", *HEADINGS, "refused, upper limit"):
        table.add_column(heading, justify="left" if heading in {"split", "source"} else "right")
    splits = {
        "validation": evaluation.validation,
        "test": evaluation.test,
        "training, source unknown to the detector": evaluation.unknown_sources,
    }
    for split, sources in splits.items():
        for source, alarms in sources.items():
            limit = f"{alarms.refused_share_high:.4f}"
            table.add_row(split, source, *_cells(alarms), limit)
    return table


def _kind_table(evaluation: OodEvaluation, group: Group) -> Table:
    table = Table(title=f"{TITLES[group]} (95 % interval)")
    for heading in ("kind", "from", *HEADINGS, "blank or noise", "AUC"):
        table.add_column(heading, justify="left" if heading in {"kind", "from"} else "right")
    for kind in evaluation.kinds:
        if kind.group is group:
            table.add_row(kind.name, kind.origin, *_measured(kind))
    return table


def _measured(kind: KindResult) -> tuple[str, ...]:
    if kind.alarms is None:
        return (f"absent: {kind.absent}",)
    return (*_cells(kind.alarms), str(kind.content_refused), text_of(kind.auc, 4))


def _cells(alarms: Alarms) -> tuple[str, str, str]:
    reviewed, refused = text_of(alarms.reviewed_share), text_of(alarms.refused_share)
    return (
        str(alarms.images),
        f"{alarms.reviewed}: {reviewed}",
        f"{alarms.refused}: {refused}",
    )


def _engine_table(evaluation: OodEvaluation) -> Table:
    table = Table(title="Engines that serve, against the reference")
    for heading in ("engine", "images", "largest difference of a distance", "other decision"):
        table.add_column(heading, justify="left" if heading == "engine" else "right")
    for name, found in evaluation.engines.items():
        difference = f"{found.largest_difference:.4f}"
        table.add_row(name, str(found.images), difference, str(found.other_side))
    return table
