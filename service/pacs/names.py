"""How Orthanc names what it stores."""

import re
from typing import Final

INSTANCE: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}")
"""SHA-1 in five groups. Nothing else ever becomes part of a path."""

INSTANCE_BYTES: Final = 44
"""Its length, and that of the only body that `/notify` takes."""
