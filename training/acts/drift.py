"""The act `drift`: the run's own images -> `drift_reference.npz` in its folder."""

from rich.table import Table

from service.core.drift_reference import DRIFT_REFERENCE, Reference, write_reference
from service.core.drift_shifts import parse_shift
from service.core.files import write_whole
from training.acts.steps import Workplace, list_studies, progress_bar
from training.config import RunConfig
from training.data.splits import split_digest
from training.data.studies import Split, select
from training.drift.reference import Effort, build_reference, choose_studies
from training.drift.signatures import Subject, flag_points
from training.manifest import time_of_making
from training.measures.results import TUNING, RunIncomplete, Tuning, load_record
from training.onnx_export import export_onnx, openvino_forward
from training.scoring import load_run

DEFAULT_EFFORT = Effort()


def run_drift_reference(
    place: Workplace, config: RunConfig | None, effort: Effort = DEFAULT_EFFORT
) -> Reference:
    """Measure the drift reference of a tuned run; the release then carries it.

    Raises
    ------
    RunIncomplete
        Not tuned yet, or on another split of the data.
    TooFewImages
        The validation split holds fewer than two images.
    """
    run = load_run(place.run, config)
    tuning = load_record(place.run, TUNING, Tuning, "tune")
    studies = list_studies(place)
    if (tuning.weights_digest, tuning.split_digest) != (run.weights_digest, split_digest(studies)):
        raise RunIncomplete("weights or data changed since they were tuned: run `cxr-train tune`")
    optional = (Split.TRAIN_OPTIONAL,) if run.config.data.include_optional else ()
    chosen = choose_studies(select(studies, Split.VAL, Split.TRAIN, *optional), effort)
    subject = Subject(
        openvino_forward(export_onnx(run.network, run.config.preprocess.side_px), "f32"),
        run.recipe(tuning.calibration.temperature),
        flag_points([rates.point for rates in tuning.points]),
        weights_digest=run.weights_digest,
    )
    with progress_bar(place.console) as progress:
        total = len(chosen.studies) + len(chosen.shown)
        bar = progress.add_task("drift reference", total=total)
        reference = build_reference(
            place.data,
            chosen,
            subject,
            effort,
            lambda images: progress.advance(bar, images),
            created=time_of_making(),
        )
    write_whole(place.run / DRIFT_REFERENCE, write_reference(reference))
    place.console.print(*reference_tables(reference), sep="\n")
    return reference


def reference_tables(reference: Reference) -> tuple[Table, Table]:
    """The limit of each scalar, and what each known change would cost."""
    header = reference.header
    limits = Table(
        "scalar", "h", "h adjusted", title=f"{len(reference.values)} images, "
        f"a false alarm every {header.family_run_images:,} images of a scanner",
    )  # fmt: skip
    count = len(header.scalars)
    plain_adjusted = reference.limits[: 2 * count].reshape(2, count)
    for name, plain, adjusted in zip(header.scalars, *plain_adjusted, strict=True):
        limits.add_row(name.value, f"{plain:.1f}", f"{adjusted:.1f}")
    effects = Table("change", "in words", "h", "most moved", "sensitivity", title="known changes")
    directed = reference.limits[2 * count :]
    for text, limit, signature, costs in zip(
        header.shifts, directed, reference.signatures, header.sensitivity, strict=True
    ):
        most = abs(signature).argmax()
        cost = ", ".join(f"{finding} {change:+.3f}" for finding, change in costs.items())
        moved = f"{header.scalars[most].value} {signature[most]:+.1f} sd"
        effects.add_row(text, parse_shift(text).words, f"{limit:.1f}", moved, cost)
    return limits, effects
