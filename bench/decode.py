"""Decode + polarity + window + resize, ours beside plain pydicom, for each transfer syntax.

`python -m bench.decode`: the contenders take turns on the same bytes in one process, and the
medians of their CPU time are compared, so that a busy machine slows both. One thread each.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import UID
from rich.console import Console
from rich.table import Table

from bench.exposures import SYNTAXES, bits_of, draw_exposure, write_exposure
from service.core.intake import read_radiograph
from service.core.preprocess import PreprocessSpec, preprocess

SIDE_PX = 224
SPEC = PreprocessSpec(side_px=SIDE_PX)
Square = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """Median CPU seconds of one transfer syntax; `theirs` is None where pydicom cannot read it."""

    syntax: UID
    body_bytes: int
    ours_seconds: float
    theirs_seconds: float | None
    correlation: float | None


def read_ours(body: bytes) -> Square:
    """The path of a request: limits, header, codec, padding, polarity, window, crop, resize."""
    return np.asarray(preprocess(read_radiograph(body), SPEC)[0])


def read_theirs(body: bytes) -> Square:
    """What a careful user of pydicom writes: pixel_array, both LUTs, polarity, Pillow."""
    dataset = pydicom.dcmread(io.BytesIO(body))
    levels = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        levels = levels.max() - levels
    shown = Image.fromarray(levels.astype(np.float32))
    return np.asarray(shown.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX))


def measure(syntax: UID, rows: int, columns: int, repeats: int) -> Row:
    """Let both read the same file, in turns."""
    words = draw_exposure(rows, columns, bits=bits_of(syntax))
    body = write_exposure(words, syntax, bits=bits_of(syntax))
    ours = read_ours(body)
    try:
        theirs: Square | None = read_theirs(body)
    except (RuntimeError, NotImplementedError):
        theirs = None
    contenders = (read_ours,) if theirs is None else (read_ours, read_theirs)
    taken = _take_turns(contenders, body, repeats)
    return Row(
        syntax,
        len(body),
        taken[0],
        None if theirs is None else taken[1],
        None if theirs is None else float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]),
    )


def _take_turns(
    contenders: Sequence[Callable[[bytes], Square]], body: bytes, repeats: int
) -> list[float]:
    seconds: list[list[float]] = [[] for _ in contenders]
    for _ in range(repeats):
        for read, taken in zip(contenders, seconds, strict=True):
            started = time.process_time()
            read(body)
            taken.append(time.process_time() - started)
    return [statistics.median(taken) for taken in seconds]


def to_table(rows: Sequence[Row], size: str) -> Table:
    """Milliseconds, and how many times faster ours is."""
    table = Table(title=f"decode + polarity + window + resize, {size}; median CPU time")
    for name in ("transfer syntax", "file, MB", "ours, ms", "pydicom, ms", "ratio", "likeness"):
        table.add_column(name, justify="left" if name == "transfer syntax" else "right")
    for row in rows:
        theirs, ours = row.theirs_seconds, row.ours_seconds
        table.add_row(
            row.syntax.name.split("(")[0].split(",")[0].strip() + f" .{row.syntax.split('.')[-1]}",
            f"{row.body_bytes / 1e6:.1f}",
            f"{ours * 1e3:.0f}",
            "cannot read" if theirs is None else f"{theirs * 1e3:.0f}",
            "" if theirs is None else f"{theirs / ours:.2f}",
            "" if row.correlation is None else f"{row.correlation:.4f}",
        )
    return table


def main() -> None:
    """Measure every syntax and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.decode", description=__doc__)
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--syntax", action="append", type=UID, help="UID; all where none is given")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows = [
        measure(syntax, arguments.rows, arguments.columns, arguments.repeats)
        for syntax in arguments.syntax or SYNTAXES
    ]
    Console(width=100).print(to_table(rows, f"{arguments.rows} x {arguments.columns}"))


if __name__ == "__main__":
    main()
