"""Cores are counted as this process may use them."""

import os
from pathlib import Path

import pytest

from service import cores as cores_module
from service.cores import choose_threads, count_cores


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


def test_quota_of_a_group_above_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    (tmp_path / "site.slice" / "triage.service").mkdir(parents=True)
    (tmp_path / "site.slice" / "triage.service" / "cpu.max").write_text("max 100000\n", "utf-8")
    (tmp_path / "site.slice" / "cpu.max").write_text("300000 100000\n", "utf-8")
    own_group = tmp_path / "own"
    own_group.write_text("0::/site.slice/triage.service\n", "utf-8")

    assert count_cores(tmp_path, own_group) == 3


@pytest.mark.parametrize(("quota", "cores"), [("150000", 2), ("-1", 8)])
def test_quota_of_version_1_bounds_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n", "utf-8")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n", "utf-8")
    own_group = tmp_path / "own"
    own_group.write_text("4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n", "utf-8")

    assert count_cores(tmp_path, own_group) == cores


@pytest.mark.parametrize(("asked", "paid", "threads"), [(0, 2, 2), (0, 8, 0), (3, 2, 3)])
def test_library_that_sees_no_quota_is_told_of_it(
    monkeypatch: pytest.MonkeyPatch, asked: int, paid: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    monkeypatch.setattr(cores_module, "count_cores", lambda: paid)

    assert choose_threads(asked) == threads
