"""The pages of a security team say what is there: tests, settings, commands, checks."""

import ast
import re
from pathlib import Path

from service.core.artifact import load_current
from service.core.store import FIT_VERDICTS
from service.environment import describe_settings
from service.ops import selfcheck

ROOT = Path(__file__).parents[2]
PAGES = ("hazards.md", "security.md", "runbook.md")
TEST = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)?)`")


def read(page: str) -> str:
    """One page."""
    return (ROOT / "docs" / page).read_text("utf-8")


def test_every_hazard_has_a_control_and_a_test() -> None:
    rows = re.findall(r"^\| H\d+ .*$", read("hazards.md"), re.M)

    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]

    assert [row[0].split()[0] for row in cells] == [f"H{n}" for n in range(1, len(rows) + 1)]
    assert all(len(row) == 5 and all(row) and TEST.search(row[4]) for row in cells)


def test_an_exception_from_the_audit_is_said_wherever_it_serves() -> None:
    served = load_current(ROOT / "model_store")
    (hazard,) = re.findall(r"^\| H2 .*$", read("hazards.md"), re.M)
    verdict = served.manifest.audit
    is_sound = verdict in FIT_VERDICTS
    card = served.files["MODEL_CARD.md"].decode()

    assert (f"{served.reference}, which is shipped as `CURRENT`" in hazard) != is_sound
    assert (f"Released although the audit reads *{verdict}*: " in card) != is_sound
    assert ("audit of this version fails" in (ROOT / "README.md").read_text("utf-8")) != is_sound
    for started in ("Dockerfile", "docker-compose.yml", "deploy/k8s/base/configmap.yaml"):
        assert re.search(
            r"CXR_MODE(=|: )(shadow\b|\$\{CXR_MODE:-shadow\})", (ROOT / started).read_text("utf-8")
        )


def collected_from(path: Path) -> set[str]:
    """Names that pytest collects from a file: functions `test_*` at the top of a `test_*.py`."""
    if not path.is_file() or not path.name.startswith("test_"):
        return set()
    body = ast.parse(path.read_text("utf-8")).body
    functions = [n for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {function.name for function in functions if function.name.startswith("test_")}


def test_every_named_test_is_one_that_pytest_collects() -> None:
    named = sorted({name for page in PAGES for name in TEST.findall(read(page))})

    missing = [
        name
        for name in named
        for file, _, function in [name.partition("::")]
        if not (found := collected_from(ROOT / file)) or (function and function not in found)
    ]

    assert missing == []
    assert len(named) > 25
    assert collected_from(ROOT / "tests/support/models.py") == set()


def test_every_file_that_is_named_exists() -> None:
    named = {
        path for page in PAGES for path in re.findall(r"\]\((\w[\w.]*\.md)", read(page))
    }  # fmt: skip

    assert [name for name in sorted(named) if not (ROOT / "docs" / name).exists()] == []
    assert named


def test_every_setting_that_is_named_exists() -> None:
    known = {name for name, _ in describe_settings()}
    named = {name for page in PAGES for name in re.findall(r"CXR_[A-Z]+__[A-Z_]+", read(page))}

    assert named - known == set()
    assert len(named) > 5


def test_page_has_every_check_that_is_made() -> None:
    source = Path(selfcheck.__file__).read_text("utf-8")
    made = re.findall(r'^ +\(?"([a-zA-Z ]+)",', source, re.M)
    page = read("security.md").partition("## Site acceptance")[2].partition("\n## ")[0]

    told = " ".join(re.findall(r"^\| ([^|]+) \|", page, re.M))

    assert len(made) == 17
    for name in made:
        assert name.rpartition(" ")[2] in told, name
