"""Published pages as a browser shows them: quiet, whole, usable, and deaf to hostile text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from crm_lab.cards import RESULT_MIME
from crm_lab.headlines import HeadlineNumber
from crm_lab.reports import RunRecord, rebuild_index
from crm_lab.reports.manifest import Manifest
from crm_lab.reports.publishing import render_page
from tests.reports import hostile
from tests.reports.pages_in_browser import (
    AXE,
    SCHEMES,
    WIDTHS,
    PageBrowser,
    Scheme,
    check_page,
)

RUNS = 60
EVERY_LOOK = [(width, scheme) for width in WIDTHS for scheme in SCHEMES]


@pytest.fixture(scope="module")
def catalogue(published: RunRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of many runs: three kinds, two campaigns, two months, some failed."""
    folder = tmp_path_factory.mktemp("catalogue")
    template = json.loads((published.folder / "manifest.json").read_text(encoding="utf-8"))
    for number in range(RUNS):
        failed = number % 10 == 3
        day = f"2026-{1 + number % 2:02d}-{1 + number % 28:02d}"
        kind = ("campaign", "base", "ltv_forecast")[number % 3]
        run = folder / "runs" / kind / f"run-{number:03d}"
        run.mkdir(parents=True)
        changed = template | {
            "run_id": run.name,
            "kind": kind,
            "title": f"{hostile.EVERY[number % len(hostile.EVERY)][:200]} {number}",
            "status": "failed" if failed else "ok",
            "headline": f"Boom {number}: {hostile.HTML[0]}" if failed else f"Good {number}.",
            "parameters": {"experiment": ("spring", "autumn")[number % 2]},
            "decisions": [{"day": day, "decision": "ship", "by": "Boss", "note": hostile.HTML[2]}],
            "started_at": f"{day}T10:00:00Z",
            "finished_at": f"{day}T10:00:01Z",
        }
        (run / "manifest.json").write_text(json.dumps(changed), encoding="utf-8")
    rebuild_index(folder)
    return folder


def test_the_rules_of_accessibility_are_at_hand(browser: PageBrowser) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci")


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_a_page_is_as_a_page_must_be(
    browser: PageBrowser, published: RunRecord, width: int, scheme: Scheme
) -> None:
    check_page(browser, published.html, width, scheme)


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_the_list_is_as_a_page_must_be(
    browser: PageBrowser, catalogue: Path, width: int, scheme: Scheme
) -> None:
    check_page(browser, catalogue / "index.html", width, scheme)


@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_text_is_inert(
    browser: PageBrowser, published: RunRecord, tmp_path: Path, width: int
) -> None:
    page = tmp_path / "report.html"
    page.write_text(_hostile_page(published), encoding="utf-8")
    seen, _ = browser.visit(page.as_uri(), _poke, width=width)
    assert not seen.faults()


def _poke(page: Any) -> None:
    """Do what a curious reader does: open, point at and click everything."""
    page.evaluate(
        """() => {
            for (const each of document.querySelectorAll('details')) each.open = true;
            for (const each of document.querySelectorAll('main *')) {
                each.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));
                each.dispatchEvent(new FocusEvent('focus'));
                if (each.tagName !== 'A') each.dispatchEvent(new MouseEvent('click'));
            }
        }"""
    )
    for link in page.query_selector_all("main a"):
        assert (link.get_attribute("href") or "#").startswith(("#", "http", "mailto:"))
    page.wait_for_timeout(100)


def _hostile_page(published: RunRecord) -> str:
    manifest = Manifest.model_validate_json((published.folder / "manifest.json").read_bytes())
    every = "\n\n".join(hostile.EVERY)
    cells = [nbformat.v4.new_markdown_cell(f"# {hostile.HTML[0]}\n\n{every}")]
    for text in hostile.EVERY:
        number = HeadlineNumber(label=text, estimate=1.0, low=0.5, high=2.0, note=text).to_dict()
        light = {"name": text, "word": text, "tone": text}
        payload = {
            "kind": "x",
            "title": text,
            "sentence": text,
            "about": text,
            "numbers": [number | {"text": text}, number],
            "data": {"lights": [light], "verdict": text},
        }
        table = f"<table><thead><tr><th>{text}</th></tr></thead><tr><td>{text}</td></tr></table>"
        outputs = [
            nbformat.v4.new_output("display_data", data={"text/html": table, RESULT_MIME: payload}),
            nbformat.v4.new_output("display_data", data={"text/markdown": text}),
            nbformat.v4.new_output("display_data", data={"text/plain": text}),
            nbformat.v4.new_output(
                "display_data", data={"image/png": "AAAA"}, metadata={"alt": text}
            ),
        ]
        cells.append(nbformat.v4.new_code_cell("1", outputs=outputs))
    changed = manifest.model_copy(
        update={
            "title": every,
            "headline": every,
            "parameters": {text: text for text in hostile.EVERY},
            "context": {f"key {number}": text for number, text in enumerate(hostile.EVERY)},
            "changes_sentence": every,
        }
    )
    return render_page(nbformat.v4.new_notebook(cells=cells), changed)


def _shown(page: Any) -> int:
    return int(page.locator("#runs tr:visible").count())


def test_the_list_shows_the_newest_until_all_are_asked_for(
    browser: PageBrowser, catalogue: Path
) -> None:
    def use(page: Any) -> tuple[int, int]:
        first = _shown(page)
        page.click("#show-all")
        return first, _shown(page)

    _, (first, every) = browser.visit((catalogue / "index.html").as_uri(), use)
    assert first == 50
    assert every == RUNS


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("#kind", "base", 20),
        ("#subject", "autumn", 30),
        ("#status", "failed", 6),
        ("#words", "boom 13", 1),
        ("#words", "nothing like this", 0),
        ("#since", "2026-02-01", 30),
        ("#until", "2026-01-31", 30),
    ],
)
def test_the_filters_of_the_list_work(
    browser: PageBrowser, catalogue: Path, field: str, value: str, expected: int
) -> None:
    def use(page: Any) -> tuple[int, bool]:
        if field in ("#kind", "#subject", "#status"):
            page.select_option(field, value)
        else:
            page.fill(field, value)
        return _shown(page), page.locator("#no-match").is_visible()

    _, (shown, says_nothing) = browser.visit((catalogue / "index.html").as_uri(), use)
    assert shown == expected
    assert says_nothing == (expected == 0)


def test_links_of_the_list_lead_to_pages(browser: PageBrowser, published: RunRecord) -> None:
    index = published.folder.parents[2] / "index.html"

    def use(page: Any) -> str:
        page.click("#runs a")
        return str(page.title())

    _, title = browser.visit(index.as_uri(), use)
    assert title.startswith("Winter <script>")
