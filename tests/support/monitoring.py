"""Real Prometheus and Alertmanager on free ports, and a webhook that keeps what it is told."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.http_servers import Asked, Told, listening

DEPLOY = Path(__file__).parents[2] / "deploy"
PROGRAMS = ("prometheus", "prometheus-alertmanager", "promtool", "amtool")
PATIENCE_SECONDS = 90.0


def missing_programs() -> list[str]:
    """Of Debian's packages `prometheus` and `prometheus-alertmanager`."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def wait_for(found: Callable[[], Any], what: str) -> Any:
    """The first truth that is found.

    Raises
    ------
    AssertionError
        There was none for `PATIENCE_SECONDS`.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while time.monotonic() < end:
        try:
            result = found()
        except httpx.HTTPError:
            result = None
        if result:
            return result
        pause.wait(0.2)
    raise AssertionError(f"waited in vain for {what}")


@dataclass(slots=True)
class Receiver:
    """Where Alertmanager sends its notifications."""

    url: str
    told: list[dict[str, Any]] = field(default_factory=list)

    def alert(self, name: str) -> dict[str, Any] | None:
        """The first firing alert of that name."""
        alerts = [alert for notice in self.told for alert in notice["alerts"]]
        named = (alert for alert in alerts if alert["labels"]["alertname"] == name)
        return next(named, None)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen for notifications."""
    told: list[dict[str, Any]] = []

    def keep(asked: Asked) -> Told:
        told.append(json.loads(asked.body))
        return Told()

    with listening(keep) as address:
        yield Receiver(f"{address}/alerts", told)


@contextmanager
def running_alertmanager(folder: Path, *webhooks: str) -> Iterator[str]:
    """With the shipped routes; waits and addresses alone are the test's. Yields its address."""
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text("utf-8"))
    config["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": webhook} for webhook in webhooks]
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus-alertmanager", f"--config.file={path}", f"--storage.path={folder}/am",
        f"--web.listen-address={address}", "--cluster.listen-address=",
    ]  # fmt: skip
    with _running(command, folder / "alertmanager.log"):
        wait_for(lambda: httpx.get(f"http://{address}/-/ready").is_success, "alertmanager")
        yield address


@contextmanager
def running_prometheus(folder: Path, service: str, alertmanager: str) -> Iterator[str]:
    """With the shipped rules; scrapes the service every second. Yields its URL."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    address = f"127.0.0.1:{free_port()}"
    targets = {
        "cxr-triage": service.removeprefix("http://"),
        "prometheus": address,
        "alertmanager": alertmanager,
    }
    for job in config["scrape_configs"]:
        job["static_configs"][0]["targets"] = [targets[job["job_name"]]]
        if "authorization" in job:
            job["authorization"] = {"credentials": "the service of the test asks for no key"}
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        "prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address={address}",
    ]  # fmt: skip
    with _running(command, folder / "prometheus.log"):
        url = f"http://{address}"
        wait_for(lambda: httpx.get(f"{url}/-/ready").is_success, "prometheus")
        yield url


def query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    """Series of an instant query."""
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)
