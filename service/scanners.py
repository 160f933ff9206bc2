"""Radiograph -> alias of the scanner it came from, out of a closed set that the site named."""

from collections.abc import Mapping

from service.core.radiograph import DicomContext

OTHER = "other"
"""Every scanner that the site did not name, and every picture without tags."""


class Scanners:
    """The allow-list of scanners; nothing else from a tag ever becomes a label or a row.

    Parameters
    ----------
    aliases
        Station name, or `manufacturer|model`, to alias; compared without regard to case.

    Attributes
    ----------
    shared
        Aliases that several machines may stand behind: of several names, or of a product.
    """

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = {name.strip().casefold(): alias for name, alias in aliases.items()}
        self.names = (*sorted(set(self._aliases.values())), OTHER)
        named = list(self._aliases.items())
        several = {alias for _, alias in named if [a for _, a in named].count(alias) > 1}
        self.shared = frozenset(several | {alias for name, alias in named if "|" in name})

    def alias_of(self, context: DicomContext | None) -> str:
        """Station name first, then manufacturer and model."""
        if context is None:
            return OTHER
        station = context.station_name.strip().casefold()
        product = f"{context.manufacturer.strip()}|{context.model_name.strip()}".casefold()
        return self._aliases.get(station) or self._aliases.get(product) or OTHER
