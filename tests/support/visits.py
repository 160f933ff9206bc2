"""A person's browser: pages at a width and in a theme, and whatever they ask for or complain of."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, Route

CHROMIUM = shutil.which("chromium")
AXE = importlib.util.find_spec("axe_core_python")
SLOW_MACHINE_MS = 120_000
Scheme = Literal["light", "dark"]
VIEWS: dict[str, tuple[int, int, Scheme]] = {
    "wide-light": (1280, 900, "light"),
    "wide-dark": (1280, 900, "dark"),
    "middle-light": (1024, 768, "light"),
    "narrow-light": (390, 844, "light"),
    "narrow-dark": (390, 844, "dark"),
}
CUT_TABLES = """() => [...document.querySelectorAll(".scroll")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.ariaLabel)"""


TURNED = """() => Promise.allSettled(document.getAnimations()
  .filter((one) => one instanceof CSSTransition).map((one) => one.finished))"""


class Visit:
    """A page, and what it asked for outside the service or said on the console."""

    def __init__(self, browser: Browser, address: str, view: str = "wide-light") -> None:
        context = browser.new_context(reduced_motion="reduce")
        self.strays: list[str] = []
        self.complaints: list[str] = []
        context.set_default_timeout(SLOW_MACHINE_MS)
        context.route("**/*", lambda route: self._let_through(route, address))
        self.page: Page = context.new_page()
        self.look_as(view)
        self.page.on("console", lambda told: self.complaints.append(told.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def close(self) -> None:
        """Close the browser's window, and forget what it kept."""
        self.page.context.close()

    def look_as(self, view: str) -> None:
        """Turn the open page to another width and theme."""
        width, height, scheme = VIEWS[view]
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme)
        self.page.evaluate(TURNED)

    def serious_faults(self, *rules: str) -> list[Any]:
        """What axe-core calls serious or critical, by all of its rules or by these."""
        assert AXE is not None
        assert AXE.origin is not None
        self.page.evaluate((Path(AXE.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
        violations: list[dict[str, Any]] = self.page.evaluate(
            "(options) => axe.run(options).then((told) => told.violations)",
            {"runOnly": {"type": "rule", "values": rules}} if rules else {},
        )
        return [
            (fault["id"], [node["target"] for node in fault["nodes"]])
            for fault in violations
            if fault["impact"] in ("serious", "critical")
        ]

    def cut_tables(self) -> list[str]:
        """Names of the tables that are wider than their place, so that a column is not seen."""
        cut: list[str] = self.page.evaluate(CUT_TABLES)
        return cut

    def faults_in_every_view(self) -> dict[str, Any]:
        """What is wrong with the open page at any width and in either theme; `{}` is all well.

        A theme changes colours alone, so in the dark axe-core looks at contrast alone. A narrow
        screen may move a wide table within its place.
        """
        faults: dict[str, Any] = {}
        for view in VIEWS:
            self.look_as(view)
            rules = ("color-contrast",) if view.endswith("dark") else ()
            cut = [] if view.startswith("narrow") else self.cut_tables()
            told = (self.serious_faults(*rules), cut, self.overflow_px())
            if told != ([], [], 0):
                faults[view] = told
        return faults

    def overflow_px(self) -> int:
        """How far the page reaches beyond its width."""
        beyond: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return beyond

    def _let_through(self, route: Route, address: str) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
            return
        self.strays.append(route.request.url)
        route.abort()
