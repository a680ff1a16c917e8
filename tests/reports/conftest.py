"""Tiny report notebooks, and one of them published once for all tests that only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from crm_lab.reports import RunRecord, run_report
from tests.reports.pages_in_browser import PageBrowser, open_browser

PARAMETERS = (
    "parameters",
    "from datetime import date\n"
    'name: str = "winter"  # name of the experiment\n'
    "alpha: float = 0.05  # error rate\n"
    'as_of: date = "2017-10-01"  # last day',
)
RESULTS = """
import dataclasses
import pandas as pd
from IPython.display import HTML, Markdown, display
from crm_lab.cards import Result

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ArmTable(Result):
    title = "Arms"
    rows: int
    def sentence(self):
        return f"{self.rows} arms & <b>no</b> secret_code_marker."
    def to_frame(self):
        return pd.DataFrame({"arm": ["a <i>", "b"], "revenue": [1234.5, float("nan")]})

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Decision(Result):
    title = "Decision"
    verdict: str
    share: float = float("nan")
    def sentence(self):
        return "Mail B brought +41,200 RUB a week (12,300 to 70,900)."
    def to_frame(self):
        return pd.DataFrame({"x": [1]})
"""


def cell(source: str, *tags: str) -> Any:
    made = nbformat.v4.new_code_cell(source)
    if tags:
        made.metadata["tags"] = list(tags)
    return made


def write_notebook(path: Path, *cells: str | tuple[str, str]) -> Path:
    """A cell is Markdown ("# ..."), code, or (tag, code)."""
    made = []
    for item in cells:
        if isinstance(item, tuple):
            made.append(cell(item[1], item[0]))
        elif item.startswith("#"):
            made.append(nbformat.v4.new_markdown_cell(item))
        else:
            made.append(cell(item))
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=made)), encoding="utf-8")
    return path


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    def make(*cells: str | tuple[str, str], name: str = "report.ipynb") -> Path:
        return write_notebook(tmp_path / name, *cells)

    return make


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunRecord]:
    def start(path: Path, **options: Any) -> RunRecord:
        settings: dict[str, Any] = {
            "parameters": {},
            "reports_folder": tmp_path / "reports",
            "kind": "campaign",
            "working_folder": tmp_path,
        }
        return run_report(path, **(settings | options))

    return start


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A good run of a notebook that shows everything a page can show, hostile data included."""
    folder = tmp_path_factory.mktemp("published {braces}")
    path = write_notebook(
        folder / "campaign.ipynb",
        "# Campaign of winter\n\nWhat was tried.\n\n<script>alert('markdown')</script>",
        PARAMETERS,
        RESULTS,
        "import warnings\nprint('printed but hidden')\nwarnings.warn('noise')",
        "## Arms",
        "ArmTable(rows=2)",
        "Decision(verdict='cannot conclude')",
        "## Chart of the effect",
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])\n"
        "display(fig, metadata={'alt': 'Two \"points\" <rise>'})\nplt.close(fig)",
        "## Other outputs",
        "plt.plot([3, 4])",
        ("show-stdout", "print('rows read: 1234 <b>')"),
        ("hide", "display(HTML('<p>never to be seen</p>'))"),
        "display(HTML('<p>kept <script>alert(1)</script></p><img src=x onerror=alert(1)>'))\n"
        "display(Markdown('[click](javascript:alert(1)) <meta http-equiv=refresh content=0>'))",
        "[name, alpha, as_of]",
    )
    return run_report(
        path,
        parameters={"name": 'Зима "<script>alert(1)</script>" \n __import__("os")'},
        reports_folder=folder / "reports",
        kind="campaign",
        title="Winter <script>alert('title')</script> sale",
        context={
            "data_from": "2016-01-01",
            "data_to": "2017-10-01",
            "snapshot": "v3",
            "seed": 7,
            "share": float("nan"),
            "folder": folder,
        },
        working_folder=folder,
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[PageBrowser]:
    """One headless Chromium for all tests that open pages."""
    yield from open_browser()
