"""A page of results says which commit and effort it is of, and who is missing in it."""

import subprocess
from pathlib import Path

import pytest

from bench.provenance import PAGE, DirtyTree, Ran, describe, missing_peers, refuse_dirt


def git(root: Path, *words: str) -> None:
    """Run git there, as nobody in particular."""
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clean checkout with a page and some code."""
    for name in (PAGE, Path("code.py")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "all")
    return tmp_path


def test_page_alone_may_differ_from_the_commit(tree: Path) -> None:
    (tree / PAGE).write_text("new", encoding="utf-8")

    refuse_dirt(tree)


@pytest.mark.parametrize("name", ["code.py", "forgotten.py", "docs/other.md"])
def test_what_else_differs_is_refused_by_name(tree: Path, name: str) -> None:
    (tree / name).write_text("new", encoding="utf-8")

    with pytest.raises(DirtyTree, match=name):
        refuse_dirt(tree)


def test_folder_without_a_commit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DirtyTree, match="git knows none here"):
        refuse_dirt(tmp_path)


def test_each_missing_peer_is_told_with_its_reason() -> None:
    missing = missing_peers(
        ("a", "b", "c"), ("a", "b"), lambda name: name == "a", measured={"a (openvino)"}
    )

    assert missing == {
        "a (torch)": "did not start",
        "b (openvino)": "not installed",
        "b (torch)": "not installed",
        "c (openvino)": "not chosen",
        "c (torch)": "not chosen",
    }


def test_effort_is_told() -> None:
    missing = {"ray (torch)": "not installed"}

    text = describe(Ran(3, 8.0, ("serving", "soak"), ("start",), ("mosec (torch)",), missing))

    assert "3 rounds of 8 s at least" in text
    assert "Parts: serving, soak. Not run: start." in text
    assert "Peers: mosec (torch). Missing: ray (torch), not installed." in text


def test_nothing_missing_is_told_too() -> None:
    text = describe(Ran(1, 0.5, ("soak",), (), (), {}))

    assert "Not run: none.\n\nPeers: none. Missing: none." in text
