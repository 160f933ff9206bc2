"""Drawn pictures that are no radiographs, and limbs as a radiograph would show them.

Each function draws one picture from a generator. Axes: H rows, W columns.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from service.core.radiograph import WHITE, Grey

Canvas = NDArray[np.float64]
Draw = Callable[[Generator], Grey]

SIDE_PX = 320
WORDS = (
    "report", "patient", "film", "clear", "left", "right", "seen", "without", "small", "large",
    "heart", "normal", "follow up", "compared", "prior study", "impression", "findings", "history",
)  # fmt: skip


def draw_page(generator: Generator) -> Grey:
    """Black or white writing, in lines, with a heading."""
    paper, ink = (255, 20) if generator.random() < 0.7 else (10, 235)
    page = Image.new("L", (SIDE_PX, int(SIDE_PX * generator.uniform(1.0, 1.4))), paper)
    pen, size = ImageDraw.Draw(page), int(generator.integers(9, 20))
    pen.text((20, 15), "RADIOLOGY REPORT", ink, ImageFont.load_default(size * 1.6))
    for row in range(60, page.height - size, int(size * 1.5)):
        line = " ".join(generator.choice(WORDS, 9))
        pen.text((20, row), line, ink, ImageFont.load_default(size))
    return _grey(np.asarray(page) / 255)


def draw_screenshot(generator: Generator) -> Grey:
    """Windows with bars, buttons and lists on a desktop."""
    desktop = Image.new("L", (int(SIDE_PX * 1.5), SIDE_PX), int(generator.integers(30, 220)))
    pen = ImageDraw.Draw(desktop)
    for _ in range(int(generator.integers(2, 5))):
        left, top, width, height = generator.integers(
            (0, 0, 120, 80), (260, 160, 240, 200)
        ).tolist()
        box = (left, top, left + width, top + height)
        pen.rectangle(box, fill=int(generator.integers(180, 255)), outline=0)
        pen.rectangle((left, top, left + width, top + 14), fill=int(generator.integers(20, 120)))
        for row in range(top + 22, top + height - 12, 13):
            pen.text((left + 8, row), " ".join(generator.choice(WORDS, 4)), 30)
    return _grey(np.asarray(desktop) / 255)


def draw_chart(generator: Generator) -> Grey:
    """Bars and a curve on axes."""
    chart = Image.new("L", (SIDE_PX, SIDE_PX), 250)
    pen = ImageDraw.Draw(chart)
    bars = int(generator.integers(4, 14))
    for bar, height in enumerate(generator.uniform(20, 230, bars)):
        left = 40 + bar * 260 / bars
        box = (left, 290 - height, left + 180 / bars, 290)
        pen.rectangle(box, fill=int(generator.integers(40, 200)))
    curve = np.cumsum(generator.normal(0, 12, 40)) + 150
    pen.line(list(zip(np.linspace(40, 300, 40), curve, strict=True)), fill=0, width=2)
    pen.line([(40, 20), (40, 290), (305, 290)], fill=0, width=2)
    return _grey(np.asarray(chart) / 255)


def draw_limb(generator: Generator) -> Grey:
    """One or two long bones with a joint, in soft tissue, on black: a knee, an elbow, a shin."""
    y, x = np.mgrid[-1 : 1 : SIDE_PX * 1j, -1 : 1 : SIDE_PX * 1j]
    bend, width = generator.uniform(-0.25, 0.25), generator.uniform(0.35, 0.6)
    axis = bend * np.abs(y)
    canvas = 0.35 * _soft(1 - np.abs(x - axis) / width)
    thick = generator.uniform(0.1, 0.18)
    for offset in (0.0,) if generator.random() < 0.5 else (-0.17, 0.17):
        bone = thick * (1 + 0.7 * np.exp(-((y / 0.16) ** 2)))
        inside = np.abs(x - axis - offset) / bone
        canvas += _soft(1 - inside) * (0.3 + 0.2 * np.clip(inside, 0, 1) ** 2)
    canvas *= 1 - 0.5 * np.exp(-(((y - generator.uniform(-0.1, 0.1)) / 0.02) ** 2))
    noisy = canvas + generator.normal(0, 0.012, canvas.shape)
    return _grey(np.rot90(noisy, int(generator.integers(4))))


def draw_hand(generator: Generator) -> Grey:
    """Five fingers of three bones each on a palm: bright on black."""
    hand = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    wrist = np.array([160.0, 300.0])
    for finger, angle in enumerate(np.linspace(-0.75, 0.6, 5) + generator.normal(0, 0.05, 5)):
        direction = np.array([np.sin(angle), -np.cos(angle)])
        lengths = np.array([95, 55, 35, 25]) * (0.75 if finger == 0 else 1.0)
        start = wrist.copy()
        for length in lengths * generator.uniform(0.85, 1.1):
            end = start + direction * length
            for tone, breadth in ((0.3, 34), (0.75, 13), (0.6, 6)):
                ends = [point.astype(int).tolist() for point in (start, end)]
                layer = cv2.line(np.zeros_like(hand), ends[0], ends[1], tone, breadth)
                hand = np.maximum(hand, np.asarray(layer, np.float32))
            start = end + direction * 4
    soft = cv2.GaussianBlur(hand, (0, 0), 2.0)
    return _grey(soft + generator.normal(0, 0.01, soft.shape))


def draw_noise(generator: Generator) -> Grey:
    """White, pink, or salt and pepper."""
    white = generator.normal(0, 1, (SIDE_PX, SIDE_PX))
    kind = int(generator.integers(3))
    if kind == 0:
        return _grey(0.5 + 0.2 * white)
    if kind == 1:
        return _grey(_spread(_pink(white, generator.uniform(0.7, 1.8))))
    return _grey(np.where(white > 1, 1.0, np.where(white < -1, 0.0, 0.5)))


def draw_blank(generator: Generator) -> Grey:
    """One grey, with the noise of a detector that saw nothing."""
    level, sigma = generator.uniform(0.05, 0.95), generator.choice([0.0, 0.002, 0.01])
    return _grey(level + generator.normal(0, 1, (SIDE_PX, SIDE_PX)) * sigma)


def draw_gradient(generator: Generator) -> Grey:
    """A ramp at any angle, or a round one."""
    y, x = np.mgrid[-1 : 1 : SIDE_PX * 1j, -1 : 1 : SIDE_PX * 1j]
    angle = generator.uniform(0, 2 * np.pi)
    ramp = x * np.cos(angle) + y * np.sin(angle)
    chosen = ramp if generator.random() < 0.5 else np.hypot(x - 0.3 * ramp, y)
    return _grey(_spread(chosen))


def draw_stripes(generator: Generator) -> Grey:
    """Stripes or a checkerboard: a detector or transfer fault."""
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    period, angle = generator.uniform(4, 60), generator.uniform(0, np.pi)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    if generator.random() < 0.5:
        wave *= np.sin(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / period)
    return _grey(0.5 + 0.45 * np.sign(wave))


DRAWINGS: dict[str, Draw] = {
    "drawn page of text": draw_page,
    "drawn screenshot": draw_screenshot,
    "drawn chart": draw_chart,
    "drawn limb": draw_limb,
    "drawn hand": draw_hand,
    "noise": draw_noise,
    "blank": draw_blank,
    "gradient": draw_gradient,
    "stripes": draw_stripes,
}


def _soft(inside: Canvas) -> Canvas:
    """A ramp from 0 outside to 1 well inside."""
    return np.asarray(np.clip(inside * 4, 0, 1))


def _pink(white: Canvas, power: float) -> Canvas:
    """Noise whose amplitude falls with frequency."""
    frequency = np.hypot(np.fft.fftfreq(SIDE_PX)[:, None], np.fft.rfftfreq(SIDE_PX)[None])
    frequency[0, 0] = np.inf
    return np.asarray(np.fft.irfft2(np.fft.rfft2(white) / frequency**power, white.shape))


def _spread(canvas: Canvas) -> Canvas:
    low, high = np.percentile(canvas, (0.1, 99.9))
    return np.asarray((canvas - low) / (high - low))


def _grey(canvas: NDArray[np.floating]) -> Grey:
    return np.asarray(np.clip(canvas, 0, 1) * WHITE, np.uint16)
