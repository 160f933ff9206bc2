"""Results and a run of the whole chain, for every test that looks at them."""

import pytest

from tests.training.chains import Chain, run_chain
from tests.training.split_scores import make_evaluation, make_tuning
from tests.training.study_folders import CERTIFIABLE, learning_config, write_manifest_folder
from training.measures.results import Evaluation, Tuning


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Nothing may change it: copy what a test writes to."""
    folder = tmp_path_factory.mktemp("chain")
    return run_chain(folder, write_manifest_folder(folder / "data", CERTIFIABLE), learning_config())


@pytest.fixture(scope="session")
def tuning() -> Tuning:
    return make_tuning()


@pytest.fixture(scope="session")
def evaluation(tuning: Tuning) -> Evaluation:
    return make_evaluation(tuning)
