"""A whole run of the tiny network on drawn chests, from fit to a version that serves."""

from dataclasses import dataclass
from pathlib import Path

from service.core.artifact import Artifact
from tests.training.study_folders import quiet
from training.acts.release import Wish, run_release
from training.acts.steps import Workplace, run_evaluate, run_fit, run_tune
from training.config import RunConfig
from training.data.studies import Split
from training.manifest import Version
from training.measures.results import Evaluation, Tuning

DRAWS = 40
NOTE = "Made of phantoms."
REASON = "Phantoms have no source to be confounded with."


@dataclass(frozen=True, slots=True)
class Chain:
    """What the acts left behind."""

    place: Workplace
    version: Version
    tuning: Tuning
    evaluation: Evaluation
    artifact: Artifact


def wish(version: Version) -> Wish:
    return Wish(version, accepted_because=REASON)


def run_chain(folder: Path, data: Path, config: RunConfig) -> Chain:
    place = Workplace(data, folder / "run", quiet())
    version = Version(folder / "store", "cxr-tiny", "0.0.1", notes=(NOTE,))
    run_fit(place, config)
    tuning = run_tune(place, None)
    evaluation = run_evaluate(place, None, Split.TEST, DRAWS)
    artifact = run_release(place, None, Wish(version, is_promoted=True, accepted_because=REASON))
    return Chain(place, version, tuning, evaluation, artifact)


def copy_run(place: Workplace, folder: Path) -> Workplace:
    folder.mkdir(parents=True, exist_ok=True)
    for path in place.run.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return Workplace(place.data, folder, quiet())
