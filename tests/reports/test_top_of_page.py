"""What stands at the top of a page: subtitle, verdict, number, chart, checks, changes."""

from __future__ import annotations

import io
import json
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image

from crm_lab.cards import RESULT_MIME, card
from crm_lab.headlines import HeadlineNumber
from crm_lab.language import using_language
from crm_lab.reports import RunRecord
from crm_lab.reports.localising import localised
from crm_lab.reports.manifest import Manifest
from crm_lab.reports.pictures import SMALL_BYTES, smaller_png
from crm_lab.reports.publishing import render_page
from crm_lab.reports.rendering import Body, render_body

NUMBERS = (
    HeadlineNumber(label="Extra", estimate=9e3, low=1e3, high=2e4, kind="money", unit="RUB"),
    HeadlineNumber(label="Attributed", estimate=5e4, kind="money", unit="RUB", note="Not extra."),
)
PNG = "iVBORw0KGgo="


def result(sentence: str, **data: Any) -> Any:
    verdict = data.get("verdict", "")
    payload = {
        "kind": "x",
        "title": "What it brought",
        "sentence": sentence,
        "about": "Two mailings to everybody.",
        "numbers": [number.to_dict() for number in NUMBERS],
        "data": data,
    }
    html = card("What it brought", sentence, numbers=NUMBERS, verdict=verdict)
    return shown({"text/html": html, RESULT_MIME: payload})


def shown(data: dict[str, Any]) -> Any:
    return nbformat.v4.new_output("display_data", data=data)


def code(*outputs: Any, tags: tuple[str, ...] = ()) -> Any:
    cell = nbformat.v4.new_code_cell("1", outputs=list(outputs))
    cell.metadata["tags"] = list(tags)
    return cell


def body(*cells: Any) -> Body:
    made = [nbformat.v4.new_markdown_cell(c) if isinstance(c, str) else c for c in cells]
    return render_body(nbformat.v4.new_notebook(cells=made))


def test_the_leading_result_stands_at_the_top_and_nowhere_else() -> None:
    light = {"name": "Power", "word": "good", "tone": "good"}
    found = body("# T", code(result("Ship. It pays.", verdict="ship", lights=[light])))
    assert found.html == ""
    assert found.lead.about == "Two mailings to everybody."
    assert '<span class="amount">+9,000 RUB</span>' in found.lead.numbers
    assert '<span class="range">(1,000 to 20,000)</span>' in found.lead.numbers
    assert found.lead.numbers.count("<svg") == 1
    assert '<p class="note">Not extra.</p>' in found.lead.numbers
    assert "Power: good" in found.lead.lights


def test_the_first_verdict_leads_and_other_cards_keep_their_numbers() -> None:
    found = body(code(result("First.")), code(result("Stop. No.", verdict="stop")))
    assert "First." in found.html
    assert found.html.count("<svg") == 1
    assert "crm-number" not in found.html
    assert "No." not in found.html


def test_a_number_that_is_only_text_stands_large_without_a_bar() -> None:
    number = {"number": "12 (10 to 14) in June", "number_label": "orders"}
    payload = {"sentence": "S.", **number, "data": {}}
    found = body(code(shown({"text/html": "<h4>T</h4><p>S.</p>", RESULT_MIME: payload})))
    assert '<p class="what">orders</p>' in found.lead.numbers
    assert '<span class="amount">12</span> <span class="range">(10 to 14)</span>' in (
        found.lead.numbers
    )
    assert "<svg" not in found.lead.numbers


def test_the_chart_of_the_page_moves_up_and_leaves_no_empty_section() -> None:
    chart = shown({"image/png": PNG})
    found = body("## Chart", code(chart, tags=("headline-chart",)), "## Next", "Text.")
    assert found.lead.chart.startswith("<figure")
    assert "<figure" not in found.html
    assert [text for _, text in found.contents] == ["Next"]
    kept = body("## Chart\n\nWhat it shows.", code(chart, tags=("headline-chart",)))
    assert "What it shows." in kept.html


def test_a_failed_run_moves_nothing_to_the_top() -> None:
    cells = [code(result("Ship. It pays.", verdict="ship"), tags=("headline-chart",))]
    found = render_body(nbformat.v4.new_notebook(cells=cells), stop_at=0)
    assert "It pays." in found.html
    assert found.lead.numbers == ""


def test_progress_bars_stay_in_the_notebook() -> None:
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "50%|##"}
    assert body(code(shown(widget))).html == ""


def test_rows_are_named_by_their_columns_for_a_narrow_screen() -> None:
    head = '<tr><th>arm</th><th>"sent"</th><th>opened</th></tr>'
    row = "<tr><td>a</td><td>12</td><td>a rather long text, longer than most others</td></tr>"
    table = f"<table><thead>{head}</thead><tbody>{row}</tbody></table>"
    html = body(code(shown({"text/html": table}))).html
    assert '<table class="stacks">' in html
    assert '<td class="text" data-label="arm">a</td>' in html
    assert '<td data-label="&quot;sent&quot;">12</td>' in html
    assert '<td class="text long" data-label="opened">' in html


def test_a_large_picture_gets_smaller_and_looks_the_same() -> None:
    rng = np.random.default_rng(1)
    drawn = np.repeat(rng.integers(0, 4, (60, 80)), 8, axis=0).repeat(8, axis=1) * 80
    picture = Image.fromarray(np.dstack([drawn, drawn // 2, drawn]).astype("uint8"))
    out = io.BytesIO()
    picture.save(out, format="PNG", compress_level=0)
    smaller = smaller_png(out.getvalue())
    assert len(smaller) < len(out.getvalue()) / 10
    again = np.asarray(Image.open(io.BytesIO(smaller)).convert("RGB"), dtype=int)
    assert np.abs(again - np.asarray(picture, dtype=int)).max() <= 2


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"x" * SMALL_BYTES])
def test_what_is_no_picture_stays_as_it_is(content: bytes) -> None:
    assert smaller_png(content) == content


def test_a_page_is_in_the_language_of_its_run(published: RunRecord) -> None:
    data = json.loads((published.folder / "manifest.json").read_text(encoding="utf-8"))
    changes = [{"what": "data_to", "kind": "data", "before": "1", "after": "<b>2"}]
    changed = {"language": "ru", "changes": changes, "changes_sentence": "Данные новые."}
    manifest = Manifest.model_validate(data | changed)
    notebook = nbformat.read(published.folder / "executed.ipynb", as_version=4)
    page = render_page(notebook, manifest)
    assert '<html lang="ru">' in page
    for text in ("Нельзя сделать вывод", "Метод и данные", "01.01.2016 – 01.10.2017", "Готов"):
        assert text in page
    assert "Данные новые." in page
    assert '<th scope="row">данные по</th>' in page
    assert "&lt;b&gt;2" in page


def test_a_page_without_a_run_before_it_says_nothing_of_changes(published: RunRecord) -> None:
    data = json.loads((published.folder / "manifest.json").read_text(encoding="utf-8"))
    manifest = Manifest.model_validate(data | {"changes": [], "changes_sentence": ""})
    notebook = nbformat.read(published.folder / "executed.ipynb", as_version=4)
    assert "What changed since the last run" not in render_page(notebook, manifest)


@pytest.mark.parametrize(
    "source",
    [
        "My own text\n| a | b |\n|---|---|\n| 1 | 2 |\nMy own end",
        "line one  \nline two\\\nline three",
        "An example:\n\n    x = 1\n    y = 2\n\nMy own end\n",
        "- an item\n  that goes on\n1. another\n   that goes on",
    ],
)
def test_markdown_of_ones_own_stays_as_it_is_written(source: str) -> None:
    cells = [nbformat.v4.new_markdown_cell(source)]
    assert localised(nbformat.v4.new_notebook(cells=cells), "ru").cells[0].source == source


def test_a_text_directly_above_a_table_is_translated_in_its_place() -> None:
    source = "All reports\n| a | b |\n|---|---|"
    cells = [nbformat.v4.new_markdown_cell(source)]
    found = localised(nbformat.v4.new_notebook(cells=cells), "ru").cells[0].source
    assert found == "Все отчёты\n| a | b |\n|---|---|"


def test_markdown_is_translated_in_blocks_and_code_is_not() -> None:
    source = "## Can it be trusted?\n\n- All reports\n- unheard of\n\n```\nAll reports\n```"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(source), nbformat.v4.new_code_cell("# All reports")]
    )
    found = localised(notebook, "ru")
    assert found.cells[0].source == (
        "## Можно ли этому верить?\n\n- Все отчёты\n- unheard of\n\n```\nAll reports\n```"
    )
    assert found.cells[1].source == "# All reports"
    assert notebook.cells[0].source == source
    assert localised(notebook, "en") is notebook


def test_alt_texts_and_tables_speak_the_language() -> None:
    with using_language("ru"):
        found = body("## Эффект", code(shown({"image/png": PNG})))
    assert 'alt="График: Эффект"' in found.html
