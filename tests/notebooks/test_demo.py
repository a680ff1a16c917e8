"""Every notebook runs as a report, in English and Russian: the demonstration from end to end.

All that needs the demonstration stands in this file: the tests of a file stay on one worker.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.notebooks.conftest import ROOT, manifests
from tests.notebooks.given_texts import left_in_english
from tests.reports.pages_in_browser import WIDTHS, PageBrowser, check_page

PLANTED_VISIBLE, PLANTED_HIDDEN = "reminder", "newsletter"


def result(manifest: dict, kind: str) -> dict:
    return next(item["data"] for item in manifest["results"] if item["kind"] == kind)


def test_every_notebook_became_a_good_page(demo: Path):
    kinds = {path.stem.lstrip("0123456789_") for path in (ROOT / "notebooks").glob("*.ipynb")}
    kinds -= {"start_here"}  # the tour, which has a test of its own
    for kind in kinds:
        runs = manifests(demo, kind)
        assert runs, kind
        assert {run["status"] for run in runs} == {"ok"}, kind
    pages = list((demo / "reports" / "runs").glob("*/*/report.html"))
    assert len(pages) == 13
    for page in pages:
        text = page.read_text("utf-8")
        assert len(text) < 1_000_000
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "<script" not in text
    index = (demo / "reports" / "index.html").read_text("utf-8")
    assert all(page.parent.name in index for page in pages)


def test_the_planted_effect_is_found_and_the_small_one_is_not_claimed(demo: Path):
    (manifest,) = manifests(demo, "campaign_experiment")
    found = result(manifest, "experiment_result")
    arms = {arm["arm"]: arm for arm in found["arms"]}
    assert found["verdict"] == "ship"
    assert arms[PLANTED_VISIBLE]["verdict"] == "ship"
    assert arms[PLANTED_HIDDEN]["verdict"] == "cannot conclude"
    planted = result(manifest, "planted_check")
    for truth, _, low, high in planted["rows"]:
        per_customer = truth["revenue"] / planted["customers"][truth["arm"]]
        assert low <= per_customer <= high
    text = " ".join(item["sentence"] for item in manifest["results"])
    assert "planted" in text


def test_all_checks_of_the_campaign_are_good(demo: Path):
    (manifest,) = manifests(demo, "campaign_experiment")
    lights = result(manifest, "experiment_result")["lights"]
    assert {item["name"]: item["tone"] for item in lights if item["tone"] != "good"} == {}
    assert len(lights) == 5


def test_false_positives_keep_their_promise_on_real_orders(demo: Path):
    runs = manifests(demo, "aa_calibration")
    assert len(runs) == 2
    for manifest in runs:
        calibration = result(manifest, "calibration")
        assert calibration["draws"] == 1000
        for test in calibration["tests"]:
            if test["is_default"]:
                rate = (test["lifts"] + test["drops"]) / test["draws"]
                assert rate < test["alpha"] + 0.0205, test  # 99.7 % of 1,000 draws at 5 %
                assert test["lifts"] / test["draws"] < test["alpha"] / 2 + 0.015, test


def test_the_base_page_says_that_the_campaigns_were_not_randomised(demo: Path):
    (manifest,) = manifests(demo, "customer_base")
    base = result(manifest, "base_overview")
    assert len(base["chosen_campaigns"]) == 22
    page = next((demo / "reports" / "runs" / "customer_base").glob("*/report.html"))
    assert "no lift may be read" in page.read_text("utf-8")


def test_money_of_the_base_is_that_of_the_files(demo: Path):
    (manifest,) = manifests(demo, "customer_base")
    for batch in result(manifest, "base_overview")["imports"]:
        assert batch["rows_in"] == batch["rows_loaded"] + batch["rows_rejected"]
        assert batch["status"] in ("ok", "partial")


def test_the_shop_of_3000_gets_the_honest_answer(demo: Path):
    designs = {
        run["parameters"]["example_customers"]: run for run in manifests(demo, "experiment_design")
    }
    small, large = designs[3000]["headline"], designs[1_000_000]["headline"]
    assert "With 150 control customers only a change of about +8" in small
    assert "pool" in small
    assert "enough for most campaigns" in large


def test_the_decision_stands_on_the_page(demo: Path):
    page = next((demo / "reports" / "runs" / "campaign_experiment").glob("*/report.html"))
    assert "reminder only; look again in February" in page.read_text("utf-8")


def test_the_forecast_says_what_it_was_worth(demo: Path):
    (manifest,) = manifests(demo, "ltv_forecast")
    assert manifest["headline"].startswith(
        "Do not publish this forecast: the same forecast, made on 1997-09-30, was 15 % too low"
    )


def test_the_month_is_compared_with_its_plan_and_its_revision(demo: Path):
    (manifest,) = manifests(demo, "month_pacing")
    assert "2017-11 should end at" in manifest["headline"]
    assert "The plan was revised once" in manifest["headline"]


def test_what_crm_brings_is_not_decided_before_the_planned_horizon(demo: Path):
    (manifest,) = manifests(demo, "crm_effect")
    assert "4 of 13 planned weeks are known; nothing is decided before" in manifest["headline"]


def test_the_school_finds_its_best_form(demo: Path):
    page = next((demo / "reports" / "runs" / "funnel").glob("*/report.html"))
    assert "The largest share is that of Quiz: find your course" in page.read_text("utf-8")


def test_manifests_hold_what_a_repeat_needs(demo: Path):
    for path in (demo / "reports" / "runs").glob("*/*/manifest.json"):
        manifest = json.loads(path.read_text("utf-8"))
        assert manifest["parameters"]["snapshot"] >= 1
        assert len(manifest["context"]["snapshot_sha256"]) == 64
        assert manifest["packages"]["pandas"]
        assert len(manifest["notebook"]["sha256"]) == 64
        assert str(demo) not in path.read_text("utf-8")


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
