"""`drift_reference.npz` of a model version: what its images looked like, and the limits.

Axes: N reference images, K scalars, C known changes, D features.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist
from typing import Annotated
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from service.core.drift_cusum import Numbers
from service.core.drift_scalars import Levels, Scalar
from service.core.errors import ArtifactInvalid

DRIFT_REFERENCE = "drift_reference.npz"
MAD_TO_SD = 1.4826
SMALLEST_SPREAD = 0.3
"""A scalar that is nearly always the same keeps a step of its rank below three sigma."""

FEATURE_AXES = 3


class Header(BaseModel):
    """What is no array."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    created: str
    scalars: tuple[Scalar, ...]
    sources: dict[str, float]
    """Share of the reference images."""
    allowance: Annotated[float, Field(gt=0, le=2)]
    family_run_images: Annotated[int, Field(ge=100)]
    shifts: tuple[str, ...] = ()
    """Known changes, `name:amount`, in the order of `signatures`."""
    weights_digest: str = ""
    """Of the network whose scores these are; empty where it was not noted."""
    sensitivity: tuple[dict[str, float], ...] = ()
    """Change of the sensitivity at the flag threshold, by finding, for each known change."""


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """Principal axes of the network's features on held-out images; D is 0 without features."""

    mean: Levels = field(repr=False)
    axes: Levels = field(repr=False)
    """(3, D), scaled to unit variance."""
    spread: Levels = field(repr=False)
    """(D,), standard deviation of each feature."""

    def measure(self, features: Levels) -> dict[Scalar, float]:
        """Place on the first axes, and distance from the mean; nothing where D differs."""
        if features.size != self.mean.size or features.size == 0:
            return {}
        centred = features - self.mean
        places = self.axes @ centred
        distance = float(np.sqrt(np.mean((centred / self.spread) ** 2)))
        axes = (Scalar.FEATURE_1, Scalar.FEATURE_2, Scalar.FEATURE_3)
        measured = {name: float(place) for name, place in zip(axes, places, strict=True)}
        return measured | {Scalar.FEATURE_DISTANCE: distance}


NO_FEATURES = FeatureSpace(*(np.zeros(shape, np.float32) for shape in ((0,), (0, 0), (0,))))


@dataclass(frozen=True, slots=True)
class Reference:
    """The images that a scanner is compared with.

    Attributes
    ----------
    values
        (N, K); NaN where a scalar was not measured, as scores of images that were trained on.
    findings
        (N,) place of each label in `FINDINGS`.
    blocks
        (N,) images of one patient share a number.
    limits
        (S,) h of each series that is followed: every scalar as it is, every scalar adjusted for
        the others, and one series for each known change.
    signatures
        (C, K) mean change of the standardised scalars under each known change.
    """

    header: Header
    values: Levels = field(repr=False)
    findings: NDArray[np.int8] = field(repr=False)
    blocks: NDArray[np.int32] = field(repr=False)
    limits: Numbers = field(repr=False)
    signatures: Numbers = field(repr=False)
    features: FeatureSpace = field(repr=False, default=NO_FEATURES)


class Standardiser:
    """Values -> robust z: normal scores of the rank among the reference images.

    A rank knows no outliers and no skew, so one far image moves a sum by at most 3.5 or so.

    Parameters
    ----------
    values
        (N, K), NaN where not measured.
    """

    def __init__(self, values: Levels) -> None:
        self._columns = [np.sort(column[~np.isnan(column)]) for column in values.T]
        self._scores = [_normal_scores(column.size) for column in self._columns]
        self.centre = np.array([np.median(column) for column in self._columns])
        gaps = [np.abs(c - m) for c, m in zip(self._columns, self.centre, strict=True)]
        robust = [MAD_TO_SD * float(np.median(gap)) for gap in gaps]
        usual = [float(column.std()) for column in self._columns]
        self.scale = np.array([r or u or 1.0 for r, u in zip(robust, usual, strict=True)])
        self._mean, self._spread = np.zeros(values.shape[1]), np.ones(values.shape[1])
        z = self.standardise(values)
        self._mean = np.nanmean(z, axis=0)
        self._spread = np.maximum(np.nanstd(z, axis=0), SMALLEST_SPREAD)

    def standardise(self, values: Levels) -> Numbers:
        """(..., K) values -> z of the same shape."""
        z = np.empty(values.shape)
        for k, (column, scores) in enumerate(zip(self._columns, self._scores, strict=True)):
            now = values[..., k]
            z[..., k] = scores[column.searchsorted(now, "left") + column.searchsorted(now, "right")]
        z[np.isnan(values)] = np.nan
        return (z - self._mean) / self._spread


@lru_cache(maxsize=4)
def _normal_scores(count: int) -> Numbers:
    """(2 * count + 1,) of every rank, in halves, that a value can have among so many.

    By the standard library: a service that starts need not wait for scipy.
    """
    ranks = np.clip(np.arange(2 * count + 1) / 2, 0.5, count - 0.5) / count
    return np.array([NormalDist().inv_cdf(rank) for rank in ranks])


def read_reference(body: bytes) -> Reference:
    """Parse `drift_reference.npz` without pickle.

    Raises
    ------
    ArtifactInvalid
        Not the arrays that the release writes.
    """
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            header = Header.model_validate_json(arrays["header"].tobytes())
            reference = Reference(
                header, arrays["values"], arrays["findings"], arrays["blocks"], arrays["limits"],
                arrays["signatures"],
                FeatureSpace(*(arrays[f"feature_{name}"] for name in ("mean", "axes", "spread"))),
            )  # fmt: skip
    except (KeyError, ValueError, OSError, EOFError, BadZipFile) as error:
        raise ArtifactInvalid(f"{DRIFT_REFERENCE} is not what a release writes") from error
    _check(reference)
    return reference


def find_reference(files: Mapping[str, bytes]) -> Reference | None:
    """The reference of a model version; None for one that was released without."""
    body = files.get(DRIFT_REFERENCE)
    return None if body is None else read_reference(body)


def write_reference(reference: Reference) -> bytes:
    """The bytes of `drift_reference.npz`."""
    header = json.dumps(reference.header.model_dump(mode="json"), sort_keys=True).encode()
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        header=np.frombuffer(header, np.uint8),
        values=reference.values,
        findings=reference.findings,
        blocks=reference.blocks,
        limits=reference.limits,
        signatures=reference.signatures,
        feature_mean=reference.features.mean,
        feature_axes=reference.features.axes,
        feature_spread=reference.features.spread,
    )
    return buffer.getvalue()


def _check(reference: Reference) -> None:
    header, count = reference.header, len(reference.values)
    scalars = len(header.scalars)
    shapes = {
        "values": (reference.values.shape, (count, scalars)),
        "findings": (reference.findings.shape, (count,)),
        "blocks": (reference.blocks.shape, (count,)),
        "limits": (reference.limits.shape, (2 * scalars + len(header.shifts),)),
        "signatures": (reference.signatures.shape, (len(header.shifts), scalars)),
    }
    for name, (found, expected) in shapes.items():
        if found != expected:
            raise ArtifactInvalid(f"{DRIFT_REFERENCE}: {name} is {found}, expected {expected}")
    if header.scalars != tuple(name for name in Scalar if name in header.scalars):
        raise ArtifactInvalid(f"{DRIFT_REFERENCE}: the scalars are not in their order")
    if count < 2 or np.isnan(reference.values).all(axis=0).any():
        raise ArtifactInvalid(f"{DRIFT_REFERENCE}: a scalar has no value")
