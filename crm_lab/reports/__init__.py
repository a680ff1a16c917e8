"""Reports: a notebook with typed parameters becomes a page, a manifest and a line in the list."""

from __future__ import annotations

from crm_lab.reports.catalogue import rebuild_index
from crm_lab.reports.declarations import declared_parameters
from crm_lab.reports.parameters import Parameter, check_parameters, parse_text_parameters
from crm_lab.reports.run_results import RunBatch, RunRecord
from crm_lab.reports.runner import run_report

__all__ = [
    "Parameter",
    "RunBatch",
    "RunRecord",
    "check_parameters",
    "declared_parameters",
    "parse_text_parameters",
    "rebuild_index",
    "run_report",
]
