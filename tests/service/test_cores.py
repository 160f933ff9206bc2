"""Cores are counted as this process may use them."""

import os
from pathlib import Path

import pytest

from service.cores import count_cores


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("1000 100000", 1),
     ("1600000 100000", 8), ("nonsense", 8)],
)  # fmt: skip
@pytest.mark.parametrize("group", ["0::/", "0::/site.slice/triage.service"])
def test_quota_of_the_control_group_bounds_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int, group: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    folder = tmp_path / group.removeprefix("0::/")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text(f"{quota}\n", "utf-8")
    own_group = tmp_path / "own"
    own_group.write_text(f"{group}\n", "utf-8")

    assert count_cores(tmp_path, own_group) == cores


def test_affinity_decides_where_no_quota_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5})

    assert count_cores(tmp_path / "none", tmp_path / "none") == 2
