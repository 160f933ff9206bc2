"""Radiograph -> alias of the scanner it came from, out of a closed set that the site named."""

import unicodedata
from collections.abc import Mapping

from service.core.radiograph import DicomContext

OTHER = "other"
"""Every scanner that the site did not name, and every picture without tags."""


class Scanners:
    """The allow-list of scanners; nothing else from a tag ever becomes a label or a row.

    Parameters
    ----------
    aliases
        Station name, or `manufacturer|model`, to alias; compared without regard to case, to blanks
        around a name and to half and full width.

    Attributes
    ----------
    shared
        Aliases that several machines may stand behind: of several names, or of a product.
    """

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = {_folded(name): alias for name, alias in aliases.items()}
        self.names = (*sorted(set(self._aliases.values())), OTHER)
        named = list(self._aliases.items())
        several = {alias for _, alias in named if [a for _, a in named].count(alias) > 1}
        self.shared = frozenset(several | {alias for name, alias in named if "|" in name})

    def alias_of(self, context: DicomContext | None) -> str:
        """Station name first, then manufacturer and model."""
        if context is None:
            return OTHER
        station = _folded(context.station_name)
        product = _folded(f"{context.manufacturer}|{context.model_name}")
        return self._aliases.get(station) or self._aliases.get(product) or OTHER


def _folded(name: str) -> str:
    parts = unicodedata.normalize("NFKC", name).casefold().split("|")
    return "|".join(part.strip() for part in parts)
