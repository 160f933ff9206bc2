"""An earlier release on the images of this evaluation, scored the way that it was served."""

from collections.abc import Callable, Sequence
from pathlib import Path

from service.core.artifact import load_artifact
from service.core.inference import recipe_of
from service.engine.torch import load_network
from training.data.dataset import load_dataset
from training.data.studies import Study
from training.measures.comparison import Contender
from training.scoring import score_dataset, torch_forward


def score_previous(
    release: Path,
    data: Path,
    studies: Sequence[Study],
    on_images: Callable[[int], None] = lambda images: None,
) -> Contender:
    """Through its own preprocessing, views and temperature, by the reference engine.

    Parameters
    ----------
    release
        Version folder of the model store, every file of which is verified.
    on_images
        Told of every image twice: when it is read, and when it is scored.

    Raises
    ------
    service.core.errors.ArtifactError
        The release is not whole.
    """
    artifact = load_artifact(release)
    recipe = recipe_of(artifact)
    dataset = load_dataset(data, studies, recipe.preprocess, on_images)
    forward = torch_forward(load_network(artifact))
    scores = score_dataset(dataset, forward, recipe, on_images)
    return Contender(
        name=artifact.reference,
        digest=artifact.digest,
        split_digest=artifact.manifest.provenance.split_digest,
        probabilities_nf=scores.probabilities(recipe.temperature),
        points=artifact.manifest.operating_points,
    )
