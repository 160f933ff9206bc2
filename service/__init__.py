"""What runs in the hospital: reads a chest radiograph and says how soon to look at it."""

import os
import sys

__version__ = "0.1.0"

# Nothing leaves the hospital. `import openvino` reports itself to a web analytics service unless
# this package is missing, so it is missing for us, whether it is installed or not. Here, because
# every import of ours, training included, passes this file first.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # how Python spells "absent"

# Libraries obey variables of their own, which no setting of ours checks. These are dropped before
# any library can see them.
for _name in (
    "PROMETHEUS_MULTIPROC_DIR",  # the numbers in files: more at each start, and gauges without one
    "prometheus_multiproc_dir",  # the same, as it was once spelt
    "PYDICOM_FUTURE",  # another way to read DICOM, or a stack trace for a word it does not know
    "SSLKEYLOGFILE",  # a file with the session keys of the connections to PACS and provider
):
    os.environ.pop(_name, None)
