"""Lines of the model card's limits: what was not measured or did not come out, and why."""

from service.core.artifact import AuditVerdict
from training.audit.results import Audit
from training.ood.absence import NoDetector
from training.ood.measure import OodEvaluation

NOT_ASKED = "`cxr-train ood` was not run"


def audit_limits(audit: Audit | None) -> tuple[str, ...]:
    """One for each test of the audit that was not run; what was not run was not passed."""
    tests = audit.tests if audit else ()
    return tuple(
        f"Audit test *{test.name}* was not run: {'; '.join(test.reasons)}."
        for test in tests
        if test.verdict is AuditVerdict.NOT_RUN
    )


def detector_limits(ood: OodEvaluation | None, absent: NoDetector | None) -> tuple[str, ...]:
    """That there is no detector, where there is none."""
    if ood is not None:
        return ()
    reason = absent.reason if absent else NOT_ASKED
    told = (
        f"**No out-of-distribution detector**: {reason}. A picture that is no chest radiograph is "
        "scored like one, unless its tags or an empty picture give it away."
    )
    return (told,)
