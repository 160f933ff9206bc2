"""The procedures under Compose, by the very commands of the page, without Docker."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.docker_words import block_with, write_docker, write_program
from tests.support.programs import needs
from tests.support.runbook import HEAD, RECIPIENT, Site, run_block

needs_gpg = needs(None if shutil.which("gpg") else "gpg")
BACKUP, DUMP, RESTORE = "shadow backup -", "pg_dump --username=cxr", "restore --keep-api-keys -"
WHOLE, HALF = "#!/bin/sh\necho whole\n", "#!/bin/sh\necho half\nexit 1\n"
"""A `pg_dump` that does its work, and one that dies amid it."""


@pytest.fixture
def site(whole_site: Site) -> Site:
    write_docker(whole_site.folder)
    return whole_site


@pytest.fixture
def encrypting(site: Site, keyring: Path) -> Site:
    site.variables |= {"GNUPGHOME": str(keyring), "BACKUP_RECIPIENT": RECIPIENT}
    return site


def paste(site: Site, block: str) -> subprocess.CompletedProcess[str]:
    """Run a block of the page."""
    return run_block(block, site.variables, site.folder)


@needs_gpg
def test_refused_backup_leaves_the_last_good_one_which_restores(encrypting: Site) -> None:
    site = encrypting
    made = paste(site, block_with(BACKUP))
    site.log.with_name("site.key").unlink()

    refused = paste(site, block_with(BACKUP))

    site.choose_backup()
    site.move_away()
    way_back = [line for line in block_with(RESTORE).splitlines() if RESTORE in line]
    restored = paste(site, "\n".join(way_back))
    assert (made.returncode, "BACKUP_REFUSED" in refused.stderr) == (0, True)
    assert refused.returncode != 0
    assert HEAD.findall(restored.stderr) == HEAD.findall(made.stderr) != []


def test_dump_that_dies_leaves_the_last_good_one(site: Site) -> None:
    site.variables["backup"] = f"{site.folder}/backups/site-20260301T020000Z"
    write_program(site.folder, "pg_dump", WHOLE)
    made = paste(site, block_with(DUMP))
    write_program(site.folder, "pg_dump", HALF)

    died = paste(site, block_with(DUMP))

    (dump,) = (site.folder / "backups").glob("*.dump")
    assert (made.returncode, died.returncode) == (0, 1)
    assert dump.read_text() == "whole\n"
