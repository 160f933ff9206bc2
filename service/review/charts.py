"""Numbers -> small SVG pictures, drawn here: no script, no style attribute, readable in any theme.

Colours come from the classes of the style sheet; each picture has a title and a description.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 14, 48
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

TOLD_POINTS = 11
"""Of a curve, in its description."""


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; `style` is a class of the style sheet."""

    name: str
    style: str
    x: Sequence[float]
    y: Sequence[float]


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    marker: float | None = None,
    x_range: tuple[float, float] = (0.0, 1.0),
    y_range: tuple[float, float] = (0.0, 1.0),
    is_percent: bool = True,
) -> str:
    """Curves over one axis, with an upright line at `marker`."""
    parts = [_grid(y_range, is_percent=is_percent), _x_ticks(x_range)]
    for line in lines:
        points = " ".join(
            f"{_x(x, x_range):.1f},{_y(y, y_range):.1f}"
            for x, y in zip(line.x, line.y, strict=True)
        )
        parts.append(f'<polyline class="curve {line.style}" points="{points}"/>')
    if marker is not None:
        at = _x(marker, x_range)
        parts.append(
            f'<line class="marker" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{_floor()}"/>'
        )
    parts.append(_axis_label(x_label))
    return _picture(
        title, parts, [(line.name, line.style) for line in lines], _told(lines, x_label)
    )


def histogram(title: str, groups: Sequence[tuple[str, str, Sequence[int]]], *, x_label: str) -> str:
    """Counts of several groups over 0..1, side by side; heights are square roots."""
    bins = len(groups[0][2])
    top = max((max(counts, default=0) for _, _, counts in groups), default=0) or 1
    slot = INNER_WIDTH / bins
    width = slot * 0.86 / len(groups)
    parts = [_x_ticks((0.0, 1.0))]
    for number, (_, style, counts) in enumerate(groups):
        for index, count in enumerate(counts):
            tall = INNER_HEIGHT * (count / top) ** 0.5
            left = LEFT + index * slot + slot * 0.07 + number * width
            parts.append(
                f'<rect class="bar {style}" x="{left:.1f}" y="{_floor() - tall:.1f}" '
                f'width="{width:.1f}" height="{tall:.1f}"/>'
            )
    parts.append(_axis_label(x_label))
    told = "; ".join(f"{name}: {', '.join(map(str, counts))}" for name, _, counts in groups)
    description = f"Radiographs in {bins} equal parts from 0 to 1. {told}."
    return _picture(title, parts, [(name, style) for name, style, _ in groups], description)


def interval_bar(value: float | None, low: float, high: float, target: float | None = None) -> str:
    """A share with its interval on a line from 0 to 1, and its target."""
    parts = ['<line class="rail" x1="4" x2="196" y1="12" y2="12"/>']
    scale = 192.0
    parts.append(
        f'<line class="span" x1="{4 + low * scale:.1f}" x2="{4 + high * scale:.1f}" '
        'y1="12" y2="12"/>'
    )
    if value is not None:
        parts.append(f'<circle class="dot" cx="{4 + value * scale:.1f}" cy="12" r="4.5"/>')
    if target is not None:
        at = 4 + target * scale
        parts.append(f'<line class="target" x1="{at:.1f}" x2="{at:.1f}" y1="2" y2="22"/>')
    told = "nothing counted" if value is None else f"{value:.1%}, {low:.1%} to {high:.1%}"
    return (
        f'<svg class="interval" viewBox="0 0 200 24" role="img" aria-label="{told}">'
        f"{''.join(parts)}</svg>"
    )


def _told(lines: Sequence[Line], x_label: str) -> str:
    """Curves in words: some points of each, evenly chosen."""
    told = []
    for line in lines:
        step = max(1, (len(line.x) - 1) // (TOLD_POINTS - 1))
        points = zip(line.x[::step], line.y[::step], strict=True)
        told.append(f"{line.name}: " + ", ".join(f"{y:.3f} at {x:.2f}" for x, y in points))
    return f"By {x_label}. {'; '.join(told)}."


def _picture(
    title: str, parts: Sequence[str], legend: Sequence[tuple[str, str]], description: str
) -> str:
    keys = "".join(
        f'<span class="key"><span class="swatch {style}"></span>{escape(name)}</span>'
        for name, style in legend
    )
    return (
        f'<figure class="chart"><figcaption>{escape(title)}<span class="keys">{keys}</span>'
        f'</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><desc>{escape(description)}</desc>{"".join(parts)}</svg></figure>'
    )


def _grid(y_range: tuple[float, float], *, is_percent: bool) -> str:
    low, high = y_range
    parts = []
    for step in range(5):
        value = low + (high - low) * step / 4
        at = _y(value, y_range)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        told = f"{value:.0%}" if is_percent else f"{value:,.0f}"
        parts.append(_text(LEFT - 8, at + 4, told, "end"))
    return "".join(parts)


def _x_ticks(x_range: tuple[float, float]) -> str:
    low, high = x_range
    values = [low + (high - low) * step / 5 for step in range(6)]
    return "".join(_text(_x(v, x_range), _floor() + 18, f"{v:g}", "middle") for v in values)


def _axis_label(text: str) -> str:
    return _text(LEFT + INNER_WIDTH / 2, HEIGHT - 3, text, "middle")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _x(value: float, x_range: tuple[float, float]) -> float:
    return LEFT + INNER_WIDTH * (value - x_range[0]) / (x_range[1] - x_range[0])


def _y(value: float, y_range: tuple[float, float]) -> float:
    return TOP + INNER_HEIGHT * (1 - (value - y_range[0]) / (y_range[1] - y_range[0]))


def _floor() -> float:
    return HEIGHT - BOTTOM
