"""A published run made by hand: everything hostile that a report may hold, and no kernel."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest

from crm_lab.cards import RESULT_MIME, card
from crm_lab.reports.manifest import EXECUTED_NAME, MANIFEST_NAME, PAGE_NAME, build_manifest
from crm_lab.reports.publishing import render_page

HOSTILE = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil.example","click")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\u202egpj.exe",
    "null\x00byte",
    "Зима ≠ winter",
)


def picture(width: int, height: int = 4) -> str:
    rows = b"".join(b"\0" + b"\x20\x60\xa0" * width for _ in range(height))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in parts:
        check = struct.pack(">I", zlib.crc32(name + data))
        content += struct.pack(">I", len(data)) + name + data + check
    return base64.b64encode(content).decode()


def result() -> dict[str, Any]:
    arms = [
        {
            "arm": name,
            "effect": {"estimate": 1.5 + place, "low": -0.25, "high": 3.125},
            "weeks": [[1, 0.5], [2, 0.75]],
            "comparisons": [{"metric": "revenue", "n": place}, {"metric": "orders", "n": 7}],
            "is_best": place == 0,
        }
        for place, name in enumerate(HOSTILE)
    ]
    return {
        "kind": "experiment_result",
        "title": "What it brought",
        "sentence": "Ship. It brought +1.5 RUB <b>each</b>.",
        "about": "Winter sale: 100 customers.",
        "numbers": [
            {
                "label": "Revenue",
                "text": "+1,500 RUB (250 to 3,125)",
                "estimate": 1500.0,
                "low": 250.0,
                "high": 3125.0,
                "kind": "money",
                "unit": "RUB",
                "note": "",
            }
        ],
        "data": {
            "verdict": "ship",
            "cost": "20.78",
            "arms": arms,
            "lights": [{"name": "Sample ratio", "word": "good", "tone": "good", "detail": ""}],
        },
    }


def executed() -> Any:
    import pandas as pd

    payload = result()
    names = [name.replace("\x00", "") for name in HOSTILE]
    frame = pd.DataFrame({"arm": names, "revenue": [1234.5] * len(names)})
    wide = pd.DataFrame({f"column {place}": ["a long cell of text"] * 2 for place in range(8)})
    outputs = [
        nbformat.v4.new_output(
            "display_data",
            data={
                "text/html": card(payload["title"], payload["sentence"], frame),
                RESULT_MIME: payload,
            },
        ),
        nbformat.v4.new_output(
            "display_data", data={"image/png": picture(1600)}, metadata={"alt": 'A "chart" <1>'}
        ),
        nbformat.v4.new_output("display_data", data={"text/html": wide.to_html(index=False)}),
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# Winter\n\n<script>alert(2)</script>"),
        nbformat.v4.new_code_cell("x", outputs=outputs, execution_count=1),
        nbformat.v4.new_markdown_cell("## More\n\n[link](https://example.org) *text*\n\n- item"),
    ]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    source = folder / "winter.ipynb"
    notebook = executed()
    source.write_text(nbformat.writes(notebook), encoding="utf-8")
    manifest = build_manifest(
        run_id="20261201T000000Z-winter-00000000",
        kind="campaign_experiment",
        title="Winter\r\nBcc: evil@example.org <i>sale</i>",
        notebook=source,
        executed=notebook,
        parameters={"experiment": "winter"},
        context={"snapshot": "3-abc"},
        failure=None,
        started_at=datetime(2026, 12, 1, tzinfo=UTC),
        finished_at=datetime(2026, 12, 1, 0, 1, tzinfo=UTC),
    )
    run = folder / "runs" / "campaign_experiment" / manifest.run_id
    run.mkdir(parents=True)
    (run / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    (run / EXECUTED_NAME).write_text(nbformat.writes(notebook), encoding="utf-8")
    (run / PAGE_NAME).write_text(render_page(notebook, manifest), encoding="utf-8")
    return run


@pytest.fixture
def handed() -> Any:
    def read(folder: Path) -> dict[str, Any]:
        return json.loads((folder / "handover.json").read_text(encoding="utf-8"))

    return read
