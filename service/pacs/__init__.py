"""The way in from a PACS: told or found out what is new, it is pulled, answered and recorded."""

from service.pacs.inlet import Inlet, PacsOff, Shut, open_inlet
from service.pacs.options import PacsMisconfigured, PacsOptions, Start

__all__ = ["Inlet", "PacsMisconfigured", "PacsOff", "PacsOptions", "Shut", "Start", "open_inlet"]
