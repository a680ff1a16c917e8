"""The guide to maps names every key, table, column and word that a map may use."""

from __future__ import annotations

from pathlib import Path

import yaml  # type: ignore[import-untyped]

from crm_lab.gateway.mapping import SourceMap
from crm_lab.gateway.schema import TABLES, importable_tables
from tests.gateway.conftest import Company

GUIDE = Path(__file__).parents[2] / "docs" / "maps.md"
MOST_LINES = 150


def tables_as_written() -> list[str]:
    """One line per table: its columns in order with kind, and a star where one is required."""
    lines = ["| table | columns |", "| --- | --- |"]
    for name in importable_tables():
        columns = ", ".join(
            f"`{column.name}`{'*' if column.required else ''} {column.kind}"
            for column in TABLES[name].columns
        )
        lines.append(f"| `{name}` | {columns} |")
    return lines


def lists_as_written() -> list[str]:
    """One line per closed list, with the columns that it belongs to."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for name in importable_tables():
        for column in TABLES[name].columns:
            if column.choices:
                columns.setdefault(column.choices, []).append(f"`{name}.{column.name}`")
    lines = ["| column | words |", "| --- | --- |"]
    return lines + [f"| {', '.join(of)} | {', '.join(words)} |" for words, of in columns.items()]


def test_the_guide_holds_the_tables_and_closed_lists_of_the_schema() -> None:
    text = GUIDE.read_text("utf-8")
    assert "\n".join(tables_as_written()) in text
    assert "\n".join(lists_as_written()) in text
    assert len(text.splitlines()) <= MOST_LINES


def test_the_guide_explains_every_key_of_a_map() -> None:
    text = GUIDE.read_text("utf-8")
    assert [key for key in SourceMap.model_fields if f"| `{key}` |" not in text] == []


def test_the_maps_of_the_wide_file_load_it(company: Company) -> None:
    blocks = [part.split("```")[0] for part in GUIDE.read_text("utf-8").split("```yaml\n")[1:]]
    head = next(block for block in blocks if block.startswith("source_system"))
    bodies = next(block for block in blocks if block.startswith("table:")).split("---\n")
    assert len(bodies) == 3
    content = (
        "Код клиента;Имя;E-mail;Телефон;Дата регистрации;Согласие;Дата согласия\n"
        "К-1;Анна;Anna@example.org;8 900 035 72 96;19.01.2026;Да;20.01.2026\n"
        "К-2;Пётр;;;19.02.2026;;\n"
    ).encode("cp1251")
    for body in bodies:
        declared = yaml.safe_load(head + body)
        lines = [f"{key}: {value!r}" for key, value in yaml.safe_load(head).items()]
        table, columns = declared["table"], yaml.safe_dump(declared["columns"], width=9999)
        indented = "\n" + "".join(f"  {line}\n" for line in columns.splitlines())
        report = company.load(table, indented, content, *lines[1:])
        assert report.rows_loaded == (2 if table == "customer" else 1)
    assert company.rows("select customer_id, address from contact_point") == [
        ("К-1", "Anna@example.org")
    ]
