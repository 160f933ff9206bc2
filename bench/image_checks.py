"""Polarity and orientation by the picture alone, on real radiographs: sensitivity and specificity.

`python -m bench.image_checks --data FOLDER --split test` prints the table of `docs/intake.md`;
`--fit` prints the template of `service/core/appearance.py` anew, from the training radiographs of
the two collections that may be passed on. The margins were chosen on the validation split.
Axes: N images, H rows, W columns, K turns, F features (pixels of a thumbnail).
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from service.core.appearance import (
    SIDE,
    TURNS,
    Polarity,
    compare,
    judge_polarity,
    shrink,
    turn_of,
)
from service.core.grey import widen
from service.core.radiograph import WHITE, Grey
from training.measures.statistics import wilson

FITTED_ON: Final = ("nih", "kermany")
PULL_TO_MEAN: Final = 1e-3
"""How strongly the template is held to the mean chest; of 1e-2, 1e-3 and 1e-4 the best on the
validation split that kept the polarity of every radiograph."""

STEPS, STEP_SIZE, SHARPNESS = 400, 0.02, 12.0
Features = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Check:
    """One way in which a picture can be wrong, and what notices it."""

    name: str
    spoil: Callable[[Grey], Grey]
    notices: Callable[[Grey], bool]


def _is_negative(grey: Grey) -> bool:
    return judge_polarity(grey) is Polarity.INVERTED


def _is_turned(grey: Grey) -> bool:
    return turn_of(compare(grey)) != 0


def _turned(turns: int) -> Callable[[Grey], Grey]:
    return lambda grey: np.ascontiguousarray(np.rot90(grey, turns))


CHECKS: Final = (
    Check("negative", lambda grey: np.asarray(WHITE - grey, np.uint16), _is_negative),
    *(
        Check(f"turned by {degrees} degrees", _turned(turns), _is_turned)
        for turns, degrees in enumerate(TURNS)
        if degrees
    ),
    Check("upside down", lambda grey: np.ascontiguousarray(grey[::-1]), _is_turned),
)


def read_split(folder: Path, split: str) -> Iterator[tuple[str, Grey]]:
    """Source and grey levels of each radiograph of a split."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["split"] == split:
                levels = cv2.imread(str(folder / row["file"]), cv2.IMREAD_GRAYSCALE)
                yield row["source"], widen(np.asarray(levels, np.uint8))


def measure(radiographs: list[tuple[str, Grey]]) -> Table:
    """Each check on each radiograph as it is, and spoiled."""
    table = Table(title=f"checks of the picture alone, {len(radiographs)} real radiographs")
    for heading in ("check", "sensitivity", "specificity", "ms"):
        table.add_column(heading, justify="left" if heading == "check" else "right")
    for check in CHECKS:
        started = time.process_time()
        false = sum(check.notices(grey) for _, grey in radiographs)
        milliseconds = (time.process_time() - started) / len(radiographs) * 1e3
        found = sum(check.notices(check.spoil(grey)) for _, grey in radiographs)
        total = len(radiographs)
        table.add_row(
            check.name, _rate(found, total), _rate(total - false, total), f"{milliseconds:.2f}"
        )
    return table


def _rate(count: int, total: int) -> str:
    interval = wilson(count, total)
    return f"{count / total:.4f} ({interval.low:.4f}-{interval.high:.4f})"


def fit_template(radiographs: list[tuple[str, Grey]]) -> NDArray[np.int8]:
    """(SIDE, SIDE) template that tells an upright positive from its turns and negatives.

    Starts from the mean chest, each source counting the same, and learns by gradient descent to
    correlate best with the picture as it is among its four turns and their negatives.
    """
    features = np.stack([shrink(grey).ravel() for _, grey in radiographs]).astype(np.float64)
    sources = np.array([source for source, _ in radiographs])
    weights = sum((sources == name) / (sources == name).sum() for name in set(sources.tolist()))
    weights = np.asarray(weights / np.sum(weights))
    mean = _standardise(weights @ features)
    places = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    turns = [np.rot90(places, turn).ravel() for turn in range(len(TURNS))]
    template = _descend(features, weights, mean, turns)
    scaled = np.rint(template / np.abs(template).max() * 127)
    return np.asarray(scaled.reshape(SIDE, SIDE), np.int8)


def _descend(
    features: Features, weights: Features, mean: Features, turns: list[NDArray[np.int64]]
) -> Features:
    """Adam on the cross-entropy of turn and polarity."""
    template, first, second = mean.copy(), np.zeros_like(mean), np.zeros_like(mean)
    for step in range(1, STEPS + 1):
        scores = features @ np.stack([template[turn] for turn in turns]).T / features.shape[1]
        logits = SHARPNESS * np.concatenate([scores, -scores], axis=1)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        surprise = odds / odds.sum(axis=1, keepdims=True)
        surprise[:, 0] -= 1
        surprise *= SHARPNESS * weights[:, np.newaxis]
        by_turn = (surprise[:, :4] - surprise[:, 4:]).T @ features / features.shape[1]
        gradient = PULL_TO_MEAN * (template - mean)
        for turn, part in zip(turns, by_turn, strict=True):
            np.add.at(gradient, turn, part)
        first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient**2
        slope = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.99**step)) + 1e-9)
        template = template - STEP_SIZE * slope
    return _standardise(template)


def _standardise(values: Features) -> Features:
    return np.asarray((values - values.mean()) / values.std())


def main() -> None:
    """Measure, or fit."""
    parser = argparse.ArgumentParser(prog="python -m bench.image_checks", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--fit", action="store_true", help="print the template anew")
    arguments = parser.parse_args()
    if arguments.fit:
        chosen = [pair for pair in read_split(arguments.data, "train") if pair[0] in FITTED_ON]
        print(fit_template(chosen).tobytes().hex())
        return
    Console(width=100).print(measure(list(read_split(arguments.data, arguments.split))))


if __name__ == "__main__":
    main()
