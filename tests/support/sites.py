"""Where a site of a test keeps its files, and how far its chains go."""

from pathlib import Path

from service.ops.address import LogAddress
from service.record import Head, open_reader
from service.record.tables import evidence_log, shadow_log


def site_at(folder: Path) -> LogAddress:
    """Where a site keeps its files."""
    return LogAddress(
        f"sqlite:///{folder}/shadow.db", folder / "site.key", {"drift.npz": folder / "drift.npz"}
    )


def heads_of(address: LogAddress) -> dict[str, Head]:
    """Last row of each chain, once the chain was walked."""
    reader = open_reader(address.url)
    reports = {t.name: reader.verify(table=t) for t in (shadow_log, evidence_log)}
    reader.close()
    assert all(report.is_whole for report in reports.values())
    return {name: report.head for name, report in reports.items()}
