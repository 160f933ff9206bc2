"""Coverage-guided fuzzing of everything that reads an upload; not part of the tests.

`python tests/fuzz/read_radiograph.py FOLDER -max_total_time=600`: libFuzzer's options pass through.
The rows of the catalogue are the first corpus. A finding is a process that ends, an error outside
the tree, or more than `SLOWEST_SECONDS` for one upload; its bytes become a test.
"""

import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["service", "pydicom"]):
    from service.core.errors import CxrError
    from service.core.intake import IntakeLimits, read_radiograph
    from service.core.scope import IntendedUse, check_scope

from tests.support.dicom_catalogue import READ
from tests.support.raster_catalogue import RASTER
from tests.support.refusal_catalogue import REFUSED

LARGEST_SEED_BYTES = 40_000
SLOWEST_SECONDS = 5.0
LIMITS = IntakeLimits(max_pixels=1_000_000)
"""So that a fuzzer finds more than large pictures that take their time."""


def read_one(body: bytes) -> None:
    """Read and judge an upload as the service does; anything but our own errors escapes."""
    started = time.process_time()
    with suppress(CxrError):
        check_scope(read_radiograph(body, LIMITS), IntendedUse())
    assert time.process_time() - started < SLOWEST_SECONDS


def plant(folder: Path) -> None:
    """Write the rows of the catalogue as the first corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in {**READ, **REFUSED, **RASTER}.items():
        body = case.body({})
        if len(body) <= LARGEST_SEED_BYTES:
            (folder / "".join(filter(str.isalnum, name))).write_bytes(body)


def main() -> None:
    """Plant the corpus into the folder named first, and fuzz."""
    warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF, which is damage we made
    plant(Path(sys.argv[1]))
    options = ["-rss_limit_mb=4096", "-timeout=30", f"-max_len={LARGEST_SEED_BYTES}", *sys.argv[2:]]
    atheris.Setup([sys.argv[0], sys.argv[1], *options], read_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
