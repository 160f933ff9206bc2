"""No library of ours may report to anyone."""

import subprocess
import sys

PROBE = """
import socket, sys
reached = []
def refuse(*arguments, **options):
    reached.append(arguments)
    raise OSError("refused by the test")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import service.engine.openvino
import openvino
openvino.Core()
print(len(reached), sys.modules["openvino_telemetry"], service.engine.openvino.__name__)
"""


def test_engine_import_opens_no_connection_and_loads_no_telemetry() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=120
    )

    assert answer.stdout.split() == ["0", "None", "service.engine.openvino"]
