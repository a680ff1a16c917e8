"""Nothing secret and nobody's data gets into what is published."""

from __future__ import annotations

import base64
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from crm_lab.cards import TableView
from crm_lab.language import LANGUAGES, using_language
from crm_lab.reports import RunRecord
from crm_lab.reports.masking import HIDDEN, KEY_FILE, Mask, environment_secrets, masking_key

PEOPLE = pd.DataFrame(
    {
        "customer_id": ["KL-20417", "KL-20418"],
        "full_name": ["Anna Petrova", "Ivan <b>Sidorov</b>"],
        "email": ["anna@example.org", "ivan@example.org"],
        "revenue": [120.5, 80.0],
    }
)


@pytest.fixture
def mask(tmp_path: Path) -> Mask:
    return Mask(tmp_path, secrets=("s3cr3t<&>value",))


@pytest.mark.parametrize(
    "text",
    [
        "write to anna.petrova+news@mail.example.org today",
        "почта анна@пример.рф для связи",
        "call +7 912 345-67-89",
        "call 8 (912) 345-67-89 now",
        "call +44 20 7946 0958",
        "msisdn 79123456789",
        "postgresql://crm:hunter2@db.example.org/shop",
        "https://api.example.org/x?api_key=abcdef123456&page=2",
        "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.payload",
        "the key is s3cr3t<&>value indeed",
    ],
)
def test_personal_data_and_secrets_leave_a_text(mask: Mask, text: str) -> None:
    masked = mask.text(text)
    assert HIDDEN in masked
    for word in (
        "anna",
        "анна",
        "345-67",
        "7946",
        "79123456789",
        "hunter2",
        "abcdef",
        "eyJ",
        "s3c",
    ):
        assert word not in masked


@pytest.mark.parametrize(
    "text",
    [
        "+64 USD (35 to 89) per customer, +39 % (19 to 62 %), +67,000 USD in all",
        "+67\u00a0000\u00a0000\u00a0000 ₽",
        "2026-11-22 00:32 UTC, 20261122T003235Z-two-mailings-6f2ff6f6",
        "sha256 4b52660ea8ef065ea2c014fffa470e5d7f79f540c95116a5828810215474c0cc",
        "p = 0.00019998000199980003 of 89123.45678901",
        "https://example.org/a?page=2",
        "@media print{a:b}",
    ],
)
def test_numbers_days_and_hashes_stay(mask: Mask, text: str) -> None:
    assert mask.text(text) == text


def test_paths_of_this_machine_become_relative(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    mask = Mask(folder)
    text = f"{folder}/reports and {folder}, not {folder}-2, {Path.home()}/x"
    assert mask.text(text) == f"reports and ., not {folder}-2, ~/x"


def test_ids_become_hashes_that_are_the_same_everywhere(mask: Mask, tmp_path: Path) -> None:
    masked = mask.data({"rows": [{"customer_id": "KL-20417", "revenue": 1.5}], "unit_id": 7})
    shown = masked["rows"][0]["customer_id"]
    assert shown.startswith("c-")
    assert masked["rows"][0]["revenue"] == 1.5
    assert masked["unit_id"].startswith("c-")
    assert Mask(tmp_path).customer("KL-20417") == shown
    assert Mask(tmp_path / "elsewhere").customer("KL-20417") != shown
    assert mask.data(masked) == masked


def test_digits_of_a_number_are_no_id(mask: Mask) -> None:
    mask.data({"customer_id": ["00360", "12345"]})
    for number in ("0.00360", "0,00360", "12345.67", "1 of 99.12345"):
        assert mask.text(number) == number
    for ids in ("00360", "customer 00360.", "12345,00360", "00360, 12345"):
        assert not {"00360", "12345"} & set(re.findall(r"\w+", mask.text(ids)))


def test_the_key_is_the_owners_and_no_report_holds_it(tmp_path: Path) -> None:
    key = masking_key(tmp_path)
    path = tmp_path / KEY_FILE
    assert len(key) == 64
    assert path.read_text(encoding="ascii") == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (path.parent / ".gitignore").read_text(encoding="ascii") == "*\n"
    assert sorted(p.name for p in path.parent.iterdir()) == [".gitignore", "masking.key"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_columns_of_tables_are_masked_in_either_language(mask: Mask, language: str) -> None:
    with using_language(language):  # type: ignore[arg-type]
        table = TableView(PEOPLE)._repr_html_()
    for page in (mask.html(table), mask.html(PEOPLE.to_html())):
        for word in ("KL-2041", "Anna", "Sidorov", "example.org"):
            assert word not in page
        assert "120.5" in page.replace(",", ".")
        assert page.count(mask.customer("KL-20417")) == 1


def test_printed_tables_are_masked_by_their_columns(mask: Mask) -> None:
    printed = mask.printed(f"rows:\n{PEOPLE[['customer_id', 'revenue']].to_string()}\n\nKL-20418!")
    assert "KL-2041" not in printed
    assert "120.5" in printed


BY_ID = PEOPLE.set_index("customer_id")
CONTACTS = pd.DataFrame(
    {"address": ["Lenina 5, Moscow", "Mira 1"], "content": ["hello Anna Petrova", "-"]}
)


@pytest.mark.parametrize(
    "printed",
    [
        repr(PEOPLE),
        PEOPLE.to_string(index=False),
        repr(BY_ID),
        repr(BY_ID[["revenue"]]),
        repr(PEOPLE.set_index(["customer_id", "full_name"])[["revenue"]]),
        repr(PEOPLE.set_index("full_name")[["customer_id"]]),
        repr(PEOPLE.set_index("full_name")["revenue"]),
        repr(PEOPLE["full_name"]),
        repr(BY_ID["full_name"]),
        repr(BY_ID.groupby("customer_id").agg({"revenue": ["sum"], "full_name": ["first"]})),
        PEOPLE.to_string(line_width=30),
        PEOPLE[["customer_id"]].to_string(index=False),
        repr(CONTACTS),
        f"Found:\n{CONTACTS}",
        repr(CONTACTS.assign(week=[1, 2]).set_index("week")),
    ],
)
def test_whole_cells_of_printed_tables_are_masked(mask: Mask, printed: str) -> None:
    masked = mask.printed(printed)
    for word in ("KL-2041", "Anna", "Petrova", "Ivan", "Sidorov", "Lenina", "Moscow", "hello"):
        assert word not in masked
    for number in ("120.5", "80.0"):
        assert printed.count(number) == masked.count(number)


@pytest.mark.parametrize(
    "printed",
    [
        "email    2366\nphone      12\nName: reach, dtype: int64",
        "email    good\nphone     bad\npush      bad",
        "channels:\n  email\n  phone\n  push\n",
        "customer_id\nfull_name\nrevenue",
        "customer_id    12345\nrevenue            7\ndtype: int64",
        repr(pd.DataFrame({"week": [1, 2], "email": [2366, 2401], "phone": [12, 9]})),
        "  we ask about content\nand look at the text  ",
    ],
)
def test_words_and_numbers_that_are_no_table_of_people_stay(mask: Mask, printed: str) -> None:
    assert mask.printed(printed) == printed


def test_both_rows_of_headings_count_in_a_table(mask: Mask) -> None:
    wide = BY_ID.groupby("customer_id").agg({"revenue": ["sum", "mean"], "full_name": ["first"]})
    for page in (BY_ID[["full_name"]].to_html(), wide.to_html()):
        masked = mask.html(page)
        assert not {"KL-20417", "KL-20418", "Anna", "Petrova"} & set(re.findall(r"[\w-]+", masked))
        assert masked.count("<th>") == page.count("<th>")
        assert masked.count("120.5") == page.count("120.5")


def test_ids_as_names_of_data_are_masked_and_none_is_lost(mask: Mask) -> None:
    masked = mask.data(
        {
            "customer_id": ["KL-20417"],
            "by_customer": {"KL-20417": 3, "KL-2": 4},
            "by_address": {"anna@example.org": 1, "ivan@example.org": 2},
        }
    )
    assert masked["by_customer"] == {mask.customer("KL-20417"): 3, "KL-2": 4}
    assert masked["by_address"] == {HIDDEN: 1, f"{HIDDEN} 2": 2}
    assert mask.data(masked) == masked


@pytest.mark.parametrize("is_printed", [True, False])
def test_an_id_is_masked_above_the_table_that_reveals_it(mask: Mask, is_printed: bool) -> None:
    people = PEOPLE[["customer_id", "revenue"]]
    table = (
        new_output("stream", text=repr(people))
        if is_printed
        else new_output("execute_result", data={"text/plain": repr(people)})
    )
    cells = [
        new_code_cell("best = 'KL-20417'", outputs=[new_output("stream", text="Best: KL-20417\n")]),
        new_code_cell("people", outputs=[table]),
    ]
    masked = mask.notebook(new_notebook(cells=cells))
    assert "KL-2041" not in nbformat.writes(masked)
    assert masked.cells[0].outputs[0].text == f"Best: {mask.customer('KL-20417')}\n"


def test_a_colour_code_hides_nothing_from_the_mask(mask: Mask) -> None:
    shown = mask.customer("1234567")
    assert mask.text("\x1b[32m1234567\x1b[39m") == f"\x1b[32m{shown}\x1b[39m"
    assert mask.text("\x1b[1;32m+7 912 345-67-89\x1b[0m") == f"\x1b[1;32m{HIDDEN}\x1b[0m"


def test_counts_by_channel_are_no_addresses(mask: Mask) -> None:
    counts = {"reach": {"email": 2366, "phone": 12}, "email": "1,204"}
    assert mask.data(counts) == counts
    table = pd.DataFrame({"week": [1], "email": [2366]}).to_html()
    assert mask.html(table) == table
    printed = "may not, because no consent to email   50\nmay not, because no address   7"
    assert mask.printed(printed) == printed
    assert mask.data({"phone": 9123456789})["phone"] == HIDDEN


def test_pictures_are_left_alone(mask: Mask) -> None:
    picture = base64.b64encode(b"79123456789 anna@example.org" * 40).decode()
    page = f'<img src="data:image/png;base64,{picture}">'
    assert mask.html(page) == page


def test_secrets_are_the_values_of_variables_that_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_TOKEN", "tok-77-secret")
    monkeypatch.setenv("SHOP_PASSWORD", "1234567")
    monkeypatch.setenv("SHOP_NAME", "not-a-secret-77")
    found = environment_secrets()
    assert "tok-77-secret" in found
    assert "1234567" not in found  # a plain number would take out figures
    assert "not-a-secret-77" not in found


def test_a_secret_may_be_longer_than_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_TOKEN", "eyJ" * 2_000)
    assert "eyJ" * 2_000 in environment_secrets()


def test_a_published_run_holds_none_of_it(
    notebook: Callable[..., Path], run: Callable[..., RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_API_TOKEN", "tok-77-secret<b>")
    path = notebook(
        "# People",
        ("parameters", 'contact: str = "anna@example.org"  # who asked'),
        "import dataclasses, os\nimport pandas as pd\nfrom crm_lab.cards import Result, TableView\n"
        "people = pd.DataFrame({'customer_id': ['KL-20417'], 'phone': ['+7 912 345-67-89'],"
        " 'revenue': [120.5]})\n"
        "@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)\n"
        "class Best(Result):\n"
        "    title = 'Best'\n"
        "    rows: pd.DataFrame\n"
        "    def sentence(self): return 'KL-20417 brought most; ask anna@example.org.'\n"
        "    def to_frame(self): return self.rows\n"
        "Best(rows=people)",
        "TableView(people)",
        "people",
        ("show-stdout", "print(people.to_string(), os.environ['SHOP_API_TOKEN'], os.getcwd())"),
    )
    record = run(path)
    assert record.is_good, record.error
    for file in record.folder.iterdir():
        text = file.read_text(encoding="utf-8")
        for word in ("KL-20417", "anna@", "345-67-89", "tok-77", str(path.parent)):
            assert word not in text, (file.name, word)
    manifest = json.loads((record.folder / "manifest.json").read_text(encoding="utf-8"))
    shown = manifest["results"][0]["data"]["rows"][0]["customer_id"]
    assert shown.startswith("c-")
    assert shown in manifest["headline"]
    assert shown in record.html.read_text(encoding="utf-8")
    nbformat.validate(nbformat.read(record.folder / "executed.ipynb", as_version=4))


def test_ids_are_shown_where_a_reader_asks_for_them(
    notebook: Callable[..., Path], run: Callable[..., RunRecord]
) -> None:
    path = notebook(
        "# People",
        ("parameters", "show_customer_ids: bool = False  # print ids as they are"),
        "import pandas as pd\nfrom crm_lab.cards import TableView\n"
        "TableView(pd.DataFrame({'customer_id': ['KL-20417'], 'email': ['anna@example.org']}))",
    )
    shown = run(path, parameters={"show_customer_ids": True}).html.read_text(encoding="utf-8")
    hidden = run(path).html.read_text(encoding="utf-8")
    assert "KL-20417" in shown
    assert "KL-20417" not in hidden
    assert "anna@" not in shown + hidden
