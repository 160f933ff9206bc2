"""What the pages have a site write into its clone is never added to the repository."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from service.access.options import AccessSettings
from service.settings import RecordSettings
from tests.support.compose import ROOT

PAGES = (ROOT / "README.md", ROOT / "Dockerfile", *sorted((ROOT / "docs").glob("*.md")))
WRITTEN = re.compile(
    r"""(?<![\w-])--?(?:out|key|key-file|password-file|ca-file|log-file)[ ](?P<option>[a-z][\w./-]*)
    | "\$PWD/(?P<folder>[\w./-]+):
    | (?:"|[ ])\./(?P<mount>[\w./-]+):/
    | docker[ ]compose[ ]cp\s\S+/(?P<copied>[\w.-]+)[ ][.]$
    | docker[ ]compose[ ]cp\s\S+:\S+[ ](?P<renamed>[\w-][/\w.-]*)
    | src=(?P<secret>[\w.-]+)
    | (?:shadow[ ]backup|gzip[ ]>|sort[ ]-u\)[ ]>)[ ](?P<archive>[\w.-]+[.]tar[\w.]*)
    | (?:[<>]|import-reports)[ ](?P<table>[a-z][\w-]*[.]csv[\w.]*)
    | `(?P<override>docker-compose\.override\.yml)`
    """,
    re.VERBOSE | re.MULTILINE,
)
"""Relative places: an argument, a mounted folder, a copy out of a container, an archive."""


def named_by(page: Path) -> set[str]:
    """Each place of a page, as git would see it from the root of the clone."""
    found = {m[m.lastgroup or 0].rstrip(".") for m in WRITTEN.finditer(page.read_text("utf-8"))}
    return {place for place in found if place and not (ROOT / place).is_file()}


def git(*words: str) -> str:
    """What git answers here."""
    done = subprocess.run(["git", *words], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout


def not_ignored(places: Iterable[str]) -> list[str]:
    """A folder is asked about by a file in it: a pattern may be for a folder alone."""
    return [
        place
        for place in sorted(places)
        if not git("check-ignore", place) and not git("check-ignore", f"{place}/x")
    ]


def test_what_the_pages_have_a_site_write_is_ignored() -> None:
    named = {place for page in PAGES for place in named_by(page)}

    assert named >= {
        "secrets/prometheus.key", "secrets/oidc", "out", "root.crt", "ca.pem", "key", "password",
        "docker-compose.override.yml", "release.pem", "service.log", "pip.conf", "site.tar",
        "cxr-triage-images.tar.gz", "reports.csv",
    }  # fmt: skip
    assert not_ignored(named) == []


def test_secrets_that_the_service_itself_makes_are_ignored() -> None:
    made = (RecordSettings().site_key_file, AccessSettings().keys_file)

    assert not_ignored(map(str, made)) == []


def test_nothing_of_the_repository_is_ignored() -> None:
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard") == ""
    assert git("ls-files") != ""
