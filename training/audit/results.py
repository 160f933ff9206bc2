"""What an audit writes: audit.json. A test is a question, a criterion, numbers and a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.core.artifact import AuditVerdict, MetricInterval
from training.measures.results import Counts

AUDIT = "audit.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """One number with its 95 % interval: where it was measured, and what it is."""

    where: str
    what: str
    value: MetricInterval
    images: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a test asks, and when it warns or fails: fixed in the code before any number is seen."""

    name: str
    asks: str
    criterion: str


@dataclass(frozen=True, slots=True)
class AuditTest:
    """One of the seven tests.

    Attributes
    ----------
    reasons
        What kept it from passing; empty where it passed.
    """

    name: str
    asks: str
    criterion: str
    verdict: AuditVerdict
    reasons: tuple[str, ...]
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class LungQuality:
    """How good the lung finder is, where no radiograph comes with an outline.

    Attributes
    ----------
    plausible
        Share of the images of each source in which lungs were found; the others take no part in
        the tests that need lungs.
    doubts
        What spoke against the others; an image may have several.
    agreement
        Overlap (Dice) of the lungs of an altered picture with those of the picture as it was.
    phantoms
        Overlap (Dice) with the known lungs of drawn chests.
    """

    plausible: dict[str, MetricInterval]
    doubts: dict[str, int]
    agreement: dict[str, MetricInterval]
    phantoms: MetricInterval


@dataclass(frozen=True, slots=True)
class Audit:
    """The seven tests, bound to the weights, the configuration and the split they are about."""

    weights_digest: str
    config_digest: str
    split_digest: str
    tuning_digest: str
    splits: tuple[str, ...]
    images: Counts
    draws: int
    seed: int
    lungs: LungQuality
    tests: tuple[AuditTest, ...]
    verdict: AuditVerdict
    notes: tuple[str, ...]


class Trial:
    """One test while it is measured: numbers and objections come in, a verdict goes out."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._measured: list[Measured] = []
        self._failures: list[str] = []
        self._warnings: list[str] = []

    def note(self, where: str, what: str, value: MetricInterval, images: int) -> None:
        """Keep a number."""
        self._measured.append(Measured(where, what, value, images))

    def object(self, text: str, *, fails: bool, warns: bool) -> None:
        """Keep an objection, at the graver of what holds; nothing where neither does, or twice."""
        if text in self._failures or (text in self._warnings and not fails):
            return
        if fails:
            self._failures.append(text)
        elif warns:
            self._warnings.append(text)

    def conclude(self) -> AuditTest:
        """The verdict that the objections make, the grave ones first."""
        if not self._measured:
            return self.skip("nothing could be measured: no source holds enough of both sides")
        verdict = AuditVerdict.FAIL if self._failures else AuditVerdict.WARN
        reasons = (*self._failures, *self._warnings)
        return self._test(verdict if reasons else AuditVerdict.PASS, reasons)

    def skip(self, reason: str) -> AuditTest:
        """A test that was not run, and why."""
        return self._test(AuditVerdict.NOT_RUN, (reason,))

    def _test(self, verdict: AuditVerdict, reasons: tuple[str, ...]) -> AuditTest:
        terms = self._terms
        return AuditTest(
            terms.name, terms.asks, terms.criterion, verdict, reasons, tuple(self._measured)
        )


def overall(tests: Iterable[AuditTest]) -> AuditVerdict:
    """The worst verdict; what was not run was not passed either."""
    found = {test.verdict for test in tests}
    if AuditVerdict.FAIL in found:
        return AuditVerdict.FAIL
    return AuditVerdict.PASS if found == {AuditVerdict.PASS} else AuditVerdict.WARN
