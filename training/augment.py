"""Random views of a training batch, after the served preprocessing, on the device of the batch.

Resolution, aspect, borders and corner markers differ between collections and would give the
source away, so each is randomised for every source alike. No vertical flip: no radiograph hangs
upside down. Axes: N images, S side.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from training.config import AugmentConfig


def augment_batch(pixels: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """(N, 1, S, S) in 0..1 -> the same shape and range, each image changed on its own."""
    pixels = _warp(pixels, config, generator)
    pixels = _mix_spectra(pixels, config, generator)
    pixels = _change_sharpness(pixels, config, generator)
    pixels = _change_tone(pixels, config, generator)
    pixels = _lose_resolution(pixels, config, generator)
    pixels = _cover_borders(pixels, config, generator)
    pixels = _cover_corner(pixels, config, generator)
    return pixels.clamp_(0, 1)


def _uniform(like: Tensor, generator: Generator, low: float, high: float) -> Tensor:
    """(N,) drawn on the host, so that CPU and GPU runs draw the same numbers."""
    drawn = torch.rand(len(like), generator=generator)
    return (low + (high - low) * drawn).to(like.device)


def _warp(pixels: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Rotation, scale, aspect, shift and mirror in one bilinear resampling."""
    turn = math.radians(config.rotation_degrees)
    angle = _uniform(pixels, generator, -turn, turn)
    scale = torch.exp(_uniform(pixels, generator, -config.scale_ratio, config.scale_ratio))
    aspect = torch.exp(_uniform(pixels, generator, -config.aspect_ratio, config.aspect_ratio))
    mirror = _uniform(pixels, generator, 0, 1) < config.hflip_probability
    width = scale * aspect.sqrt() * torch.where(mirror, -1.0, 1.0)
    height = scale / aspect.sqrt()
    shift_x = _uniform(pixels, generator, -2 * config.shift_ratio, 2 * config.shift_ratio)
    shift_y = _uniform(pixels, generator, -2 * config.shift_ratio, 2 * config.shift_ratio)
    rows = (
        torch.stack([width * angle.cos(), -height * angle.sin(), shift_x], dim=1),
        torch.stack([width * angle.sin(), height * angle.cos(), shift_y], dim=1),
    )
    grid = F.affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="zeros", align_corners=False)


def _mix_spectra(pixels: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Give some images part of another's Fourier amplitudes: its texture, not its anatomy."""
    if config.spectrum_probability == 0:
        return pixels
    chosen = _uniform(pixels, generator, 0, 1) < config.spectrum_probability
    share = _uniform(pixels, generator, 0, config.spectrum_ratio) * chosen
    other = torch.randperm(len(pixels), generator=generator).to(pixels.device)
    spectrum = torch.fft.rfft2(pixels)
    amplitude = spectrum.abs()
    mixed = torch.lerp(amplitude, amplitude[other], share.view(-1, 1, 1, 1))
    restored: Tensor = torch.fft.irfft2(torch.polar(mixed, spectrum.angle()), s=pixels.shape[-2:])
    return restored.clamp(0, 1)


def _change_sharpness(pixels: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Unsharp mask or mild blur, as the processing of different makers."""
    if config.sharpness == 0:
        return pixels
    low, high = -min(config.sharpness / 3, 1.0), config.sharpness
    strength = _uniform(pixels, generator, low, high).view(-1, 1, 1, 1)
    blurred = F.avg_pool2d(pixels, 5, stride=1, padding=2, count_include_pad=False)
    return (pixels + strength * (pixels - blurred)).clamp(0, 1)


def _change_tone(pixels: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Gamma, contrast, brightness and noise, as other detectors and windows would."""
    column = (-1, 1, 1, 1)
    gamma = torch.exp(_uniform(pixels, generator, -config.gamma, config.gamma)).view(column)
    contrast = _uniform(pixels, generator, 1 - config.contrast, 1 + config.contrast).view(column)
    shift = _uniform(pixels, generator, -config.brightness, config.brightness).view(column)
    sigma = _uniform(pixels, generator, 0, config.noise).view(column)
    noise = torch.randn(pixels.shape, generator=generator).to(pixels.device)
    toned = pixels.clamp(min=1e-6).pow(gamma)
    return ((toned - 0.5) * contrast + 0.5 + shift + noise * sigma).clamp(0, 1)


def _lose_resolution(pixels: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Shrink and enlarge some images of the batch, by one ratio per batch."""
    chosen = _uniform(pixels, generator, 0, 1) < config.downscale_probability
    low = config.downscale_min_ratio
    ratio = low + (1 - low) * float(torch.rand((), generator=generator))
    if not bool(chosen.any()) or config.downscale_probability == 0:
        return pixels
    side = pixels.shape[-1]
    small = F.interpolate(pixels[chosen], size=max(8, round(side * ratio)), mode="area")
    blurred = F.interpolate(small, size=side, mode="bilinear", align_corners=False)
    return pixels.index_put((chosen,), blurred)


def _cover_borders(pixels: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Black borders of random width, as collimators and film scanners leave."""
    side = pixels.shape[-1]
    covered = _uniform(pixels, generator, 0, 1) < config.border_probability
    position = torch.arange(side, device=pixels.device) / side
    kept = torch.ones_like(pixels)
    for axis in (2, 3):
        low = _uniform(pixels, generator, 0, config.border_ratio)[:, None]
        high = 1 - _uniform(pixels, generator, 0, config.border_ratio)[:, None]
        inside = ((position >= low) & (position < high)) | ~covered[:, None]
        shape = (-1, 1, side, 1) if axis == 2 else (-1, 1, 1, side)
        kept = kept * inside.view(shape)
    return pixels * kept


def _cover_corner(pixels: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """A flat patch of random grey in a random corner, where markers and labels stand."""
    side = pixels.shape[-1]
    covered = _uniform(pixels, generator, 0, 1) < config.corner_probability
    position = torch.arange(side, device=pixels.device) / side
    spans = []
    for _ in range(2):
        extent = _uniform(pixels, generator, 0, config.corner_ratio)[:, None]
        far = _uniform(pixels, generator, 0, 1)[:, None] < 0.5
        spans.append(torch.where(far, position >= 1 - extent, position < extent))
    patch = spans[0][:, None, :, None] & spans[1][:, None, None, :] & covered.view(-1, 1, 1, 1)
    grey = _uniform(pixels, generator, 0, 1).view(-1, 1, 1, 1)
    return torch.where(patch, grey, pixels)
