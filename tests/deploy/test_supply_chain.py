"""What is shipped is known: listed, licensed, and looked up; silence is never a pass."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from deploy.supply_chain import audit, debian
from deploy.supply_chain.exceptions import Exceptions, LicenceException, read_exceptions
from deploy.supply_chain.licences import is_permissive, licence_of
from deploy.supply_chain.soup import (
    PAGE,
    Library,
    SoupUnknown,
    libraries,
    licence_faults,
    locked,
    render,
)

TODAY = date(2026, 6, 1)
FLAW = {
    "id": "GHSA-test-test-test",
    "summary": "a weakness",
    "affected": [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]},
            ],
        },
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of the environment that the tests run in, which holds all that is shipped."""
    path = tmp_path_factory.mktemp("sbom") / "sbom.json"
    subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", "environment", "--no-validate", "-o", path,
         sys.executable],
        check=True, capture_output=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def test_page_of_libraries_is_up_to_date(sbom: dict[str, Any]) -> None:
    expected = render(libraries(sbom, locked()), read_exceptions())

    assert PAGE.read_text("utf-8") == expected, "run `make soup`"


def test_every_licence_that_is_shipped_is_permissive_or_excepted(sbom: dict[str, Any]) -> None:
    found = libraries(sbom, locked())

    assert [*licence_faults(found, read_exceptions().licence)] == []
    assert len(found) > 40


def test_every_exception_is_needed_and_none_has_expired() -> None:
    exceptions = read_exceptions()

    assert [*exceptions.faults(datetime.now(UTC).date())] == []
    assert {e.package for e in exceptions.licence} <= set(locked())


@pytest.mark.parametrize(
    ("days", "faults"), [(0, 0), (30, 0), (-1, 1), (401, 1)], ids=["today", "ok", "over", "long"]
)
def test_exception_ends_on_its_day(days: int, faults: int) -> None:
    excepted = LicenceException(
        package="a", licence="GPL-3.0-only", reason="looked at with great care",
        until=TODAY + timedelta(days=days),
    )  # fmt: skip

    assert len([*Exceptions(licence=(excepted,)).faults(TODAY)]) == faults


def test_exception_needs_a_reason_and_a_day(tmp_path: Path) -> None:
    path = tmp_path / "exceptions.toml"
    path.write_text('[[advisory]]\npackage = "a"\nid = "CVE-2026-1"\nreason = "because"\n')

    with pytest.raises(ValidationError, match="until"):
        read_exceptions(path)


@pytest.mark.parametrize(
    ("expression", "permissive"),
    [
        ("MIT", True), ("BSD", True), ("Apache-2.0 AND BSD-2-Clause", True),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True), ("BSD AND MIT", True),
        ("MIT OR GPL-3.0-only", True), ("MIT AND GPL-3.0-only", False), ("MPL-2.0", False),
        ("LGPL-3.0-only", False), ("", False),
    ],
)  # fmt: skip
def test_permissive_licences_are_told_from_others(expression: str, permissive: bool) -> None:
    assert is_permissive(expression) is permissive


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"license": {"id": "MIT"}}], "MIT"),
        ([{"expression": "MIT OR Apache-2.0"}], "MIT OR Apache-2.0"),
        ([{"license": {"name": "License :: OSI Approved :: BSD License"}}], "BSD"),
        (
            [{"license": {"id": "MIT"}}, {"license": {"name": "x :: Apache Software License"}}],
            "MIT",
        ),
        ([], ""),
    ],
)
def test_licence_is_read_from_an_sbom(entries: list[dict[str, Any]], expected: str) -> None:
    assert licence_of(entries) == expected


def test_copyleft_without_an_exception_is_a_fault() -> None:
    library = Library("a", "1", "GPL-3.0-only", "", "")
    other = LicenceException(
        package="a", licence="MPL-2.0", reason="another licence than this one", until=TODAY
    )

    assert [*licence_faults([library], [other])] == ["a: GPL-3.0-only"]


def test_library_without_a_reason_is_refused() -> None:
    sbom = {"components": [{"name": "left-pad", "version": "1.0", "bom-ref": "x"}]}

    with pytest.raises(SoupUnknown, match="left-pad has no purpose"):
        libraries(sbom, {"left-pad": "1.0"})
    with pytest.raises(SoupUnknown, match=r"the lock says 2\.0, the SBOM 1\.0"):
        libraries(sbom, {"left-pad": "2.0"})


# ---------------------------------------------------------------- Debian


def test_debian_packages_of_a_root_are_listed_with_their_licences(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: libzip9\nStatus: install ok installed\nVersion: 1.2-3\nArchitecture: amd64\n"
        "Source: zip (1.2)\nMaintainer: x\nDescription: x\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n"
        "Maintainer: x\nDescription: x\n"
    )
    folder = tmp_path / "usr/share/doc/libzip9"
    folder.mkdir(parents=True)
    (folder / "copyright").write_text("Format: x\n\nFiles: *\nLicense: BSD-3-Clause\n text\n")

    done = CliRunner().invoke(debian.app, [str(tmp_path / "sbom.json"), "--root", str(tmp_path)])

    (component,) = json.loads((tmp_path / "sbom.json").read_text())["components"]
    assert done.exit_code == 0, done.output
    assert component["purl"].startswith("pkg:deb/debian/libzip9@1.2-3?arch=amd64&upstream=zip")
    assert component["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]


def test_root_without_packages_is_no_empty_sbom(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").touch()

    done = CliRunner().invoke(debian.app, [str(tmp_path / "out.json"), "--root", str(tmp_path)])

    assert (done.exit_code, (tmp_path / "out.json").exists()) == (1, False)


# ---------------------------------------------------------------- advisories


@contextmanager
def advisory_service(answer: Callable[[str], dict[str, Any] | None]) -> Iterator[str]:
    """An OSV service on the loopback address; None is a failure of the service."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told = answer(asked["package"]["name"])
            body = json.dumps(told).encode()
            self.send_response(200 if told is not None else 500)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    path.write_text("idna==3.20\nh11==0.16.0 \\\n    --hash=sha256:00\n")
    return path


def run_audit(lock: Path, url: str, exceptions: str = "") -> tuple[int, str]:
    """Exit status and all that was said."""
    path = lock.with_name("exceptions.toml")
    path.write_text(exceptions)
    done = CliRunner().invoke(
        audit.app, [str(lock), "--service-url", url, "--exceptions-file", str(path)]
    )
    return done.exit_code, done.output


def flawed(name: str) -> dict[str, Any]:
    """The answer of a service that knows a weakness of one library."""
    return {"vulns": [FLAW]} if name == "idna" else {}


def test_library_with_an_advisory_is_named(lock: Path) -> None:
    with advisory_service(flawed) as url:
        code, told = run_audit(lock, url)

    assert (code, "idna 3.20: GHSA-test-test-test, fixed in 99.0" in told) == (1, True)


def test_libraries_without_an_advisory_pass(lock: Path) -> None:
    with advisory_service(lambda _: {}) as url:
        code, told = run_audit(lock, url)

    assert (code, "2 libraries looked up" in told) == (0, True)


@pytest.mark.parametrize(("day", "expected"), [("2099-01-01", 1), ("2020-01-01", 1)])
def test_exception_that_is_over_or_too_long_is_no_excuse(
    lock: Path, day: str, expected: int
) -> None:
    code, told = run_audit_with_exception(lock, day)

    assert (code, "the exception for idna" in told) == (expected, True)


def test_advisory_with_an_exception_passes_until_its_day(lock: Path) -> None:
    code, told = run_audit_with_exception(lock, str(datetime.now(UTC).date() + timedelta(days=30)))

    assert code == 0, told


def run_audit_with_exception(lock: Path, day: str) -> tuple[int, str]:
    """Of an advisory that is known and excepted until a day."""
    exceptions = (
        f'[[advisory]]\npackage = "idna"\nid = "{FLAW["id"]}"\nuntil = {day}\n'
        'reason = "the service never encodes a name"\n'
    )
    with advisory_service(flawed) as url:
        return run_audit(lock, url, exceptions)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", None], ids=["unreachable", "failing"])
def test_without_the_database_nothing_passes(lock: Path, url: str | None) -> None:
    with advisory_service(lambda _: None) as failing:
        code, told = run_audit(lock, url or failing)

    assert (code, "NOT AUDITED: the advisory database cannot be had" in told) == (3, True)


def test_a_library_that_was_not_looked_up_is_no_pass(lock: Path) -> None:
    told: list[dict[str, Any]] = [{"name": "idna", "version": "3.20", "vulns": []},
            {"name": "h11", "skip_reason": "not found"}]  # fmt: skip

    with pytest.raises(audit.NoDatabase, match="no answer for 1 of 2, for example h11"):
        audit.advisories_in(told, locked(lock))
