from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest

from crm_lab.cards import RESULT_MIME
from crm_lab.reports import RunRecord, rebuild_index
from crm_lab.reports.catalogue import listed_runs
from crm_lab.reports.cleaning import clean_html, markdown_html
from crm_lab.reports.rendering import render_body
from crm_lab.reports.staging import slug
from crm_lab.reports.wording import VERDICTS, verdict_look
from tests.reports import hostile

FORBIDDEN_TAGS = {
    "script", "style", "meta", "base", "link", "iframe", "object", "embed", "form", "input",
    "svg", "math", "video", "audio", "template", "noscript", "plaintext",
}  # fmt: skip


class Seen(HTMLParser):
    """Collects what a page holds."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def assert_inert(fragment: str) -> None:
    for tag, attributes in Seen(fragment).tags:
        assert tag not in FORBIDDEN_TAGS, fragment
        assert not [name for name in attributes if name.startswith("on")], fragment
        assert "style" not in attributes
        assert re.match(r"(https?:|mailto:|#)", attributes.get("href") or "#"), fragment
        assert re.match(r"data:image/(png|jpeg)", attributes.get("src") or "data:image/png")


@pytest.fixture(scope="module")
def page(published: RunRecord) -> str:
    return published.html.read_text(encoding="utf-8")


@pytest.mark.parametrize("source", hostile.EVERY)
def test_hostile_html_is_inert(source: str) -> None:
    assert_inert(clean_html(source))
    assert_inert(markdown_html(source))
    assert "id=" not in clean_html(source)


@pytest.mark.parametrize("source", hostile.EVERY)
def test_hostile_outputs_leave_the_page_whole(source: str) -> None:
    outputs = [
        nbformat.v4.new_output("display_data", data={"text/html": source}),
        nbformat.v4.new_output("display_data", data={"text/markdown": f"# {source}"}),
        nbformat.v4.new_output("display_data", data={"text/plain": source}),
        nbformat.v4.new_output(
            "display_data",
            data={"image/png": f'AAAA" onerror="alert(1)"{source}'},
            metadata={"alt": source, "image/png": {"width": source}},
        ),
    ]
    cells = [
        nbformat.v4.new_markdown_cell(f"# {source}\n\n## {source}"),
        nbformat.v4.new_code_cell("1", outputs=outputs),
    ]
    body = render_body(nbformat.v4.new_notebook(cells=cells))
    assert_inert(body.html)
    assert body.html.count("<div") == body.html.count("</div>")


def test_tables_keep_their_headers_and_get_a_box() -> None:
    table = (
        '<div class="crm-scroll"><table><thead><tr><th scope="col">a</th><th scope="col">b</th>'
        "</tr></thead><tbody><tr><td>x</td><td>+1.2 % (0.3 to 2.1 %)</td></tr></tbody></table>"
        "</div>"
    )
    output = nbformat.v4.new_output("display_data", data={"text/html": table})
    cell = nbformat.v4.new_code_cell("1", outputs=[output])
    html = render_body(nbformat.v4.new_notebook(cells=[cell])).html
    assert '<th scope="col" class="text">a</th><th scope="col">b</th>' in html
    assert '<td class="text">x</td><td>+1.2 % (0.3\u00a0to\u00a02.1\u00a0%)</td>' in html
    assert (
        '<div class="table-box" tabindex="0" role="group" aria-label="Table"><table class="pairs">'
        in html
    )


def test_lights_carry_a_word_and_a_glyph() -> None:
    given = [
        {"name": "Sample ratio", "word": "passes <b>", "tone": "good"},
        {"name": "Power", "word": "weak", "tone": '"><script>'},
        "no mapping",
    ]
    payload = {"kind": "x", "title": "T", "sentence": "S.", "data": {"lights": given}}
    data = {"text/html": "<h4>T</h4><p>S.</p>", RESULT_MIME: payload}
    output = nbformat.v4.new_output("display_data", data=data)
    cell = nbformat.v4.new_code_cell("1", outputs=[output])
    html = render_body(nbformat.v4.new_notebook(cells=[cell])).lead.lights
    assert '<span aria-hidden="true">✓</span>Sample ratio: passes &lt;b&gt;</li>' in html
    assert 'tone-neutral"><span aria-hidden="true">•</span>Power: weak' in html
    assert html.count("<li") == 2


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    seen = Seen(page)
    assert not seen.named("script")
    assert not seen.named("link")
    assert all((image["src"] or "").startswith("data:image/") for image in seen.named("img"))
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page
    policies = [m["content"] for m in seen.named("meta") if "http-equiv" in m]
    assert len(policies) == 1
    assert "default-src 'none'" in str(policies[0])


def test_code_and_noise_are_never_shown(page: str) -> None:
    for hidden in (
        "dataclasses",
        "import warnings",
        "printed but hidden",
        "noise",
        "never to be seen",
        "error rate",
        "matplotlib.lines",
        "to_frame",
    ):
        assert hidden not in page.replace(str(Path.cwd()), "")


def test_what_is_meant_to_be_read_is_there(page: str) -> None:
    seen = Seen(page)
    assert page.count("<h1>") == 1
    assert "Winter &lt;script&gt;" in page
    assert "Campaign of winter" in page  # the notebook's own title, above
    assert "Cannot conclude" in page
    assert "tone-unsure" in page
    assert page.count("Mail B brought +41,200 RUB a week") == 1
    assert "rows read: 1234 &lt;b&gt;" in page
    assert "2016-01-01 – 2017-10-01" in page
    assert "kept " in page
    assert "&lt;b&gt;no&lt;/b&gt; secret_code_marker" in page
    assert 'href="manifest.json"' in page
    assert 'href="executed.ipynb"' in page
    assert [i["alt"] for i in seen.named("img") if i.get("alt")] == [
        'Two "points" <rise>',
        "Chart: Other outputs",
    ]
    anchors = {a["href"] for a in seen.named("a") if (a.get("href") or "").startswith("#s")}
    identifiers = {f"#{h['id']}" for h in seen.named("h2") if "id" in h}
    assert anchors == identifiers
    assert len(anchors) == 3


def test_an_ordinary_page_is_small(published: RunRecord) -> None:
    assert published.html.stat().st_size < 300_000


def test_contrast_of_every_colour_pair_is_enough() -> None:
    css = (Path(__file__).parents[2] / "crm_lab/reports/templates/pages.css").read_text("utf-8")
    for block in re.findall(r":root\{(.*?)\}", css, re.DOTALL):
        colours = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})\b", block))
        pairs = [(f"{tone}-ink", f"{tone}-ground") for tone in _tones()]
        pairs += [(f"{tone}-ground", f"{tone}-mark") for tone in _tones()]
        pairs += [(ink, on) for ink in ("ink", "soft", "accent") for on in ("ground", "paper")]
        for one, two in pairs:
            assert _contrast(colours[one], colours[two]) >= 4.5, (one, two)


def _tones() -> set[str]:
    return {look.tone for look in VERDICTS.values()}


def _contrast(one: str, two: str) -> float:
    def luminance(colour: str) -> float:
        digits = colour[1:]
        if len(digits) == 3:
            digits = "".join(d * 2 for d in digits)
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_verdicts_differ_without_colour() -> None:
    looks = list(VERDICTS.values())
    shown = {look.word: (look.glyph, look.tone) for look in looks}
    assert all(shown[look.word] == (look.glyph, look.tone) for look in looks)
    assert len({(glyph, tone) for glyph, tone in shown.values()}) > 4
    assert all(look.glyph for look in looks)
    assert verdict_look("SHIP ").word == "Ship"
    assert verdict_look("roll back").word == "roll back"


def test_the_index_lists_every_run_even_a_broken_one(published: RunRecord, tmp_path: Path) -> None:
    template = json.loads((published.folder / "manifest.json").read_text(encoding="utf-8"))
    for number, status in enumerate(["ok", "failed", "ok"]):
        _plant(tmp_path, template, run_id=f"run-{number}", status=status, day=number + 1)
    broken = tmp_path / "runs" / "campaign" / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{", encoding="utf-8")
    index = rebuild_index(tmp_path).read_text(encoding="utf-8")
    runs = listed_runs(tmp_path)
    assert [run.run_id for run in runs] == ["broken", "run-2", "run-1", "run-0"]
    assert index.count("<tr data-kind") == 4
    assert index.count('<li class="tile"') == 1
    assert '<h3><a href="runs/campaign/run-2/report.html">' in index
    assert "Boom: &lt;script&gt;" in index
    assert "The manifest of this run cannot be read." in index
    assert not re.search(r"<script>alert", index)
    links = [a["href"] or "" for a in Seen(index).named("a")]
    assert all(link.startswith("runs/") or link in ("index.json", "feed.xml") for link in links)


def test_the_script_of_the_index_is_the_one_its_policy_allows(
    published: RunRecord, tmp_path: Path
) -> None:
    template = json.loads((published.folder / "manifest.json").read_text(encoding="utf-8"))
    _plant(tmp_path, template, run_id="x", status="ok", day=1)
    index = rebuild_index(tmp_path).read_text(encoding="utf-8")
    [script] = re.findall(r"<script>(.*?)</script>", index, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"&#39;sha256-{digest}&#39;" in index
    assert "http" not in index.replace("http-equiv", "")


def _plant(reports: Path, template: dict[str, Any], *, run_id: str, status: str, day: int) -> None:
    folder = reports / "runs" / "campaign" / run_id
    folder.mkdir(parents=True)
    moment = f"2026-01-0{day}T10:00:00Z"
    failed = status == "failed"
    changed = template | {
        "run_id": run_id,
        "title": "T",
        "status": status,
        "headline": "Boom: <script>alert(1)</script>" if failed else "Good.",
        "started_at": moment,
        "finished_at": moment,
    }
    (folder / "manifest.json").write_text(json.dumps(changed), encoding="utf-8")


@pytest.mark.parametrize("text", ["../../etc/passwd", "a/b\\c", "..", "\x00", "CON", "Ёлка", ""])
def test_slugs_are_path_safe(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", slug(text, default="report"))
