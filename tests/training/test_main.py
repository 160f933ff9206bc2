"""`cxr-train` in the environment of the service, which has no torch."""

import subprocess
import sys

WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
sys.argv = ["cxr-train", "--help"]
from training.__main__ import main
main()
"""


def test_missing_torch_is_one_line_that_names_the_remedy() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert answer.returncode == 1
    assert answer.stderr.strip().splitlines() == [
        "cxr-train needs torch: use the environment of requirements/dev.txt"
    ]
