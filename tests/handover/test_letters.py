"""The e-mail of a report: readable anywhere, and nothing in it acts."""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from crm_lab.errors import ReportError
from crm_lab.handover import write_email, write_numbers
from crm_lab.handover.letter_html import Picture, restyled, table_html
from crm_lab.handover.letters import MOST_HTML_BYTES, compose
from crm_lab.language import using_language
from crm_lab.reports.differences import manifest_of
from crm_lab.reports.notebooks import read_notebook


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def message(run_folder: Path, tmp_path: Path) -> Any:
    write_email(run_folder, tmp_path / "mail")
    content = (tmp_path / "mail" / "report.eml").read_bytes()
    return email.message_from_bytes(content, policy=email.policy.default)


@pytest.mark.parametrize("write", [write_email, write_numbers])
def test_a_run_that_failed_is_not_handed_over(
    write: Callable[..., object], run_folder: Path, tmp_path: Path
) -> None:
    failed = Path(shutil.copytree(run_folder, tmp_path / "failed"))
    path = failed / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(manifest | {"status": "failed"}), "utf-8")
    with pytest.raises(ReportError, match="the run failed"):
        write(failed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_email_is_a_draft_with_text_html_and_pictures(message: Any) -> None:
    assert message["X-Unsent"] == "1"
    assert message["To"] is None
    assert message["Bcc"] is None
    assert message["Subject"] == "Winter Bcc: evil@example.org <i>sale</i>: Ship"
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
    ]
    page = message.get_body(("html",)).get_content()
    picture = next(part for part in message.walk() if part.get_content_type() == "image/png")
    assert f'src="cid:{picture["Content-ID"][1:-1]}"' in page
    assert picture.get_content().startswith(b"\x89PNG")


def test_the_plain_text_holds_verdict_and_number(message: Any) -> None:
    text = message.get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert "Ship. It brought +1.5 RUB <b>each</b>." in text
    assert "Revenue: +1,500 RUB (250 to 3,125)" in text
    assert "- Sample ratio: good" in text
    assert "Winter sale: 100 customers." in text


def test_nothing_in_the_letter_acts_or_is_loaded(run_folder: Path, tmp_path: Path) -> None:
    write_email(run_folder, tmp_path / "mail")
    page = (tmp_path / "mail" / "report.html").read_text(encoding="utf-8")
    tags = Tags(page).found
    names = {tag for tag, _ in tags}
    assert not names & {"script", "style", "iframe", "form", "object", "svg", "link", "base"}
    for tag, given in tags:
        assert not any(name.startswith("on") for name in given)
        assert "class" not in given
        if tag == "img":
            assert (given["src"] or "").startswith("data:image/png;base64,")
            assert given["alt"] == 'A "chart" <1>'
            assert int(given["width"] or 0) <= 600
        if tag == "a":
            assert given["href"] == "https://example.org"
    assert "alert(2)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\u202e" not in page
    assert "\x00" not in page
    assert 'lang="en"' in page


def test_every_cell_carries_its_colours_and_no_table_is_too_wide(run_folder: Path) -> None:
    letter = compose(manifest_of(run_folder), read_notebook(run_folder / "executed.ipynb"))
    for tag, given in Tags(letter.html).found:
        if tag in ("td", "th") and given.get("style", "") and "padding:5px" in str(given["style"]):
            assert "background:#ffffff" in str(given["style"])
            assert "color:" in str(given["style"])
    rows = re.findall(r"<tr>(.*?)</tr>", letter.html)
    assert max(row.count("<t") for row in rows) <= 6


def test_the_letter_is_in_the_language_of_the_page(run_folder: Path) -> None:
    manifest = manifest_of(run_folder).model_copy(update={"language": "ru"})
    letter = compose(manifest, read_notebook(run_folder / "executed.ipynb"))
    assert '<html lang="ru">' in letter.html
    assert "Можно ли этому верить?" in letter.text
    with using_language("ru"):
        assert "Запуск" in letter.text


def test_long_reports_are_cut_at_a_section_and_say_so(run_folder: Path) -> None:
    import nbformat

    executed = read_notebook(run_folder / "executed.ipynb")
    for place in range(40):
        executed.cells.append(nbformat.v4.new_markdown_cell(f"## Part {place}\n\n" + "word " * 900))
    letter = compose(manifest_of(run_folder), executed)
    assert len(letter.html.encode()) < MOST_HTML_BYTES + 10_000
    assert "The rest stands in the report itself." in letter.html
    assert "Part 1<" in letter.html
    assert "Part 39<" not in letter.html


def test_a_hand_over_says_what_is_in_it_and_covers_nothing_up(
    run_folder: Path, tmp_path: Path, handed: Callable[[Path], dict[str, Any]]
) -> None:
    target = tmp_path / "to" / "mail"
    found = write_email(run_folder, target)
    about = handed(target)
    assert about["kind"] == "email"
    assert about["source"] == run_folder.name
    for file in about["files"]:
        content = (target / file["name"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["size_bytes"] == len(content)
    assert [path.name for path in target.parent.iterdir()] == ["mail"]
    assert found.sentence().startswith("2 files in ")
    assert len(found.card_frame()) == 2
    with pytest.raises(ReportError, match="holds a hand-over already"):
        write_email(run_folder, target)
    write_email(run_folder, target, replace=True)
    own = tmp_path / "mine"
    own.mkdir()
    (own / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ReportError, match="is no hand-over"):
        write_email(run_folder, own, replace=True)
    assert [path.name for path in own.iterdir()] == ["letter.txt"]


def test_a_broken_hand_over_leaves_nothing(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mail"
    write_email(run_folder, target)
    before = sorted((path.name, path.read_bytes()) for path in target.iterdir())

    def broken(self: object) -> str:
        raise OSError("no space left")

    monkeypatch.setattr("crm_lab.handover.letters.Letter.standalone", broken)
    with pytest.raises(OSError, match="no space left"):
        write_email(run_folder, target, replace=True)
    assert sorted((path.name, path.read_bytes()) for path in target.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]


def test_long_words_may_break_and_numbers_stand_on_the_right() -> None:
    table = table_html(["what", "value"], [["sha256", "a" * 64], ["x", "b"]])
    assert "a" * 24 + "<wbr>" in table
    assert "a" * 25 not in table
    numbers = table_html(["arm", "money"], [["a", "+67 000 $ (от 36 000 до 91 000)"]])
    assert numbers.count('align="right"') == 2


def test_odd_html_becomes_plain_html() -> None:
    pictures: list[Picture] = []
    page = restyled(
        '<p>a <b>b</b><br><a href="javascript:x">c</a></p><svg><text>no</text></svg>loose'
        '<img alt="gone" src="https://example.org/x.png"><i>unclosed <pre>x</pre>',
        pictures,
    )
    assert pictures == []
    assert "javascript" not in page
    assert "no<" not in page
    assert "loose" in page
    assert "[gone]" in page
    assert table_html([], []) == ""
