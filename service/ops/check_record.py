"""The shadow log of the site: both chains from their first row to their last."""

from service.ops.address import LogAddress
from service.ops.backup import verify_log
from service.ops.check import Told, not_checked, passed


def check_chains(address: LogAddress) -> Told:
    """Every row is as it was written."""
    if address.database is not None and not address.database.exists():
        return not_checked("there is no log yet")
    heads = verify_log(address.url, address.key if address.key.exists() else None)
    rows, evidence = (heads[table].sequence for table in ("shadow_log", "evidence_log"))
    digest = heads["shadow_log"].digest
    return passed(f"{rows} rows and {evidence} of evidence hold, up to {digest}")
