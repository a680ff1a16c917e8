"""From the name of a report to its published pages: requests, single runs and batches of runs."""

from __future__ import annotations

from crm_lab.publishing.batches import run_batch
from crm_lab.publishing.fan_out import DateSpan, fan_out, parse_span
from crm_lab.publishing.notebooks import (
    find_notebook,
    kind_of,
    notebook_texts,
    notebooks,
    shipped_notebooks,
)
from crm_lab.publishing.requests import (
    ReportRequest,
    RunOptions,
    report_request,
    run_request,
)

__all__ = [
    "DateSpan",
    "ReportRequest",
    "RunOptions",
    "fan_out",
    "find_notebook",
    "kind_of",
    "notebook_texts",
    "notebooks",
    "parse_span",
    "report_request",
    "run_batch",
    "run_request",
    "shipped_notebooks",
]
