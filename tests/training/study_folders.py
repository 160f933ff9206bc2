"""Small data folders of drawn chests, in both layouts that training reads."""

import csv
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from service.core.findings import FINDINGS, Finding
from service.core.network import Architecture
from service.core.preprocess import PreprocessSpec
from service.core.radiograph import Grey
from training.config import AugmentConfig, OptimiserConfig, RunConfig
from training.phantoms import draw_chest, encode_dicom, encode_jpeg, encode_png8, encode_png16

SIDE_PX = 96
COLUMNS = (
    "split", "file", "label", "source", "patient_id", "tier", "age", "sex", "view", "sha256",
)  # fmt: skip

Counts = Mapping[str, Mapping[Finding, int]]
"""Split -> finding -> images."""

FEW: Counts = {split: dict.fromkeys(FINDINGS, 12) for split in ("train", "val", "test")}
CERTIFIABLE: Counts = {
    "train": dict.fromkeys(FINDINGS, 30),
    "val": {Finding.NORMAL: 40, Finding.PNEUMONIA: 30, Finding.TUBERCULOSIS: 110},
    "test": dict.fromkeys(FINDINGS, 30),
}
"""Enough tuberculosis in val for a threshold, too little pneumonia."""


NO_AUGMENT = AugmentConfig(
    rotation_degrees=0, scale_ratio=0, aspect_ratio=0, shift_ratio=0, hflip_probability=0,
    gamma=0, contrast=0, brightness=0, noise=0, downscale_probability=0, border_probability=0,
    corner_probability=0,
)  # fmt: skip


def tiny_config(**changes: object) -> RunConfig:
    """A run of the two-convolution network that takes seconds."""
    optimiser = OptimiserConfig(
        epochs=3, samples_per_epoch=96, batch_images=16, learning_rate=3e-3, ema_decay=0.5
    )
    config = RunConfig(
        name="tiny",
        architecture=Architecture.TINY,
        preprocess=PreprocessSpec(side_px=64),
        optimiser=optimiser,
    )
    return config.model_copy(update=changes)


def learning_config() -> RunConfig:
    """Tiny too, but it learns the drawn findings: longer, and without random views."""
    optimiser = OptimiserConfig(
        epochs=8,
        samples_per_epoch=960,
        batch_images=16,
        learning_rate=1e-2,
        warmup_epochs=0.3,
        label_smoothing=0.0,
        ema_decay=0.9,
        dropout=0.0,
    )
    return tiny_config(optimiser=optimiser, augment=NO_AUGMENT)


def tiny_toml(path: Path, *, epochs: int = 3, samples_per_epoch: int = 96) -> Path:
    """The same run as a TOML file."""
    path.write_text(
        f'name = "tiny"\narchitecture = "tiny"\n[preprocess]\nside_px = 64\n[optimiser]\n'
        f"epochs = {epochs}\nsamples_per_epoch = {samples_per_epoch}\nbatch_images = 16\n"
        "learning_rate = 3e-3\nema_decay = 0.5\n"
    )
    return path


def write_class_folders(folder: Path, counts: Counts = FEW) -> Path:
    """train|val|test / FINDING / files, in the upper case of the public set; three formats."""
    for split, finding, number in _each(counts):
        suffix = ("png", "jpeg", "dcm")[number % 3]
        place = folder / split / finding.upper() / f"{split}-{number}.{suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(_encode(suffix, split, finding, number))
    return folder


def write_manifest_folder(folder: Path, counts: Counts = FEW) -> Path:
    """manifest.csv and 16-bit PNG files from two sources, with ages, sexes and views."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        for split, finding, number in _each(counts):
            name = f"{split}-{finding}-{number}.png"
            body = encode_png16(_chest(split, finding, number))
            (folder / name).write_bytes(body)
            writer.writerow(_row(split, finding, number, name, body))
    return folder


def quiet() -> Console:
    """A console that nobody reads."""
    return Console(file=io.StringIO())


def _row(split: str, finding: Finding, number: int, name: str, body: bytes) -> dict[str, object]:
    source = ("east", "west")[number % 2]
    return {
        "split": split,
        "file": name,
        "label": finding,
        "source": source,
        "patient_id": f"{source}:{split}-{finding}-{number}",
        "tier": "A",
        "age": 20 + number % 60,
        "sex": "MF"[number // 2 % 2],
        "view": ("PA", "AP")[number // 3 % 2],
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def _each(counts: Counts) -> list[tuple[str, Finding, int]]:
    return [
        (split, finding, number)
        for split, findings in counts.items()
        for finding, count in findings.items()
        for number in range(count)
    ]


def _encode(suffix: str, split: str, finding: Finding, number: int) -> bytes:
    chest = _chest(split, finding, number)
    if suffix == "dcm":
        return encode_dicom(chest, tags={"PatientID": f"{split}-{finding}-{number}"})
    return encode_png8(chest) if suffix == "png" else encode_jpeg(chest)


def _chest(split: str, finding: Finding, number: int) -> Grey:
    seed = int.from_bytes(hashlib.sha256(f"{split}{finding}{number}".encode()).digest()[:4], "big")
    return draw_chest(seed, finding, SIDE_PX, SIDE_PX)
