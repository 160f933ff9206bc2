"""docker-compose.yml: what every container may do, as the real plugin renders the file."""

import ipaddress
import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from service import __version__
from tests.support.compose import OF_PROXIES, PROFILES, ROOT, Rendered, program, render

ONE_SHOT = {"init", "keys", "settings"}
PUBLISHED = {"proxy", "grafana", "orthanc"}
OUR_IMAGE = f"cxr-triage:{__version__}"
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?[a-z0-9.-]*")
CAPABILITIES = {"proxy": ["NET_BIND_SERVICE"]}

Container = Mapping[str, Any]


@pytest.fixture(scope="module")
def everything() -> Rendered:
    """All profiles at once."""
    return render(*PROFILES)


@pytest.fixture(scope="module")
def default() -> Rendered:
    """`docker compose up` in a new clone."""
    return render()


@pytest.fixture(params=[
    "init", "cxr-triage", "cxr-triage-gpu", "keys", "proxy", "prometheus", "alertmanager",
    "grafana", "postgres", "orthanc", "settings",
])  # fmt: skip
def name(request: pytest.FixtureRequest) -> str:
    """Of each container in turn."""
    return str(request.param)


@pytest.fixture
def container(name: str, everything: Rendered) -> Container:
    found: Container = everything["services"][name]
    return found


def seconds_of(duration: str) -> float:
    """Of a duration of Go: the sum of its parts."""
    unit_seconds = {"h": 3600, "m": 60, "s": 1}
    parts = re.findall(r"([\d.]+)([hms])", duration)
    return sum(float(number) * unit_seconds[unit] for number, unit in parts)


def test_every_container_is_looked_at(everything: Rendered) -> None:
    assert set(everything["services"]) == {
        "init", "cxr-triage", "cxr-triage-gpu", "keys", "proxy", "prometheus", "alertmanager",
        "grafana", "postgres", "orthanc", "settings",
    }  # fmt: skip


def test_default_is_the_service_and_what_watches_it(default: Rendered) -> None:
    assert set(default["services"]) == {
        "init", "settings", "cxr-triage", "proxy", "prometheus", "alertmanager", "grafana",
    }  # fmt: skip


def test_root_is_read_only_and_nothing_can_be_gained(name: str, container: Container) -> None:
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container.get("cap_add", []) == CAPABILITIES.get(name, [])
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in container


def test_memory_processes_and_processors_are_limited(container: Container) -> None:
    assert int(container["mem_limit"]) <= 12 * 2**30
    assert container["pids_limit"] <= 512
    assert 0 < container["cpus"] <= 2


def test_logs_cannot_fill_the_disk(container: Container) -> None:
    options = container["logging"]["options"]
    assert set(options) == {"max-size", "max-file", "mode", "max-buffer-size"}


def test_log_that_nobody_takes_holds_up_no_program(container: Container) -> None:
    assert container["logging"]["options"]["mode"] == "non-blocking"


def test_image_is_pinned_by_version(container: Container) -> None:
    image = container["image"]

    assert image.startswith(OUR_IMAGE) or PINNED.fullmatch(image)


def test_no_container_takes_a_proxy_from_docker(container: Container) -> None:
    # Compose adds what Docker's configuration names, unless the container sets it, if to nothing.
    assert {container["environment"].get(variable) for variable in OF_PROXIES} == {""}


def test_nobody_is_root(name: str, container: Container) -> None:
    # Ours, Prometheus', Alertmanager's and Grafana's images name a user themselves.
    needs_naming = {"proxy": "10001:10001", "postgres": "999:999", "orthanc": "10001:10001"}

    assert container.get("user") == needs_naming.get(name)


def test_long_running_containers_restart_and_are_watched(name: str, container: Container) -> None:
    watched_by_image = container["image"].startswith(OUR_IMAGE)

    assert container["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert "healthcheck" in container or watched_by_image
    assert container.get("healthcheck", {}).get("disable", False) is (name in ONE_SHOT)


def test_folders_of_the_machine_are_only_read(container: Container) -> None:
    mounts = [mount for mount in container.get("volumes", []) if mount["type"] == "bind"]

    assert all(mount["read_only"] for mount in mounts)
    assert not any("docker.sock" in mount["source"] for mount in mounts)


def test_only_who_makes_secrets_can_write_them(name: str, container: Container) -> None:
    secrets = [m for m in container.get("volumes", []) if m["source"].endswith("-secrets")]
    # Orthanc's is a folder in which two files of the repository are mounted.
    may_write = {"init", "keys", "orthanc"}

    assert all(mount.get("read_only") for mount in secrets) or name in may_write


def test_one_shot_containers_have_no_network(everything: Rendered) -> None:
    assert all(everything["services"][name]["network_mode"] == "none" for name in ONE_SHOT)


@pytest.mark.parametrize("profiles", [(), ("postgres",), PROFILES])
def test_ports_are_published_to_this_machine_alone(profiles: tuple[str, ...]) -> None:
    ports = {
        name: port
        for name, container in render(*profiles)["services"].items()
        for port in container.get("ports", [])
    }

    assert set(ports) == (PUBLISHED if "orthanc" in profiles else {"proxy", "grafana"})
    assert {port["host_ip"] for port in ports.values()} == {"127.0.0.1"}


def test_only_who_publishes_a_port_is_on_the_bridge(everything: Rendered) -> None:
    on_edge = {n for n, c in everything["services"].items() if "edge" in c.get("networks", {})}

    assert on_edge == PUBLISHED


def test_networks_lead_nowhere(everything: Rendered) -> None:
    networks = everything["networks"]

    assert networks["front"]["internal"]
    assert networks["back"]["internal"]
    options = networks["edge"]["driver_opts"]
    assert options["com.docker.network.bridge.enable_ip_masquerade"] == "false"


def test_the_one_address_that_is_believed_is_the_proxys(everything: Rendered) -> None:
    services = everything["services"]
    proxy = services["proxy"]["networks"]["front"]["ipv4_address"]
    on_front = {n for n, c in services.items() if "front" in c.get("networks", {})}
    (subnet,) = everything["networks"]["front"]["ipam"]["config"]

    assert services["cxr-triage"]["environment"]["CXR_ACCESS__TRUSTED_PROXIES"] == f'["{proxy}"]'
    assert ipaddress.ip_address(proxy) in ipaddress.ip_network(subnet["subnet"])
    assert on_front == {"proxy", "cxr-triage", "cxr-triage-gpu"}


def test_alertmanager_reads_the_folder_of_the_site(default: Rendered) -> None:
    named = render(ALERTMANAGER_FOLDER="./site/alertmanager")

    def source(rendered: Rendered) -> str:
        mounts = rendered["services"]["alertmanager"]["volumes"]
        (folder,) = (m["source"] for m in mounts if m["target"] == "/etc/alertmanager")
        return str(folder)

    assert source(default) == str(ROOT / "deploy/alertmanager")
    assert source(named) == str(ROOT / "site/alertmanager")
    ignored = ["git", "check-ignore", "--quiet", "site/alertmanager/alertmanager.yml"]
    assert subprocess.run(ignored, cwd=ROOT, check=False).returncode == 0


def test_two_engines_cannot_serve_one_record(everything: Rendered) -> None:
    cpu, gpu = (everything["services"][name] for name in ("cxr-triage", "cxr-triage-gpu"))

    assert cpu["networks"]["front"]["ipv4_address"] == gpu["networks"]["front"]["ipv4_address"]
    assert render("gpu", CPU_REPLICAS="0")["services"]["cxr-triage"]["scale"] == 0


def test_service_starts_in_shadow_mode_with_access_control(default: Rendered) -> None:
    environment = default["services"]["cxr-triage"]["environment"]

    assert environment["CXR_MODE"] == "shadow"
    assert environment["CXR_ACCESS__MODE"] == "on"


def test_engine_waits_longer_than_the_service_drains(default: Rendered) -> None:
    assert default["services"]["cxr-triage"]["stop_grace_period"] == "40s"


@pytest.mark.parametrize("drain_seconds", ["0.5", "25", "120", "3600"])
def test_nobody_is_killed_before_the_answers_under_way_are_out(drain_seconds: str) -> None:
    services = render("gpu", CXR_SERVER__DRAIN_SECONDS=drain_seconds)["services"]

    service, gpu, proxy = (
        seconds_of(services[name]["stop_grace_period"])
        for name in ("cxr-triage", "cxr-triage-gpu", "proxy")
    )
    passes_on = seconds_of(services["proxy"]["environment"]["PROXY_GRACE"])

    assert float(drain_seconds) + 10 < service == gpu
    assert service <= passes_on < proxy - 5


def test_volumes_keep_what_must_outlive_a_container(everything: Rendered) -> None:
    used = {
        mount["source"]
        for container in everything["services"].values()
        for mount in container.get("volumes", [])
        if mount["type"] == "volume"
    }

    assert used == set(everything["volumes"])


def test_linter_finds_nothing() -> None:
    done = subprocess.run(
        [
            program("compose-lint"), "check", "--config", "deploy/compose-lint.yml",
            "--strict-config", "--fail-on", "low", "docker-compose.yml",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
