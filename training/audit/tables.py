"""An audit as tables for the terminal."""

from rich.table import Table
from rich.text import Text

from service.core.artifact import AuditVerdict
from training.audit.results import Audit, AuditTest, LungQuality
from training.report.terminal import text_of

COLOURS = {
    AuditVerdict.PASS: "green",
    AuditVerdict.WARN: "yellow",
    AuditVerdict.FAIL: "red",
    AuditVerdict.NOT_RUN: "dim",
}


def audit_tables(audit: Audit) -> list[Table]:
    """The verdicts, the lung finder, and the numbers of each test."""
    numbers = [measured_table(test) for test in audit.tests if test.measured]
    return [verdict_table(audit), lung_table(audit.lungs), *numbers]


def verdict_table(audit: Audit) -> Table:
    """Each test, its verdict and what kept it from passing."""
    table = Table(title=f"Confounding audit: {audit.verdict}", show_lines=True)
    for heading in ("test", "verdict", "why"):
        table.add_column(heading)
    for test in audit.tests:
        verdict = Text(test.verdict, style=COLOURS[test.verdict])
        table.add_row(test.name, verdict, "\n".join(test.reasons) or "-")
    return table


def lung_table(lungs: LungQuality) -> Table:
    """How good the lung finder is on these images."""
    table = Table(title="Lung finder (95 % interval)")
    table.add_column("what")
    table.add_column("value", justify="right")
    for source, share in lungs.plausible.items():
        table.add_row(f"plausible, {source}", text_of(share))
    for change, overlap in lungs.agreement.items():
        table.add_row(f"agrees with itself, {change} (Dice)", text_of(overlap))
    table.add_row("drawn chests with known lungs (Dice)", text_of(lungs.phantoms))
    return table


def measured_table(test: AuditTest) -> Table:
    """The numbers of one test."""
    table = Table(title=f"{test.name}: {test.asks}", caption=test.criterion)
    for heading in ("where", "what", "images", "value"):
        table.add_column(heading, justify="right" if heading in ("images", "value") else "left")
    for measured in test.measured:
        table.add_row(
            measured.where,
            measured.what,
            str(measured.images),
            text_of(measured.value),
        )
    return table
