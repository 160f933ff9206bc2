"""One run of the whole chain, for every test that looks at what it left."""

import pytest

from tests.training.chains import Chain, run_chain
from tests.training.study_folders import CERTIFIABLE, learning_config, write_manifest_folder


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Nothing may change it: copy what a test writes to."""
    folder = tmp_path_factory.mktemp("chain")
    return run_chain(folder, write_manifest_folder(folder / "data", CERTIFIABLE), learning_config())
