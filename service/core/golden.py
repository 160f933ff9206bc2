"""The golden uploads of a release: drawn radiographs with what it computed of them.

References
----------
`golden.npz` of a version folder, whose digest `artifact` verifies.
"""

import io
import zipfile
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.core.artifact import GOLDEN
from service.core.errors import ArtifactInvalid
from service.core.radiograph import Pixels


@dataclass(frozen=True, slots=True)
class Golden:
    """Synthetic uploads with the pixels and probabilities that the release computed."""

    uploads: tuple[bytes, ...] = field(repr=False)
    pixels: Pixels = field(repr=False)
    probabilities: NDArray[np.float32]


def read_golden(body: bytes) -> Golden:
    """Parse `golden.npz` without pickle.

    Raises
    ------
    ArtifactInvalid
        Not the arrays that the release writes.
    """
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            count = len(arrays["probabilities"])
            uploads = tuple(arrays[f"upload_{index}"].tobytes() for index in range(count))
            return Golden(uploads, arrays["pixels"], arrays["probabilities"])
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ArtifactInvalid(f"{GOLDEN} does not hold uploads, pixels, probabilities") from error


def write_golden(golden: Golden) -> bytes:
    """The bytes of `golden.npz`."""
    uploads = {f"upload_{i}": np.frombuffer(b, np.uint8) for i, b in enumerate(golden.uploads)}
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        pixels=golden.pixels,
        probabilities=golden.probabilities,
        **uploads,
    )
    return buffer.getvalue()
