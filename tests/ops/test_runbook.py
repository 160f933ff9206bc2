"""The procedures of the runbook, by the very commands that it names."""

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from service.record import load_or_create_key, open_reader
from tests.support.apps import Service, running_service
from tests.support.databases import POSTGRESQL, empty_database
from tests.support.monitoring import missing_programs, receiving, running_alertmanager, wait_for
from tests.support.old_logs import write_old_log
from tests.support.postgresql import missing_server
from tests.support.programs import needs
from tests.support.radiographs import png_bytes
from tests.support.record_log import write_rows
from tests.support.runbook import HEAD, RECIPIENT, Site, commands_of, run_block

WAY_BACK = 'gpg --decrypt "$backup.tar.gpg" | cxr-triage shadow restore -'


@pytest.fixture
def site(whole_site: Site) -> Site:
    return whole_site


def test_every_procedure_has_commands_that_a_test_runs() -> None:
    here = Path(__file__).read_text("utf-8")
    procedures = (Path(__file__).parents[2] / "docs/runbook.md").read_text("utf-8")

    headings = re.findall(r"^## (.+)$", procedures.partition("\n# Procedures\n")[2], re.M)

    assert len(headings) >= 6
    for heading in headings:
        for block in range(len(commands_of(heading))):
            asked = f'"{heading}"' if block == 0 else f'"{heading}", {block}'
            assert f"run({asked})" in here


def test_site_is_backed_up_and_restored(site: Site) -> None:
    told = site.run("Back up the site")
    site.choose_backup()
    site.move_away()

    restored = site.run("Restore the site")

    assert len(told) == 2
    assert restored == told


@needs(None if shutil.which("gpg") else "gpg")
def test_encrypted_backup_comes_back(site: Site, keyring: Path) -> None:
    site.variables |= {"GNUPGHOME": str(keyring), "BACKUP_RECIPIENT": RECIPIENT}
    told = site.run("Back up the site", 1)
    archive = site.choose_backup()
    site.move_away()

    done = run_block(WAY_BACK, site.variables, site.folder)

    assert done.returncode == 0, done.stderr
    assert HEAD.findall(done.stderr) == told
    assert b"PGP" not in archive.read_bytes()[:100]


@needs(None if shutil.which("gpg") else "gpg")
def test_encrypted_backup_that_is_refused_leaves_the_last_good_one(
    site: Site, keyring: Path
) -> None:
    site.variables |= {"GNUPGHOME": str(keyring), "BACKUP_RECIPIENT": RECIPIENT}
    told = site.run("Back up the site", 1)
    site.log.with_name("site.key").unlink()

    refused = run_block(commands_of("Back up the site")[1], site.variables, site.folder)

    site.choose_backup()
    site.move_away()
    done = run_block(WAY_BACK, site.variables, site.folder)
    assert "BACKUP_REFUSED" in refused.stderr
    assert refused.returncode != 0
    assert HEAD.findall(done.stderr) == told, done.stderr


@pytest.fixture
def running(tiny_store: Path, site: Site) -> Iterator[Service]:
    with running_service(tiny_store, site.log.parent) as service:
        site.variables |= {
            "SERVICE_PID": str(service.process.pid),
            "SERVICE_URL": service.url,
        }
        # Its parent is this test, so this test must take note of its end.
        threading.Thread(target=service.process.wait, daemon=True).start()
        yield service


def test_service_is_stopped_and_nothing_that_was_answered_is_lost(
    running: Service, site: Site
) -> None:
    answer = httpx.post(f"{running.url}/predict", content=png_bytes(), timeout=60)

    heads = site.run("Stop for maintenance")

    reader = open_reader(site.variables["CXR_RECORD__URL"])
    rows = reader.rows(limit=1_000_000)
    reader.close()
    assert running.process.wait(timeout=60) == 0
    assert rows[-1].entry.id == answer.json()["id"]
    assert heads[0].startswith(f"{len(rows)} rows hold")


def test_room_on_the_disk_is_told_and_what_takes_it(running: Service, site: Site) -> None:
    site.variables |= {"DATA": str(site.log.parent), "METRICS_KEY": "access is off here"}

    site.run("Make room on a disk")

    assert 'cxr_filesystem_avail_bytes{folder="record"}' in site.told
    assert str(site.log.parent) in site.told


@needs(", ".join(missing_programs()) or None)
def test_trial_of_the_notifications_arrives(site: Site) -> None:
    with receiving() as receiver, running_alertmanager(site.folder, receiver.url) as address:
        site.variables["ALERTMANAGER_URL"] = f"http://{address}"

        site.run("Try the notifications")

        alert = wait_for(lambda: receiver.alert("CxrTrial"), "the trial")
    assert alert["labels"]["severity"] == "critical"


def test_backup_before_an_upgrade_is_taken_while_the_service_runs(
    running: Service, site: Site
) -> None:
    httpx.post(f"{running.url}/predict", content=png_bytes(), timeout=60).raise_for_status()

    told = site.run("Upgrade to another release")
    site.choose_backup()
    rehearsed = site.run("Upgrade to another release", 1)

    assert running.process.wait(timeout=60) == 0
    assert rehearsed == told


def test_log_of_the_release_before_is_upgraded_in_place(tiny_store: Path, tmp_path: Path) -> None:
    before = write_old_log(tmp_path / "shadow.db", "0001")["shadow_log"]
    load_or_create_key(tmp_path / "site.key")

    with running_service(tiny_store, tmp_path) as service:
        httpx.post(f"{service.url}/predict", content=png_bytes(), timeout=60).raise_for_status()

    reader = open_reader(f"sqlite:///{tmp_path}/shadow.db")
    report = reader.verify(before)
    reader.close()
    assert (report.head.sequence, report.is_whole) == (before.sequence + 1, True)


@pytest.mark.slow
@needs(missing_server())
async def test_site_on_postgresql_is_backed_up_and_restored(tmp_path: Path) -> None:
    before, after = empty_database(POSTGRESQL, tmp_path), empty_database(POSTGRESQL, tmp_path)
    with before as old, after as new:
        site = Site(tmp_path, **_server(old))
        load_or_create_key(site.log.with_name("site.key"))
        await write_rows(old, 30)

        told = site.run("Back up the site on PostgreSQL")
        await write_rows(old, 5)
        site.move_away()
        site.choose_backup()
        site.variables |= _server(new)
        restored = site.run("Restore the site on PostgreSQL")

        reader = open_reader(new)
        head = reader.head()
        reader.close()
    assert restored == told
    assert (head.sequence, told[0].startswith("30 rows hold")) == (30, True)
    assert site.log.with_name("site.key").exists()


@pytest.mark.slow
@needs(missing_server())
async def test_upgrade_on_postgresql_is_rehearsed_beside_the_log(tmp_path: Path) -> None:
    site_log, second = (empty_database(POSTGRESQL, tmp_path) for _ in range(2))
    with site_log as url, second as beside:
        site = Site(tmp_path, **_server(url))
        load_or_create_key(site.log.with_name("site.key"))
        await write_rows(url, 10)
        told = site.run("Back up the site on PostgreSQL")
        site.choose_backup()
        site.variables |= {
            "REHEARSAL_DATABASE_URL": _server(beside)["DATABASE_URL"],
            "REHEARSAL_RECORD_URL": beside,
        }

        rehearsed = site.run("Upgrade to another release", 2)

    assert rehearsed == told
    assert (tmp_path / "rehearsal/site.key").exists()


def _server(url: str) -> dict[str, str]:
    """Where the log is, as the service and as PostgreSQL's own programs are told it."""
    address = make_url(url)
    return {
        "CXR_RECORD__URL": url,
        "DATABASE_URL": f"postgresql://{address.username}@{address.host}:{address.port}/"
        f"{address.database}",
        "PGPASSWORD": address.password or "",
    }
