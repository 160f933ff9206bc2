"""The closed sets of codes are whole: nothing in the code raises one that they lack."""

import ast
from collections.abc import Iterator
from pathlib import Path

from service import codes
from service.api.problems import STATUS
from service.core import errors
from service.core.errors import ArtifactError, CxrError, IntakeError
from service.core.radiograph import View

CORE = Path(errors.__file__).parent

COMMAND_LINE = {
    "ACCESS_OPEN_TO_OTHERS", "ACCESS_SECRET_UNREADABLE", "BACKUP_DAMAGED", "BACKUP_REFUSED",
    "DRILL_FAILED", "ENGINE_UNAVAILABLE", "KEYS_FULL", "KEY_UNKNOWN", "LOG_NOT_EMPTY",
    "OUT_UNWRITABLE", "PACS_MISCONFIGURED", "PARQUET_MISSING", "PORT_UNAVAILABLE",
    "REPORTS_UNREADABLE", "RESTORE_REFUSED", "RETENTION_TOO_SHORT", "SITE_KEY_DIFFERS",
    "SITE_KEY_INVALID", "SITE_KEY_MISSING", "START_FAILED", "TRACING_DISABLED",
    "TRACING_MISSING",
}  # fmt: skip
"""Raised where there is no request to answer."""

PAGES = {"VERDICT_STANDS"}
"""Told in words by a page, which answers with it alone."""


def codes_given_to(name: str) -> set[str]:
    """Constant first arguments of every call of `name` in the kernel."""
    return {code for path in CORE.glob("*.py") for code in _codes_in(path, name)}


def _codes_in(path: Path, name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield str(first.value)


def leaves(error: type[CxrError]) -> set[type[CxrError]]:
    """Subclasses without subclasses."""
    children = error.__subclasses__()
    return {error} if not children else {leaf for child in children for leaf in leaves(child)}


def test_every_reason_is_counted_by_name() -> None:
    views = {f"VIEW_{view}" for view in View}

    assert codes_given_to("NotEvaluated") | views <= set(codes.REASONS)
    assert len(codes_given_to("NotEvaluated")) >= 5


def test_every_warning_is_counted_by_name() -> None:
    assert codes_given_to("Caution") <= set(codes.WARNINGS)
    assert len(codes_given_to("Caution")) >= 8


def test_every_error_of_a_request_has_a_status() -> None:
    raised = {error.code for error in leaves(CxrError) if not issubclass(error, ArtifactError)}
    in_core = {error.code for error in leaves(IntakeError)}

    assert in_core <= set(STATUS)
    assert raised - set(STATUS) <= COMMAND_LINE | PAGES
    assert set(STATUS) == set(codes.PROBLEMS)
