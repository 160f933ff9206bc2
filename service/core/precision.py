"""The number formats in which a network may be computed."""

from enum import StrEnum


class Precision(StrEnum):
    """Fastest first."""

    BF16 = "bf16"
    F32 = "f32"
