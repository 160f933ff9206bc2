"""Random views keep shape and range, and follow from their generator alone."""

import pytest
import torch

from tests.training.study_folders import NO_AUGMENT
from training.augment import augment_batch
from training.config import AugmentConfig

STRONG = AugmentConfig(downscale_probability=1.0, border_probability=1.0, corner_probability=1.0)


def some_pixels() -> torch.Tensor:
    return torch.rand(8, 1, 64, 64, generator=torch.Generator().manual_seed(1))


def augmented(config: AugmentConfig, seed: int) -> torch.Tensor:
    return augment_batch(some_pixels(), config, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("config", [AugmentConfig(), STRONG, NO_AUGMENT])
def test_shape_and_range_are_kept(config: AugmentConfig) -> None:
    pixels = augmented(config, seed=0)

    assert pixels.shape == (8, 1, 64, 64)
    assert pixels.dtype == torch.float32
    assert pixels.min() >= 0
    assert pixels.max() <= 1


def test_same_generator_gives_the_same_views() -> None:
    assert torch.equal(augmented(STRONG, seed=3), augmented(STRONG, seed=3))


def test_another_seed_gives_other_views() -> None:
    assert not torch.equal(augmented(STRONG, seed=3), augmented(STRONG, seed=4))


def test_everything_off_changes_nothing() -> None:
    assert torch.allclose(augmented(NO_AUGMENT, seed=0), some_pixels(), atol=1e-5)


def test_input_is_left_alone() -> None:
    pixels = some_pixels()

    augment_batch(pixels, STRONG, torch.Generator().manual_seed(0))

    assert torch.equal(pixels, some_pixels())


def test_images_are_never_upside_down() -> None:
    ramp = torch.linspace(0, 1, 64).view(1, 1, 64, 1).expand(32, 1, 64, 64).contiguous()
    turned = AugmentConfig(corner_probability=0, border_probability=0, noise=0)

    pixels = augment_batch(ramp, turned, torch.Generator().manual_seed(0))

    assert (pixels[:, 0, 40:50].mean(dim=(1, 2)) > pixels[:, 0, 14:24].mean(dim=(1, 2))).all()
