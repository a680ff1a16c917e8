"""The same reports in Russian: whole, translated to the last word, and usable."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.notebooks.conftest import manifests
from tests.notebooks.given_texts import left_in_english
from tests.reports.pages_in_browser import WIDTHS, PageBrowser, check_page

pytestmark = pytest.mark.xdist_group("demo")


def test_every_report_exists_in_russian(demo: Path, russian_pages: list[Path]):
    english = sorted((demo / "reports" / "runs").glob("*/*/report.html"))
    assert len(russian_pages) == len(english)
    for page in russian_pages:
        assert '<html lang="ru"' in page.read_text("utf-8")


def test_both_languages_say_the_same_numbers(demo: Path, russian_pages: list[Path]):
    for page in russian_pages:
        told = json.loads((page.parent / "manifest.json").read_text("utf-8"))
        twins = [
            manifest
            for manifest in manifests(demo, told["kind"])
            if {**manifest["parameters"], "language": "ru"} == told["parameters"]
        ]
        (twin,) = twins
        # rows that are named by a text have its language in their names
        assert Counter(told["numbers"].values()) == Counter(twin["numbers"].values()), told["kind"]


def test_nothing_is_left_in_english(demo: Path, russian_pages: list[Path]):
    left = {page.parent.name: left_in_english(page, demo) for page in russian_pages}
    assert {name: words for name, words in left.items() if words} == {}


def test_an_untranslated_sentence_would_be_found(
    demo: Path, russian_pages: list[Path], tmp_path: Path
):
    page = tmp_path / "report.html"
    whole = russian_pages[0].read_text("utf-8")
    page.write_text(whole.replace("</main>", "<p>reminder is ahead of chance</p></main>"), "utf-8")
    shutil.copy(russian_pages[0].parent / "manifest.json", tmp_path)
    assert left_in_english(page, demo) == ["is", "ahead", "of", "chance"]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_usable_in_a_browser(
    demo: Path, russian_pages: list[Path], browser: PageBrowser, width: int
):
    pages = [*sorted((demo / "reports" / "runs").glob("*/*/report.html")), *russian_pages]
    for page in [*pages, demo / "reports" / "index.html"]:
        check_page(browser, page, width, "light" if width > 1000 else "dark")
