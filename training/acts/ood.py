"""The act `ood`: fit the out-of-distribution detector of a run, certify it, and measure it.

Writes `ood.npz` and `ood.json` into the run folder, or `no_detector.json`; a release takes them.
Axes: N images, D features, S side.
"""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch

from service.core.artifact import digest_of
from service.core.files import write_whole
from service.core.inference import Scalars
from service.core.intake import read_radiograph
from service.core.ood import OOD, OodDetector, OodPoint, write_detector
from service.core.radiograph import Pixels
from training.acts.steps import Workplace, list_studies, progress_bar
from training.augment import augment_batch
from training.config import RunConfig
from training.data.dataset import read_study
from training.data.splits import split_digest, trained_on
from training.data.studies import Split, Study, select
from training.measures.results import dump_record
from training.onnx_export import export_onnx, openvino_forward, precisions_here
from training.ood.absence import NO_DETECTOR, NoDetector
from training.ood.features import Change, FeatureReader, FeatureSet, depth_channels
from training.ood.fitting import DetectorRefused, check_counts, choose_point, fit_detector
from training.ood.measure import (
    CAVEATS,
    OOD_EVALUATION,
    KindMeasured,
    Measured,
    OodEvaluation,
    alarms_by_source,
    alarms_of_unknown_sources,
    compare_distances,
    measure_kind,
    pool_strangers,
)
from training.ood.strangers import catalogue
from training.ood.tables import ood_tables
from training.phantoms import golden_uploads
from training.scoring import Run, load_run, torch_forward

ALTERED_RADIOGRAPHS = 200
"""Test radiographs, evenly spaced, from which the kinds made of radiographs are made."""

COMPARED_RADIOGRAPHS = 100
"""Of the test split, evenly spaced, that every served precision measures too."""

SMALLEST_TOLERANCE = 0.25
"""Of a distance, in deviations among validation radiographs."""


@dataclass(frozen=True, slots=True)
class _Features:
    """Of the splits, by the reference engine."""

    train: FeatureSet
    fitted_on: FeatureSet
    """The training images, and each of them augmented once."""
    validation: FeatureSet
    test: FeatureSet


def run_ood(place: Workplace, config: RunConfig | None) -> OodEvaluation:
    """Fit on training images, certify on validation, measure on test radiographs and strangers.

    Raises
    ------
    DetectorRefused
        Too few radiographs; why stands in `no_detector.json`, and an earlier detector is gone.
    """
    run = load_run(place.run, config)
    studies = list_studies(place)
    try:
        check_counts(trained_on(studies, run.config.data), select(studies, Split.VAL))
        return _make_detector(place, run, studies)
    except DetectorRefused as refused:
        _note_absence(place, run, split_digest(studies), str(refused))
        raise


def _make_detector(place: Workplace, run: Run, studies: tuple[Study, ...]) -> OodEvaluation:
    readers = _open_readers(run)
    features = _read_splits(place, run, readers["torch f32"], studies)
    channels = depth_channels(run.network, run.config.preprocess.side_px)
    detector = fit_detector(features.fitted_on, features.validation, channels)
    golden = {name: _golden_features(reader) for name, reader in readers.items()}
    detector = replace(detector, golden=detector.distances(golden["torch f32"]))
    point = choose_point(
        detector,
        features.fitted_on,
        features.train,
        features.validation,
        weights_digest=run.weights_digest,
        distance_tolerance=_tolerance(detector, golden),
    )
    evaluation = replace(
        _evaluate(place, readers, features, detector, point, split_digest(studies)),
        config_digest=run.config.digest(),
    )
    write_whole(place.run / OOD, write_detector(detector))
    write_whole(place.run / OOD_EVALUATION, dump_record(evaluation))
    (place.run / NO_DETECTOR).unlink(missing_ok=True)
    place.console.print(*ood_tables(evaluation), *evaluation.caveats, sep="\n")
    return evaluation


def _note_absence(place: Workplace, run: Run, digest: str, reason: str) -> None:
    """Leave the reason for the release; a detector of other data must not be taken for this one."""
    for name in (OOD, OOD_EVALUATION):
        (place.run / name).unlink(missing_ok=True)
    absent = NoDetector(run.weights_digest, run.config.digest(), digest, reason)
    write_whole(place.run / NO_DETECTOR, dump_record(absent))


def _open_readers(run: Run) -> dict[str, FeatureReader]:
    """The reference and each precision that may serve and that this CPU computes."""
    body = export_onnx(copy.deepcopy(run.network), run.config.preprocess.side_px)
    forwards = {f"openvino {name}": openvino_forward(body, name) for name in precisions_here()}
    forwards["torch f32"] = torch_forward(run.network)
    return {name: FeatureReader(forward, run.recipe()) for name, forward in forwards.items()}


def _read_splits(
    place: Workplace, run: Run, reader: FeatureReader, studies: tuple[Study, ...]
) -> _Features:
    chosen = trained_on(studies, run.config.data)

    def read(what: str, studies: tuple[Study, ...], change: Change | None = None) -> FeatureSet:
        with progress_bar(place.console) as progress:
            bar = progress.add_task(what, total=len(studies))
            return reader.of_studies(
                place.data, studies, lambda images: progress.advance(bar, images), change
            )

    train = read("training images", chosen)
    return _Features(
        train=train,
        fitted_on=train.beside(read("the same, augmented", chosen, _augmenting(run.config))),
        validation=read("validation", select(studies, Split.VAL)),
        test=read("test", select(studies, Split.TEST)),
    )


def _augmenting(config: RunConfig) -> Change:
    """The views that the network was trained on: what it was taught to see past is not strange."""
    generator = torch.Generator().manual_seed(config.seed)

    def change(batch_nchw: Pixels) -> Pixels:
        varied = augment_batch(torch.from_numpy(batch_nchw), config.augment, generator)
        return np.asarray(varied.numpy(), np.float32)

    return change


def _golden_features(reader: FeatureReader) -> Scalars:
    return reader.of_radiographs([read_radiograph(upload) for upload in golden_uploads()])


def _tolerance(detector: OodDetector, golden: dict[str, Scalars]) -> float:
    """Twice what the served precisions differ by on the golden uploads."""
    found = [np.abs(detector.distances(f) - detector.golden).max() for f in golden.values()]
    return max(round(2 * float(max(found)), 4), SMALLEST_TOLERANCE)


def _evaluate(
    place: Workplace,
    readers: dict[str, FeatureReader],
    features: _Features,
    detector: OodDetector,
    point: OodPoint,
    digest: str,
) -> OodEvaluation:
    measured = Measured(detector, point, detector.distances(features.test.features_nd))
    compared = features.test.spaced(COMPARED_RADIOGRAPHS)
    radiographs = [read_study(place.data, study) for study in compared.studies]
    body = write_detector(detector)
    kinds = _measure_kinds(place, readers["torch f32"], features.test, measured)
    return OodEvaluation(
        weights_digest=point.weights_digest,
        split_digest=digest,
        detector_digest=digest_of(body),
        detector_bytes=len(body),
        training_images=len(features.train.studies),
        point=point,
        strangers=pool_strangers(kinds, measured),
        validation=alarms_by_source(
            detector.distances(features.validation.features_nd), features.validation, measured
        ),
        test=alarms_by_source(measured.known, features.test, measured),
        unknown_sources=alarms_of_unknown_sources(
            features.fitted_on, features.train, features.validation, measured
        ),
        kinds=tuple(result for result, _ in kinds),
        engines={
            name: compare_distances(
                measured, compared.features_nd, reader.of_radiographs(radiographs)
            )
            for name, reader in readers.items()
        },
        caveats=CAVEATS,
    )


def _measure_kinds(
    place: Workplace, reader: FeatureReader, test: FeatureSet, measured: Measured
) -> list[KindMeasured]:
    altered = test.spaced(ALTERED_RADIOGRAPHS).studies
    kinds = catalogue([read_study(place.data, study).grey for study in altered])
    with progress_bar(place.console) as progress:
        bar = progress.add_task("strangers", total=len(kinds))
        found = []
        for kind in kinds:
            found.append(measure_kind(kind, reader.of_radiographs, measured))
            progress.advance(bar)
    return found
