"""A start does without packages that only its libraries would use, and has them afterwards."""

import subprocess
import sys
from importlib import import_module

import pytest

from service.spare_imports import SPARE, spared

SERVE = """
import sys
from service.__main__ import _import_serving
_import_serving()
print([name for name in {spare!r} if name in sys.modules])
import requests, rich.console
"""


def test_what_is_spared_cannot_be_imported_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)

    with spared("wave"), pytest.raises(ImportError):
        import_module("wave")

    assert import_module("wave").__name__ == "wave"


def test_what_is_imported_already_stays() -> None:
    json = import_module("json")

    with spared("json"):
        assert import_module("json") is json

    assert sys.modules["json"] is json


def test_spared_packages_are_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)

    with pytest.raises(RuntimeError), spared("wave"):
        raise RuntimeError

    assert import_module("wave").__name__ == "wave"


def test_start_imports_neither_and_both_can_be_imported_later() -> None:
    told = subprocess.run(
        [sys.executable, "-c", SERVE.format(spare=SPARE)], capture_output=True, text=True,
        check=True,
    )  # fmt: skip

    assert told.stdout == "[]\n"
