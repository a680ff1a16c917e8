"""Published pages in headless Chromium: what a page asks for, prints, and who could not use it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

PROJECT = Path(__file__).resolve().parents[2]
AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = os.environ.get("CRM_LAB_CHROMIUM") or shutil.which("chromium")
"""Debian's browser; another one by the environment variable."""
SETTLE_MS = 120
HEIGHT = 900
WIDTHS = (1280, 400)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_SERIOUS = {"serious", "critical"}
_AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


@dataclass(slots=True)
class Seen:
    """What a page did while it was open.

    Attributes
    ----------
    console : list of str
        Errors that it printed.
    requests : list of str
        Everything it asked for beside itself and its own data.
    dialogs, navigations : list of str
        Boxes that it opened, and where it went.
    wider_by : int
        Pixels by which the document is wider than the window.
    violations : list of str
        What axe-core calls serious or critical.
    """

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    navigations: list[str] = field(default_factory=list)
    wider_by: int = 0
    violations: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """Give everything that must not be."""
        found = [*self.console, *self.requests, *self.dialogs, *self.navigations, *self.violations]
        if self.wider_by > 0:
            found.append(f"the document is {self.wider_by} pixels wider than the window")
        return found


class PageBrowser:
    """One Chromium for many pages.

    Playwright lives in a thread of its own: its event loop would otherwise count as running in
    the thread of every later test.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="browser")
        self._playwright: Any = None
        self._chromium: Any = None
        self._thread.submit(self._start).result()

    def _start(self) -> None:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )

    def close(self) -> None:
        """End the browser and its thread."""
        self._thread.submit(self._stop).result()
        self._thread.shutdown()

    def _stop(self) -> None:
        self._chromium.close()
        self._playwright.stop()

    def visit(
        self,
        address: str,
        use: Callable[[Any], Any] = lambda page: None,
        *,
        width: int = WIDTHS[0],
        scheme: Scheme = "light",
        with_axe: bool = False,
    ) -> tuple[Seen, Any]:
        """Open a page; give what it did, and what ``use`` made of it."""
        return self._thread.submit(self._visit, address, use, width, scheme, with_axe).result()

    def _visit(
        self, address: str, use: Callable[[Any], Any], width: int, scheme: Scheme, with_axe: bool
    ) -> tuple[Seen, Any]:
        seen = Seen()
        with self._page(address, seen, width, scheme) as page:
            page.goto(address)
            page.wait_for_timeout(SETTLE_MS)
            seen.wider_by = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if with_axe:
                seen.violations = _violations(page)
            return seen, use(page)

    @contextmanager
    def _page(self, address: str, seen: Seen, width: int, scheme: Scheme) -> Iterator[Any]:
        context = self._chromium.new_context(
            viewport={"width": width, "height": HEIGHT}, color_scheme=scheme
        )
        own = {address}
        context.on("request", lambda asked: _note_request(asked, own, seen))
        page = context.new_page()
        page.on("console", lambda m: seen.console.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: seen.console.append(str(error)))
        page.on("dialog", lambda box: (seen.dialogs.append(box.message), box.dismiss()))
        page.on("popup", lambda other: seen.navigations.append(other.url))
        page.on("framenavigated", lambda frame: _note_navigation(frame.url, own, seen))
        try:
            yield page
        finally:
            context.close()


def _note_request(asked: Any, own: set[str], seen: Seen) -> None:
    if asked.url not in own and not asked.url.startswith("data:image/"):
        seen.requests.append(asked.url)


def _note_navigation(address: str, own: set[str], seen: Seen) -> None:
    if address.partition("#")[0] not in own:
        seen.navigations.append(address)


def _violations(page: Any) -> list[str]:
    page.evaluate(AXE.read_text(encoding="utf-8"))  # past the policy of the page, as a debugger
    found = page.evaluate(
        "rules => axe.run({runOnly: rules, resultTypes: ['violations']})", _AXE_RULES
    )
    return [
        f"{item['id']} ({item['impact']}): {item['nodes'][0]['html'][:200]}"
        for item in found["violations"]
        if item["impact"] in _SERIOUS
    ]


def check_page(browser: PageBrowser, path: Path, width: int, scheme: Scheme) -> None:
    """Fail where a page is not as a page must be.

    Parameters
    ----------
    browser : PageBrowser
        From the fixture ``browser``.
    path : Path
        The HTML file.
    width : int
        Of the window, in pixels.
    scheme : {"light", "dark"}
        What the reader's system asks for.
    """
    seen, _ = browser.visit(path.as_uri(), width=width, scheme=scheme, with_axe=AXE.is_file())
    assert not seen.faults(), f"{path.parent.name} at {width} pixels, {scheme}: {seen.faults()}"


def open_browser() -> Iterator[PageBrowser]:
    """Give a browser for a fixture; skip with a reason where there is none."""
    pytest.importorskip("playwright", reason="the package playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    browser = PageBrowser()
    yield browser
    browser.close()
