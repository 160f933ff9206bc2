"""Both released versions on the device. `make gpu-test`, or on a machine that has torch and pytest
but not the rest of what development needs (`bench.gpu` names the packages):

    python3 -m pytest -q -c /dev/null --rootdir . --confcutdir tests/gpu tests/gpu

`--device cpu` tries the tests themselves out; `test_engine_life.py` asks for a GPU, and fails.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from service.core.artifact import GOLDEN, Artifact, load_artifact
from service.core.golden import read_golden
from service.core.preprocess import normalise
from service.core.radiograph import Pixels
from service.core.self_test import self_test
from service.core.tta import TtaView, build_views
from service.engine.torch import TorchEngine

VERSIONS = sorted(
    manifest.parent for manifest in Path(__file__).parents[2].glob("model_store/*/*/manifest.json")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the engines run."""
    parser.addoption("--device", default="cuda")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """As a setting would name it."""
    return str(request.config.getoption("--device"))


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda folder: folder.name)
def artifact(request: pytest.FixtureRequest) -> Artifact:
    """A version that was measured in bf16, and one that bears fp32 alone."""
    return load_artifact(request.param)


@pytest.fixture(scope="session")
def pictures(artifact: Artifact) -> Pixels:
    """The golden uploads in all views, normalised: no two alike."""
    golden = read_golden(artifact.files[GOLDEN])
    return build_views(normalise(golden.pixels, artifact.manifest.preprocess), list(TtaView))


@pytest.fixture(scope="session")
def reference(artifact: Artifact) -> TorchEngine:
    """On the CPU, in fp32."""
    return TorchEngine(artifact)


@pytest.fixture(scope="module")
def engine(artifact: Artifact, device: str) -> Iterator[TorchEngine]:
    """Proven on every lane and bucket, or no test begins."""
    opened = open_proven(artifact, device)
    yield opened
    opened.close()


def open_proven(artifact: Artifact, device: str) -> TorchEngine:
    """As the service has it a moment after its start."""
    opened = TorchEngine(artifact, device)
    self_test(artifact, opened.forward)
    opened.finish(partial(self_test, artifact))
    return opened
