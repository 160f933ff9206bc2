"""Templates -> answers, with the headers that keep a page to itself."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse

from service import __version__
from service.access.caller import LOCAL, Caller
from service.answers import NOTICE
from service.review.cases import WINDOW_DAYS
from service.review.desk import SIMULATED_MODEL, ReviewDesk
from service.review.statistics import Rate
from service.review.worklist import Row
from service.runtime import Runtime

DASH: Final = "\N{EN DASH}"
NBSP: Final = "\N{NO-BREAK SPACE}"

CSP: Final = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:",
    "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
))  # fmt: skip
"""Nothing from elsewhere, nothing inline."""

HEADERS: Final = {
    "Content-Security-Policy": CSP,
    # With `no-referrer` a browser calls the origin of its own form "null", and the gate refuses it.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

TRIED: Final = ("/", "/review/try")
"""Pages about an upload of the reader's own, whatever the log holds."""

NAVIGATION: Final = (
    ("/", "Try it"),
    ("/review", "Worklist"),
    ("/review/disagreements", "Disagreements"),
    ("/review/thresholds", "Thresholds"),
    ("/review/comparison", "Candidate"),
    ("/review/queue", "Queue"),
    ("/review/golive", "Go live"),
)


def percent(value: float | None) -> str:
    """0.973 -> 97.3 %; nothing counted is a dash, never 0."""
    return DASH if value is None else f"{100 * value:.1f}{NBSP}%"


def rated(rate: Rate) -> Markup:
    """A share with its interval, small."""
    if rate.value is None:
        return Markup('<span class="none">{}</span>').format(DASH)
    return Markup('<b>{}</b> <span class="ci">{:.1f}{}{:.1f}</span>').format(
        percent(rate.value), 100 * rate.low, DASH, 100 * rate.high
    )


def minutes(value: float | None) -> str:
    """Minutes as people say them."""
    if value is None:
        return DASH
    return f"{value:.0f} min" if value < 120 else f"{value / 60:.1f} h"


def moment(text: str) -> str:
    """An ISO time to the minute, in UTC."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")


def p_value(value: float) -> str:
    """As journals print it."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def thousands(number: int) -> str:
    """12345 -> 12,345."""
    return f"{number:,}"


def signed(value: float) -> str:
    """Four digits after the point, with a true minus sign."""
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def tuned_for(operating_point: str) -> str:
    """What a manifest calls `sensitivity>=0.97`, in words."""
    words = operating_point.replace(">=", f"{NBSP}\N{GREATER-THAN OR EQUAL TO}{NBSP}")
    return f"tuned for {words}"


def and_chosen(options: Sequence[object], chosen: object) -> list[object]:
    """Options of a form, and what was chosen beside them: an address may name any value."""
    is_missing = chosen is not None and chosen not in options
    return [*options, chosen] if is_missing else list(options)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("service.review"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent, "rated": rated, "minutes": minutes, "moment": moment,
        "p_value": p_value, "thousands": thousands, "signed": signed, "tuned_for": tuned_for,
        "and_chosen": and_chosen, "safe_svg": Markup,
    }  # fmt: skip
    return environment


ENVIRONMENT: Final = _environment()


async def compile_templates() -> None:
    """Compile them once, so that no first reader of a page waits for it; one by one, on a thread.

    Each holds the interpreter for some 10 ms, and an upload may come between two of them.
    """
    for name in ENVIRONMENT.list_templates():
        await asyncio.to_thread(ENVIRONMENT.get_template, name)


def render(
    request: Request, runtime: Runtime, template: str, *, desk: ReviewDesk, **values: Any
) -> HTMLResponse:
    """Fill a template; every page knows the model, the mode and how far the index is."""
    caller: Caller = request.state.caller
    body = ENVIRONMENT.get_template(template).render(
        path=request.url.path,
        navigation=NAVIGATION,
        notice=NOTICE,
        version=__version__,
        now=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=runtime.mode.value,
        model=runtime.model.stamp,
        is_access_off=caller == LOCAL,
        caller=caller,
        progress=request.state.index_progress,
        drawn=_drawn_part(desk, request.url.path, values.get("row")),
        window_days=WINDOW_DAYS,
        **values,
    )
    return HTMLResponse(body, headers=HEADERS)


def _drawn_part(desk: ReviewDesk, path: str, row: Row | None) -> str:
    """How much of what a page is about was drawn by `shadow simulate`: none, some or all."""
    if path in TRIED:
        return "none"
    models = desk.choices()["model"] if row is None else [row.model]
    drawn = [name.startswith(SIMULATED_MODEL) for name in models]
    if not any(drawn):
        return "none"
    return "all" if all(drawn) else "some"
