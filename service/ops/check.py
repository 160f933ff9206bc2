"""One check after the other; each passes, fails with its reason, or says why it was not made."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from service.core.errors import CxrError


class Verdict(StrEnum):
    """How a check ended."""

    PASS = "pass"
    WARN = "warn"
    """Works, and somebody should look."""
    FAIL = "fail"
    NOT_CHECKED = "not_checked"
    """Does not apply here, or lacks what it needs; never counted as passed."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a check says."""

    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the list."""

    name: str
    verdict: Verdict
    detail: str
    seconds: float


Check = Callable[[], Told]


def passed(detail: str) -> Told:
    """It is as it must be."""
    return Told(Verdict.PASS, detail)


def failed(detail: str) -> Told:
    """It is not."""
    return Told(Verdict.FAIL, detail)


def fail_for(faults: Iterable[str], otherwise: str) -> Told:
    """Fail with every fault at once, or pass."""
    found = "; ".join(faults)
    return failed(found) if found else passed(otherwise)


def not_checked(reason: str) -> Told:
    """It was not looked at."""
    return Told(Verdict.NOT_CHECKED, reason)


def run_checks(checks: Iterable[tuple[str, Check]]) -> Iterator[Result]:
    """Run each check whatever became of the others; what it raises is its failure."""
    for name, check in checks:
        started = time.perf_counter()
        told = _run(check)
        yield Result(name, told.verdict, told.detail, round(time.perf_counter() - started, 3))


def is_accepted(results: Iterable[Result]) -> bool:
    """Whether no check failed."""
    return all(result.verdict is not Verdict.FAIL for result in results)


def _run(check: Check) -> Told:
    try:
        return check()
    except CxrError as error:
        return failed(f"{error.code}: {error}")
    except Exception as error:  # noqa: BLE001 - task boundary: the next check must still be made
        return failed(f"{type(error).__name__}: {error}")
