"""What runs in the hospital: reads a chest radiograph and says how soon to look at it."""

import sys

__version__ = "0.1.0"

# Nothing leaves the hospital. `import openvino` reports itself to a web analytics service unless
# this package is missing, so it is missing for us, whether it is installed or not. Here, because
# every import of ours, training included, passes this file first.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # how Python spells "absent"
