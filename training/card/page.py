"""Numbers -> MODEL_CARD.md: intended use, data, every number with its interval, limits."""

from collections.abc import Iterable, Sequence

from service.core.artifact import AuditVerdict, Manifest
from training.card.data import data_part, quoted, scope_parts
from training.card.sections import (
    engines_part,
    markdown_table,
    prevalences_part,
    provenance_part,
    strata_part,
)
from training.config import RunConfig
from training.measures.results import Evaluation, PointRates, Tuning
from training.measures.temperature import at_bound_note
from training.measures.warnings import tuning_warnings
from training.pretrained import ORIGINS
from training.report.terminal import text_of, text_of_threshold

LIMITS = (
    "Research software, not a medical device: it may not decide about a patient.",
    "A threshold that reads *none certifiable* raises no flag: that finding is shadow-only.",
    "A picture without DICOM tags (PNG, JPEG) cannot be checked for age, view or modality.",
    "Other diseases, devices, post-operative states and lateral views were not studied.",
)
NO_THRESHOLD = "Nothing: no threshold can be certified, so no finding raises a flag."
NOT_AUDITED = (
    "The audit for confounding has not been run on this version: whether the network looks at the "
    "lungs is not shown."
)
CHILDREN = (
    "> **The intended use is adults; most of the pneumonia evidence is from children.** {share} "
    "pneumonia images of the {split} split are from the Kermany collection, of children aged 1 to "
    "5. What the model is worth for adult pneumonia rests on {rest} images of one American "
    "hospital. Do not read a pooled pneumonia number as a statement about adults."
)


def write_model_card(
    manifest: Manifest,
    tuning: Tuning,
    evaluation: Evaluation,
    notes: Sequence[str] = (),
    sections: Sequence[str] = (),
) -> str:
    """The card as Markdown.

    Parameters
    ----------
    notes
        Limits that no number tells.
    sections
        Of the acts beside tuning and evaluation, see `training.card.sections`.
    """
    parts = [
        f"# Model card: {manifest.name} {manifest.version}",
        manifest.description,
        _intended_use(manifest, evaluation),
        _network(manifest, tuning),
        data_part(manifest, tuning, evaluation),
        _discrimination(evaluation),
        _operating_points(tuning, evaluation),
        _calibration(tuning, evaluation),
        strata_part(evaluation),
        *sections,
        _limits(manifest, tuning, evaluation, notes),
        provenance_part(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _intended_use(manifest: Manifest, evaluation: Evaluation) -> str:
    use = manifest.intended_use
    rows = [(name.replace("_", " "), _words(value)) for name, value in use]
    lines = [
        "## Intended use",
        (
            "Orders a reading list of frontal chest radiographs in research: which one a "
            "radiologist opens first. It never replaces a reading, and an image outside this table "
            "is not evaluated. **Not a medical device; for research and non-commercial use only.**"
        ),
        markdown_table(("scope", "value"), rows),
        _children_note(evaluation),
    ]
    return "\n\n".join(line for line in lines if line)


def _children_note(evaluation: Evaluation) -> str:
    counts = {source: found.get("pneumonia", 0) for source, found in evaluation.images.items()}
    total, children = sum(counts.values()), counts.get("kermany", 0)
    if not children:
        return ""
    share = f"{children} of {total}"
    note = CHILDREN.format(share=share, split=evaluation.split, rest=total - children)
    return "\n".join([note, *(f"> {line}" for line in _without_children(evaluation))])


def _without_children(evaluation: Evaluation) -> list[str]:
    """The pneumonia numbers of the sources that are not Kermany's."""
    lines = [
        f"AUC {name}: {text_of(found.network)}."
        for name, found in evaluation.discrimination.items()
        if "pneumonia vs normal" in name and not name.startswith("kermany")
    ]
    for rates in evaluation.points:
        for source, found in rates.sources.items():
            if rates.point.finding == "pneumonia" and source != "kermany" and found.positives:
                threshold = text_of_threshold(rates.point.threshold)
                lines.append(
                    f"{source}, {rates.point.purpose} at {threshold}: "
                    f"sensitivity {text_of(found.sensitivity)}, "
                    f"specificity {text_of(found.specificity)}."
                )
    return lines


def initial_weights(config: RunConfig) -> str:
    """What the training began with, whose it is, and under which licence."""
    if not config.imagenet:
        return "The training began with random weights."
    origin, licence = ORIGINS[config.architecture]
    return (
        f"The training began with weights of others, which it changed: {origin}; licence {licence}."
    )


def _network(manifest: Manifest, tuning: Tuning) -> str:
    config = RunConfig.model_validate_json(manifest.provenance.config)
    views = ", ".join(manifest.views)
    side = manifest.preprocess.side_px
    return (
        "## Network\n\n"
        f"{manifest.architecture}, one grey channel of {side} x {side} px, findings "
        f"{', '.join(manifest.findings)}. Every score is the mean of the logits over the views "
        f"{views}, divided by a temperature of {tuning.calibration.temperature:.3f}. Every number "
        "below was measured so, with the released half-precision weights.\n\n"
        f"{initial_weights(config)}"
    )


def _discrimination(evaluation: Evaluation) -> str:
    macro = evaluation.macro_auc
    rows = [("macro, one vs rest", "", text_of(macro.network), text_of(macro.baseline), "")]
    rows += [
        (
            name,
            f"{found.positives} / {found.negatives} ({found.patients} patients)",
            text_of(found.network),
            text_of(found.baseline),
            text_of(found.difference),
        )
        for name, found in evaluation.discrimination.items()
    ]
    heading = ("question", "positives / negatives", "network", "trivial baseline", "difference")
    return "\n\n".join(
        [
            f"## Discrimination on the {evaluation.split} split",
            (
                "AUC with 95 % intervals. The trivial baseline is a logistic regression on image "
                "size, shape, borders and grey levels: it cannot read a lung."
            ),
            markdown_table(heading, rows),
            f"Without test-time augmentation the macro AUC is {text_of(macro.single_view)}.",
            "![ROC](roc.png)",
        ]
    )


def _operating_points(tuning: Tuning, evaluation: Evaluation) -> str:
    certified = [
        (
            f"{rates.point.finding} {rates.point.purpose} {rates.point.label}",
            text_of_threshold(rates.point.threshold),
            str(rates.point.positives),
            "-" if rates.point.misses_allowed is None else str(rates.point.misses_allowed),
        )
        for rates in tuning.points
    ]
    groups = [(group, *map(str, found.values())) for group, found in evaluation.priorities.items()]
    return "\n\n".join(
        [
            "## Operating points",
            (
                "A threshold is the exact binomial one that keeps its target sensitivity with 95 % "
                "confidence, on one validation image per patient."
            ),
            markdown_table(
                ("point", "threshold", "positive patients", "misses allowed"), certified
            ),
            *scope_parts(tuning),
            f"What they give on the {evaluation.split} split:",
            _rates(evaluation.points),
            *prevalences_part(evaluation.points),
            f"Priority on the {evaluation.split} split by the scores alone, by source and truth:",
            markdown_table(("group", "urgent", "review", "routine"), groups),
            "The engines that serve, against the reference that was tuned and measured:",
            engines_part(evaluation),
        ]
    )


def _rates(points: Iterable[PointRates]) -> str:
    rows = []
    for rates in points:
        name = f"{rates.point.finding} {rates.point.purpose} {rates.point.label}"
        found = {"pooled": rates.pooled, **rates.sources} if rates.pooled else {}
        rows += [
            (name, where, text_of(at.sensitivity), text_of(at.specificity), text_of(at.ppv))
            for where, at in found.items()
        ]
    if not rows:
        return NO_THRESHOLD
    return markdown_table(
        ("point", "images", "sensitivity", "specificity", "PPV in this mix"), rows
    )


def _calibration(tuning: Tuning, evaluation: Evaluation) -> str:
    rows = [
        ("expected calibration error", text_of(evaluation.calibration_error)),
        ("Brier score (0 to 2)", text_of(evaluation.brier)),
        ("log-loss", text_of(evaluation.log_loss)),
    ]
    for finding, found in evaluation.calibration.items():
        if found.line is not None:
            rows.append((f"{finding}: slope", text_of(found.line.slope, 2)))
            rows.append((f"{finding}: intercept", text_of(found.line.intercept, 2)))
    before, after = tuning.log_loss_before, tuning.log_loss_after
    return "\n\n".join(
        [
            "## Calibration",
            *quoted(at_bound_note(tuning.calibration.temperature)),
            (
                f"Temperature scaling took the validation log-loss from {before:.4f} to "
                f"{after:.4f}. On the {evaluation.split} split:"
            ),
            markdown_table(("measure", "value"), rows),
            "![reliability](reliability.png)",
            "![confusion](confusion.png)",
        ]
    )


def _limits(
    manifest: Manifest, tuning: Tuning, evaluation: Evaluation, notes: Sequence[str]
) -> str:
    unaudited = (NOT_AUDITED,) if manifest.audit is AuditVerdict.NOT_RUN else ()
    told = (*notes, *unaudited, *tuning_warnings(tuning), *LIMITS)
    lines = (*told, *evaluation.caveats, *tuning.notes)
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _words(value: object) -> str:
    if isinstance(value, tuple | list | set | frozenset):
        return ", ".join(sorted(str(part) for part in value))
    return "-" if value is None else str(value)
