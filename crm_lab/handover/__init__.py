"""Handing a report over: as e-mail, PDF, numbers, or star-schema tables for BI tools."""

from __future__ import annotations

from crm_lab.handover.folders import Handover
from crm_lab.handover.letters import write_email
from crm_lab.handover.numbers import write_numbers
from crm_lab.handover.pdf import write_pdf
from crm_lab.handover.star import write_star

__all__ = ["Handover", "write_email", "write_numbers", "write_pdf", "write_star"]
