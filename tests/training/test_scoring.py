"""Tuning and evaluation see exactly what the service would score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from service.core.findings import FINDINGS
from service.core.inference import Recipe, score_batch
from service.core.network import Architecture, build_network
from service.core.preprocess import PreprocessSpec
from service.core.tta import TtaView
from training.checkpoint import WEIGHTS, load_weights, save_weights
from training.config import RunConfig
from training.data.dataset import Dataset
from training.data.studies import Split, Study
from training.measures.results import CONFIG, RunIncomplete
from training.scoring import load_run, score_dataset, torch_forward

CONFIG_TINY = RunConfig(architecture=Architecture.TINY, preprocess=PreprocessSpec(side_px=64))
TEMPERATURE = 1.7


def some_dataset(images: int) -> Dataset:
    generator = np.random.default_rng(0)
    pixels = generator.random((images, 1, 64, 64), dtype=np.float32)
    study = Study("a.png", FINDINGS[0], Split.VAL, "east", "p")
    studies = tuple(replace(study, file=f"{index}.png") for index in range(images))
    return Dataset(studies, pixels, np.zeros(images, np.int64))


def write_run(folder: Path) -> Path:
    torch.manual_seed(0)
    network = build_network(Architecture.TINY, findings=3)
    torch.nn.init.normal_(network.head.weight)
    save_weights(folder, network.state_dict())
    (folder / CONFIG).write_text(CONFIG_TINY.model_dump_json())
    return folder


def test_split_scores_are_those_of_the_served_function(tmp_path: Path) -> None:
    run, dataset = load_run(write_run(tmp_path)), some_dataset(8)
    forward = torch_forward(run.network)
    served = score_batch(dataset.pixels, forward, run.recipe(TEMPERATURE))

    scores = score_dataset(dataset, forward, run.recipe())

    assert np.array_equal(
        scores.probabilities(TEMPERATURE), np.stack([one.probabilities for one in served])
    )
    assert np.array_equal(
        scores.view_spread(TEMPERATURE), np.stack([one.tta_spread for one in served])
    )


def test_every_chunk_is_scored_in_order(tmp_path: Path) -> None:
    run, dataset = load_run(write_run(tmp_path)), some_dataset(19)
    forward, done = torch_forward(run.network), list[int]()
    alone = score_batch(dataset.pixels[17:18], forward, run.recipe())[0]

    scores = score_dataset(dataset, forward, run.recipe(), done.append)

    assert scores.probabilities(1.0).shape == (19, 3)
    assert scores.probabilities(1.0)[17] == pytest.approx(alone.probabilities, abs=1e-6)
    assert sum(done) == 19


def test_one_view_equals_a_recipe_of_one_view(tmp_path: Path) -> None:
    run, dataset = load_run(write_run(tmp_path)), some_dataset(8)
    forward = torch_forward(run.network)
    identity = Recipe(run.config.preprocess, (TtaView.IDENTITY,), 1.0)

    alone = score_batch(dataset.pixels, forward, identity)
    scores = score_dataset(dataset, forward, run.recipe())

    expected = np.stack([one.probabilities for one in alone])
    assert scores.single_view_probabilities(1.0) == pytest.approx(expected, abs=1e-6)


def test_weights_are_rounded_to_half_precision(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path))

    for value in run.network.state_dict().values():
        assert torch.equal(value, value.half().float())


def test_missing_run_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(RunIncomplete, match="cxr-train fit"):
        load_run(tmp_path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path)
    other = CONFIG_TINY.model_copy(update={"architecture": Architecture.RESNET50})
    (tmp_path / CONFIG).write_text(other.model_dump_json())

    with pytest.raises(RunIncomplete, match="does not fit a resnet50"):
        load_run(tmp_path)


def test_incomplete_weights_are_refused(tmp_path: Path) -> None:
    network = build_network(Architecture.TINY, findings=3)
    state = network.state_dict()
    del state["head.bias"]
    save_weights(tmp_path, state)

    with pytest.raises(ValueError, match=r"head\.bias"):
        load_weights(tmp_path, network)

    assert (tmp_path / WEIGHTS).is_file()


def test_another_configuration_than_that_of_the_run_is_refused(tmp_path: Path) -> None:
    other = CONFIG_TINY.model_copy(update={"views": (TtaView.IDENTITY,)})

    with pytest.raises(RunIncomplete, match="--config differs"):
        load_run(write_run(tmp_path), other)


def test_a_configuration_stands_in_where_none_was_saved(tmp_path: Path) -> None:
    (write_run(tmp_path) / CONFIG).unlink()

    assert load_run(tmp_path, CONFIG_TINY).config == CONFIG_TINY
