"""Sections of the model card about the acts beside tuning and evaluation, as Markdown."""

from collections.abc import Iterable, Sequence

from service.core.artifact import Manifest
from training.audit.results import Audit
from training.explain import Explanation
from training.measures.evidence import Bar, Comparison, Simulation
from training.measures.results import Evaluation, PointRates
from training.ood.measure import Alarms, KindResult, OodEvaluation
from training.ood.strangers import Group
from training.report.terminal import text_of
from training.search.recipes import Search, summarise
from training.soup import Members


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; cells are texts."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bars_section(bars: Sequence[Bar]) -> str:
    """What was asked of this version, and what it reached."""
    rows = [
        (
            bar.name,
            bar.data,
            f"{'at most' if bar.is_ceiling else 'at least'} {bar.bound:g}",
            text_of(bar.measured),
            _met(bar),
            bar.claim,
        )
        for bar in bars
    ]
    heading = ("what", "measured on", "asked", "reached", "met", "asked by")
    return _section("Bars", "The interval tells how sure it is.", markdown_table(heading, rows))


def comparison_section(comparison: Comparison) -> str:
    """The version beside the one before, image by image."""
    rows = [
        (
            name,
            f"{found.positives} / {found.negatives}",
            text_of(found.current),
            text_of(found.previous),
            text_of(found.resampled),
            f"{found.delong.p_value:.3f}",
        )
        for name, found in comparison.questions.items()
    ]
    heading = (
        "question", "positives / negatives", "this", "previous", "difference", "p (DeLong, paired)",
    )  # fmt: skip
    note = (
        f"Beside {comparison.previous} on the same {comparison.images} images of "
        f"{comparison.patients} patients; patients are resampled together."
    )
    return _section("Beside the previous version", note, markdown_table(heading, rows))


def audit_section(audit: Audit) -> str:
    """Verdict, criterion and numbers of each test."""
    verdicts = [
        (test.name, test.asks, test.criterion, test.verdict.value, "; ".join(test.reasons) or "-")
        for test in audit.tests
    ]
    numbers = [
        (test.name, found.where, found.what, str(found.images), text_of(found.value))
        for test in audit.tests
        for found in test.measured
    ]
    lungs = [
        (f"plausible, {name}", text_of(share)) for name, share in audit.lungs.plausible.items()
    ]
    lungs += [
        (f"agrees with itself, {name} (Dice)", text_of(overlap))
        for name, overlap in audit.lungs.agreement.items()
    ]
    lungs.append(("drawn chests with known lungs (Dice)", text_of(audit.lungs.phantoms)))
    notes = "\n".join(f"- {note}" for note in audit.notes)
    return _section(
        f"Confounding audit: {audit.verdict}",
        "Criteria are fixed in the code before a number is seen.",
        markdown_table(("test", "asks", "criterion", "verdict", "why"), verdicts),
        markdown_table(("test", "where", "what", "images", "value"), numbers),
        "The lung finder that hides and shows lungs:",
        markdown_table(("what", "value"), lungs),
        notes,
    )


def ood_section(found: OodEvaluation) -> str:
    """What is no chest, or unlike what was learned from."""
    point, strangers = found.point, found.strangers
    summary = [
        ("AUC of all that is no chest, against test radiographs", text_of(strangers.auc, 4)),
        ("lowest AUC of a kind", f"{strangers.lowest_kind_auc:.4f}"),
        ("of them sent to review or refused", text_of(strangers.alarms.reviewed_share)),
        ("of them refused", text_of(strangers.alarms.refused_share)),
        ("review at or above", f"{point.review_threshold:.6f}"),
        ("refused at or above", f"{point.refuse_threshold:.8f}"),
    ]
    alarms = [
        (split, source, *_alarms(seen))
        for split, sources in (
            ("validation", found.validation),
            ("test", found.test),
            ("training, source unknown to the detector", found.unknown_sources),
        )
        for source, seen in sources.items()
    ]
    kinds = [(group.value, *_kind(kind)) for group in Group for kind in _of(found, group)]
    return _section(
        "Out of distribution",
        point.method,
        markdown_table(("measure", "value"), summary),
        "Real radiographs:",
        markdown_table(("split", "source", "images", "to review", "refused"), alarms),
        "Strangers and altered radiographs:",
        markdown_table(("group", "kind", "from", "images", "to review", "refused", "AUC"), kinds),
        "\n".join(f"- {caveat}" for caveat in found.caveats),
    )


def explanation_section(found: Explanation) -> str:
    """Whether the attention map depends on what was learned."""
    rows = [(stage, text_of(value)) for stage, value in found.correlation.items()]
    return _section(
        f"Attention maps: {found.verdict}",
        f"{found.criterion} Panel: {found.rule}",
        markdown_table(("weights drawn anew down to", "rank correlation with the map"), rows),
    )


def simulation_section(simulations: Sequence[Simulation]) -> str:
    """Whether the guarantee of the thresholds holds where the truth is known."""
    rows = [
        (
            found.name,
            found.population,
            f"{found.target_sensitivity:g}",
            str(found.positives),
            text_of(found.certified_missed),
            text_of(found.naive_missed),
            f"{found.allowed:.3f}",
        )
        for found in simulations
    ]
    heading = (
        "point", "population", "target", "positives", "certified threshold misses it",
        "naive threshold misses it", "allowed",
    )  # fmt: skip
    draws = max(found.draws for found in simulations)
    note = f"Share of {draws} drawn samples in which the true sensitivity is below the target."
    return _section("The guarantee, simulated", note, markdown_table(heading, rows))


def members_section(members: Members) -> str:
    """The runs whose weights were averaged."""
    rows = [(f"seed {seed}", f"{loss:.4f}") for seed, loss in members.runs.items()]
    rows.append(("mean of the weights", f"{members.mean:.4f}"))
    note = "Log-loss on the validation split, source and finding groups by the root of their size."
    return _section("Members", note, markdown_table(("run", "validation loss"), rows))


def search_section(search: Search) -> str:
    """How the recipe was chosen."""
    heading, rows = summarise(search)
    note = (
        "AUC within a source that was left out of training (its train and validation images) and "
        "within those that were kept; mean and standard deviation over the seeds. No test image "
        "took part."
    )
    return _section("Recipe search", note, markdown_table(heading, rows))


def engines_part(evaluation: Evaluation) -> str:
    """The engines that serve, against the reference."""
    rows = [
        (name, f"{found.largest_difference:.4f}", f"{found.other_priority} of {found.images}")
        for name, found in evaluation.engines.items()
    ]
    heading = ("engine", "largest difference of a probability", "images with another priority")
    return markdown_table(heading, rows)


def prevalences_part(points: Iterable[PointRates]) -> tuple[str, ...]:
    """Predictive values where the finding is so common; nothing where nothing is flagged."""
    rows = [
        (
            f"{rates.point.finding} {rates.point.purpose}",
            f"{at.prevalence:.0%}",
            text_of(at.ppv),
            text_of(at.npv),
        )
        for rates in points
        for at in rates.prevalence
    ]
    if not rows:
        return ()
    return (
        "Predictive values at stated prevalences, from the pooled rates:",
        markdown_table(("point", "prevalence", "PPV", "NPV"), rows),
    )


def strata_part(evaluation: Evaluation) -> str:
    """Groups of patients whose age, sex or view is known."""
    if not evaluation.strata:
        return ""
    rows = [
        (
            stratum.name,
            f"{stratum.finding} vs normal",
            text_of(stratum.auc),
            text_of(stratum.rates.sensitivity if stratum.rates else None),
            text_of(stratum.rates.specificity if stratum.rates else None),
        )
        for stratum in evaluation.strata
    ]
    heading = ("group", "question", "AUC", "sensitivity", "specificity")
    note = "Groups of 20 images or more whose age, sex or view is known."
    return "\n\n".join(["## Groups of patients", note, markdown_table(heading, rows)])


def provenance_part(manifest: Manifest) -> str:
    """Where the weights come from."""
    made = manifest.provenance
    libraries = ", ".join(f"{name} {version}" for name, version in made.libraries.items())
    rows = [
        ("created", manifest.created),
        ("git commit", made.git_commit),
        ("seed", str(made.seed)),
        ("weights", manifest.files["weights.safetensors"].sha256),
        ("configuration", made.config_digest),
        ("split", made.split_digest),
        ("audit", manifest.audit.value),
        ("libraries", libraries),
    ]
    return "## Provenance\n\n" + markdown_table(("what", "value"), rows)


def _section(title: str, *parts: str) -> str:
    return "\n\n".join([f"## {title}", *(part for part in parts if part)])


def _met(bar: Bar) -> str:
    if not bar.is_met:
        return "no"
    return "yes" if bar.is_certain else "yes, but not the whole interval"


def _of(found: OodEvaluation, group: Group) -> list[KindResult]:
    return [kind for kind in found.kinds if kind.group is group]


def _kind(kind: KindResult) -> tuple[str, ...]:
    if kind.alarms is None:
        return (kind.name, kind.origin, f"absent: {kind.absent}", "-", "-", "-")
    return (kind.name, kind.origin, *_alarms(kind.alarms), text_of(kind.auc, 4))


def _alarms(seen: Alarms) -> tuple[str, str, str]:
    return (str(seen.images), text_of(seen.reviewed_share), text_of(seen.refused_share))
