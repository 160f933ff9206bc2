"""Every `docker compose` command of the pages: its container is there and can do what is asked."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

from service.cli import app
from tests.support.compose import PROFILES, ROOT, Rendered, render

PAGES = (ROOT / "README.md", ROOT / "docker-compose.yml", *sorted((ROOT / "docs").glob("*.md")))
INLINE = re.compile(r"`(docker compose [^`]+)`")
LINE = re.compile(r"(docker compose [^`|<>]+)")
WITH_VALUE = {"-e", "--env", "--profile", "--env-file", "-v", "--volume", "--user"}
OF_SERVICES = {"exec", "run", "stop", "start", "restart", "rm", "up", "logs", "cp"}
ONE_SHOT = {"init", "keys", "settings"}


@dataclass(frozen=True)
class Command:
    """`docker compose <verb>`, and the words after it that are no options of Compose."""

    verb: str
    words: tuple[str, ...]

    @property
    def services(self) -> tuple[str, ...]:
        """Those it names."""
        if self.verb == "cp":
            return tuple(word.partition(":")[0] for word in self.words if ":" in word)
        return self.words[:1] if self.verb in ("exec", "run") else self.words


def parse(text: str) -> Command:
    """Options of Compose are left out; what comes after a service is its own."""
    words, plain = shlex.split(text, comments=True)[2:], list[str]()
    while words:
        word = words.pop(0)
        if word.startswith("-") and len(word) > 1:
            del words[: word in WITH_VALUE]
            continue
        plain.append(word)
        if plain[0] in ("exec", "run") and len(plain) > 1:
            return Command(plain[0], (plain[1], *words))
    return Command(plain[0] if plain else "", tuple(plain[1:]))


def commands_in(page: Path) -> Iterator[Command]:
    """In the text between back quotes, and in blocks, one a line."""
    text = page.read_text("utf-8")
    text = re.sub(r"^```.*?^```$", lambda block: block[0].replace("`", ""), text, flags=re.M | re.S)
    for found in INLINE.findall(text):
        yield parse(" ".join(found.split()))
    for line in INLINE.sub("", text).splitlines():
        yield from (parse(found.rstrip(" .;),")) for found in LINE.findall(line))


def is_command(words: tuple[str, ...]) -> bool:
    """Whether the words begin with a command of ours, all the way down its groups."""
    program = typer.main.get_command(app)
    if len(words) == 1 and words[0].startswith("-"):
        return any(words[0] in option.opts for option in program.params)
    here: object = program
    for word in words:
        below = getattr(here, "commands", None)
        if below is None:
            break
        here = below.get(word)
    return here is not None and not hasattr(here, "commands")


COMMANDS = [(page.name, command) for page in PAGES for command in commands_in(page)]
INSIDE = [(page, c) for page, c in COMMANDS if c.verb in ("exec", "run")]


@pytest.fixture(scope="module")
def containers() -> Rendered:
    """All profiles at once."""
    everything: Rendered = render(*PROFILES)["services"]
    return everything


def is_ours(containers: Rendered, service: str) -> bool:
    """Whether its image has our program, and no other."""
    return str(containers[service]["image"]).startswith("cxr-triage:")


def test_commands_are_found_in_blocks_and_in_the_text() -> None:
    pages = {page for page, _ in COMMANDS}

    assert pages >= {"README.md", "deployment.md", "runbook.md"}
    assert parse("docker compose exec -T a b --c -") == Command("exec", ("a", "b", "--c", "-"))
    assert parse("docker compose run --rm -e A=B a b").services == ("a",)
    assert len(INSIDE) > 10
    assert is_command(("shadow", "restore", "-"))
    assert is_command(("--version",))
    assert not is_command(("--versions",))
    assert not is_command(("shadow", "mend"))
    assert not is_command(("shadow",))


def test_each_service_is_one_of_the_file(containers: Rendered) -> None:
    named = [(page, s) for page, c in COMMANDS if c.verb in OF_SERVICES for s in c.services]

    assert [(page, s) for page, s in named if s not in containers and s != "..."] == []


def test_what_is_executed_inside_runs_there(containers: Rendered) -> None:
    """`exec` needs a container that stays, and our image has no program but ours."""
    executed = [(page, c.words) for page, c in INSIDE if c.verb == "exec" and "sh" not in c.words]

    assert [(page, w) for page, w in executed if w[0] in ONE_SHOT] == []
    ours = [(page, w) for page, w in executed if is_ours(containers, w[0])]
    assert [(page, w) for page, w in ours if w[1] != "cxr-triage"] == []
    assert [(page, w) for page, w in ours if not is_command(w[2:])] == []
    assert [(page, w) for page, w in ours if "restore" in w] == []  # not beside the service


def test_what_is_run_is_a_command_of_the_program(containers: Rendered) -> None:
    run = [(page, c.words) for page, c in INSIDE if c.verb == "run"]
    ours = [(page, w) for page, w in run if is_ours(containers, w[0])]

    words = [(page, w[1:] if w[0] != "keys" else ("keys", *w[1:])) for page, w in ours]

    assert [(page, w) for page, w in words if not is_command(w)] == []
