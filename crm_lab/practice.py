"""A workbench to practise in: an invented shop, its files, and a campaign that is still to come.

Everything can be tried there from the first import to the decision, without any harm and in a
minute; the tour of ``notebooks/00_start_here.ipynb`` does so.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from crm_lab.errors import SettingsError
from crm_lab.language import current_language, say
from crm_lab.settings import SETTINGS_FILE
from crm_lab.simulation.shops import make_shop, write_shop
from crm_lab.starter import DELIVERIES_MAP

CAMPAIGN = "autumn-mailing"
TODAY = date(2026, 9, 1)
LAST_DAY = date(2026, 9, 28)
EFFECTS = {"reminder": 0.4, "newsletter": 0.02}
"""What the simulated sending service plants: more orders by each arm's mail, as a share."""

_CUSTOMERS, _DAYS, _SEED = 6_000, 300, 20260901
_HISTORY_STARTS_AT = datetime(2025, 12, 3)
_SETTINGS = """\
company: {company}
currency: USD
timezone: UTC
language: {language}
note: {note}
"""
_CONTROL_GROUP = """\
name: global
share: 0.2       # larger than the usual 5 %, so that a base of this size can see something
salt: practice
channel: email
"""
_EXPERIMENT = """\
name: autumn-mailing
title: "Two mailings in autumn"
hypothesis: "A personal reminder brings customers back sooner; a newsletter may, too."
owner: CRM team
channel: email
starts_on: 2026-09-01
ends_on: 2026-09-28
pre_period_days: 28
audience: {bought_within_days: 180}
arms:
  reminder: {share: 0.5, message: reminder-1}
  newsletter: {share: 0.5, message: newsletter-7}
metrics:
  primary: revenue_per_customer
  secondary: [conversion, average_order_value]
segments: [value]
decision: {rule: interval_above_zero}
costs: {per_message: 0.02}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """The folder of a practice workbench and what its company delivers.

    Attributes
    ----------
    folder : pathlib.Path
        The workbench; open it with ``open_workbench(practice.folder)``.
    files : tuple of (map, file)
        What is there before the campaign, in the order of import.
    till : pandas.DataFrame
        What the till will have sold during the campaign, had there been none.
    results : pathlib.Path
        Folder for what comes back.
    """

    folder: Path
    files: tuple[tuple[Path, Path], ...]
    till: pd.DataFrame
    results: Path


def make_practice(folder: Path | str | None = None) -> Practice:
    """Make a practice workbench in a new folder, by default a temporary one.

    Parameters
    ----------
    folder : path, optional
        Where; it must not be a workbench already.

    Raises
    ------
    SettingsError
        The folder is a workbench already.
    """
    place = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="crm-lab-"))
    if (place / SETTINGS_FILE).exists():
        raise SettingsError(
            say("{folder} is a workbench already", folder=place),
            remedy=say("name a folder that does not exist yet"),
        )
    company, note = say("A practice shop"), say("The customers of this shop are invented.")
    texts = {
        SETTINGS_FILE: _SETTINGS.format(company=company, language=current_language(), note=note),
        "experiments/control_group.yml": _CONTROL_GROUP,
        f"experiments/{CAMPAIGN}.yml": _EXPERIMENT,
        "maps/deliveries.yml": DELIVERIES_MAP,
    }
    for name, text in texts.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    shop = make_shop(
        _CUSTOMERS,
        rng=np.random.default_rng(_SEED),
        starts_at=_HISTORY_STARTS_AT,
        days=_DAYS,
        orders_per_customer_day=1 / 30,
        median_amount=35.0,
    )
    starts_at = datetime.combine(TODAY, datetime.min.time())
    later = shop.orders[shop.orders["ordered_at"] >= starts_at]
    return Practice(
        folder=place,
        files=tuple(write_shop(shop.until(starts_at), place)),
        till=later,
        results=place / "results" / CAMPAIGN,
    )
