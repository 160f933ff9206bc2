"""Where the shadow log is, and what belongs to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.record.case_file import INDEX_SUFFIX
from service.record.database import path_beside
from service.record.record import anchors_beside

SITE_KEY = "site.key"
API_KEYS = "keys.json"
DATABASE = "shadow.db"


@dataclass(frozen=True, slots=True)
class LogAddress:
    """Where the log, its key and the site's other state are; the command line makes it.

    Attributes
    ----------
    state
        Further files that the service writes, by the name they have in a backup.
    model_store
        Says which model serves; in no backup.
    """

    url: str
    key: Path
    state: Mapping[str, Path] = field(default_factory=dict)
    model_store: Path = Path("model_store")

    @property
    def database(self) -> Path | None:
        """File of a SQLite log; None for a log on a server."""
        return path_beside(self.url, "")

    @property
    def files(self) -> dict[str, Path]:
        """Every file of the site but the database, by its name in a backup."""
        return {SITE_KEY: self.key, **self.state}

    @property
    def traces(self) -> list[Path]:
        """Every file that shows that there is a log already; none for a server."""
        derived = [path_beside(self.url, suffix) for suffix in ("-wal", INDEX_SUFFIX)]
        beside = [self.database, *derived, *anchors_beside(self.url).values()]
        return [path for path in beside if path is not None]
