"""The upgrade under Compose, as docs/deployment.md tells it: the new image runs, and shows it."""

import re

from tests.support.compose import ROOT

PAGE = (ROOT / "docs/deployment.md").read_text("utf-8")
COMMAND = re.compile(r"docker compose ([^`\n]+)")


def section(heading: str) -> str:
    """What stands under a heading, up to the next."""
    (text,) = re.findall(rf"^## {heading}\n(.+?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def place(command: str) -> int:
    """Which of the commands of the upgrade it is; at least one begins so."""
    commands = COMMAND.findall(section("Upgrade"))
    return next(n for n, said in enumerate(commands) if said.startswith(command))


def test_image_is_made_and_looked_at_before_anything_is_stopped() -> None:
    """`up` builds only an image that is missing: the former one may have the tag."""
    exchanged = place("up -d --wait --force-recreate")

    assert place("build") < place("up settings") < exchanged
    assert "docker load" in section("Upgrade")
    assert "RELEASE_DIFFERS" in section("Upgrade")


def test_what_runs_is_asked_after_it_was_exchanged() -> None:
    exchanged = place("up -d --no-deps --force-recreate")

    for question in ("--version", "model list", "shadow verify"):
        assert place(f"exec cxr-triage cxr-triage {question}") > exchanged


def test_proxy_stays_while_the_service_is_exchanged() -> None:
    """It holds callers meanwhile, which it cannot where both are made anew at once."""
    (service, others) = re.findall(r"^docker compose up -d (.+)$", section("Upgrade"), re.MULTILINE)

    assert service == "--wait --force-recreate cxr-triage"
    assert others.startswith("--no-deps --force-recreate proxy ")
    assert "cxr-triage" not in others


def test_no_page_makes_everything_anew_at_once() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]

    everything = re.compile(r"--force-recreate *[`#\n]")
    alone = [page.name for page in pages if everything.search(page.read_text("utf-8"))]

    assert alone == []


def test_what_containers_mount_is_checked_out_for_everybody_to_read() -> None:
    """They run under users of their own, and a strict umask would keep them from starting."""
    written = re.findall(r"^.*git (?:clone|checkout).*$", PAGE, re.MULTILINE)

    assert len(written) == 2
    assert [line for line in written if "(umask 022 && git" not in line] == []


def test_tag_that_a_site_names_is_a_step_of_its_own() -> None:
    (step,) = re.findall(r"^2\. (.+?)^3\. ", section("Upgrade"), re.MULTILINE | re.DOTALL)

    assert "CXR_TRIAGE_VERSION" in step
