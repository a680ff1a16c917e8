"""A small company whose files are written and imported by each test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from crm_lab.gateway import Gateway, ImportReport, load_map
from crm_lab.gateway.store import Store

ORDER_COLUMNS = "{order_id: no, customer_id: client, ordered_at: date, net_revenue: total}"


class Company:
    """Writes source files and maps into one folder and imports them into one gateway."""

    def __init__(self, folder: Path, name: str = "gateway") -> None:
        self.folder = folder
        self.gateway = Gateway(folder / name, currency="RUB")

    @property
    def store(self) -> Store:
        return Store.open(self.gateway.folder)

    def map(self, table: str, columns: str, *lines: str, name: str = "map.yml") -> Path:
        path = self.folder / name
        listed = "\n".join(lines)
        path.write_text(
            f"table: {table}\nsource_system: shop\n{listed}\ncolumns: {columns}\n", "utf-8"
        )
        return path

    def load(
        self, table: str, columns: str, content: str | bytes | Path, *lines: str
    ) -> ImportReport:
        """Import a CSV given by its text, or any file by its path, through a map made here."""
        if isinstance(content, Path):
            file = content
        else:
            file = self.folder / "file.csv"
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        path = self.map(table, columns, *lines)
        return self.gateway.import_file(load_map(path), file)

    def customers(self, names: Iterable[str]) -> None:
        text = "id\n" + "".join(f"{name}\n" for name in names)
        self.load("customer", "{customer_id: id}", text)

    def orders(self, rows: Iterable[str], *lines: str) -> ImportReport:
        """Import orders (``no,client,date,total``) and make their customers."""
        text = "no,client,date,total\n" + "".join(f"{row}\n" for row in rows)
        return self.load("orders", ORDER_COLUMNS, text, "create_customers: true", *lines)

    def parquet(self, select: str, name: str = "file.parquet") -> Path:
        file = self.folder / name
        with duckdb.connect() as engine:
            engine.execute("set TimeZone = 'UTC'")
            target = str(file).replace("'", "''")
            engine.execute(f"copy ({select}) to '{target}' (format parquet)")
        return file

    def rows(self, query: str, snapshot_id: int | None = None) -> list[tuple[object, ...]]:
        with self.gateway.reader(snapshot_id) as reader:
            return reader.engine.execute(query).fetchall()

    def frame(self, query: str) -> pd.DataFrame:
        with self.gateway.reader() as reader:
            return reader.frame(query)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


@pytest.fixture
def company_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Company]:
    """Make a company in a new folder, or in a subfolder of the given name."""

    def make(name: str = "") -> Company:
        folder = tmp_path_factory.mktemp("company") / name
        folder.mkdir(exist_ok=True)
        return Company(folder)

    return make
