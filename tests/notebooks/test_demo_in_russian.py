"""The same reports in Russian: whole, translated to the last word, and usable."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from tests.notebooks.conftest import manifests
from tests.reports.pages_in_browser import WIDTHS, PageBrowser, check_page
from tests.russian import latin_words

pytestmark = pytest.mark.xdist_group("demo")

_UNSEEN = re.compile(r"<(style|script|svg|head)\b.*?</\1>|<[^>]*>|\bdata:\S+", re.S)
_NAMES = frozenset()
"""Names of the demonstration's data: people gave them, nobody translates them."""


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
        assert told["numbers"] == twin["numbers"], told["kind"]


def test_nothing_is_left_in_english(russian_pages: list[Path]):
    left = {}
    for page in russian_pages:
        text = html.unescape(_UNSEEN.sub(" ", page.read_text("utf-8")))
        words = latin_words(text, allowed=_NAMES)
        if words:
            left[page.parent.parent.name] = sorted(set(words))
    assert left == {}


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_usable_in_a_browser(
    demo: Path, russian_pages: list[Path], browser: PageBrowser, width: int
):
    pages = [*sorted((demo / "reports" / "runs").glob("*/*/report.html")), *russian_pages]
    for page in [*pages, demo / "reports" / "index.html"]:
        check_page(browser, page, width, "light" if width > 1000 else "dark")
