"""The five checks a reader looks at before believing a number."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.experiments import wording
from crm_lab.experiments.control_group import BALANCE_LIMIT
from crm_lab.experiments.differences import plan_differences
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.results import ArmResult, Light, Tone
from crm_lab.experiments.spec import CONTROL
from crm_lab.stats import (
    SampleRatio,
)

CONTAMINATION_LIMIT = 0.05
"""Share of touched controls above which the comparison is broken."""


GOOD_POWER = 0.25
"""Relative effect up to which a design is called good."""


def light(check: str, tone: Tone, detail: str) -> Light:
    """Make the light of a check from its short name."""
    return Light(
        name=wording.LIGHT_NAMES[check],
        tone=tone,
        detail=detail,
        word=wording.LIGHT_WORDS[tone],
    )


def ratio_light(ratio: SampleRatio) -> Light:
    """Say whether the arms are as large as drawn."""
    words = wording.RATIO_RED if ratio.is_mismatch else wording.RATIO_GREEN
    return light(
        "sample_ratio",
        "bad" if ratio.is_mismatch else "good",
        words.format(p=formats.p_value(ratio.p_value)),
    )


def balance_light(plan: Plan, frame: pd.DataFrame) -> Light:
    """Say whether the groups were alike before the start."""
    if not plan.is_adjusted:
        return light("balance", "unsure", wording.BALANCE_NONE)
    control = frame.loc[frame["variant"] == CONTROL, "pre_revenue"]
    worst = 0.0
    for arm in plan.arms:
        treated = frame.loc[frame["variant"] == arm, "pre_revenue"]
        spread = float(np.sqrt((control.var() + treated.var()) / 2))
        difference = abs(float(treated.mean() - control.mean()))
        if not np.isfinite(spread):
            return light("balance", "unsure", wording.BALANCE_UNKNOWN)
        if spread > 0:
            worst = max(worst, difference / spread)
    return light(
        "balance",
        "good" if worst <= BALANCE_LIMIT else "unsure",
        wording.BALANCE.format(
            worst=formats.number(worst, decimals=2), limit=formats.number(BALANCE_LIMIT, decimals=1)
        ),
    )


def contamination_light(controls: int, touched: int) -> Light:
    """Say whether controls were reached after all."""
    if touched == 0:
        return light("contamination", "good", wording.CONTAMINATION_GREEN)
    return light(
        "contamination",
        "bad" if touched > CONTAMINATION_LIMIT * controls else "unsure",
        wording.CONTAMINATION.format(touched=f"{touched:,}", controls=f"{controls:,}"),
    )


def power_light(plan: Plan, arms: tuple[ArmResult, ...]) -> Light:
    """Say what would have shown."""
    worst = max(arms, key=lambda arm: _or_high(arm.detectable.relative)).detectable
    if not np.isfinite(worst.relative):
        detail = wording.POWER_UNKNOWN.format(reason=worst.reason or "the base value is 0")
        return light("power", "unsure", detail)
    return light(
        "power",
        "good" if worst.relative <= GOOD_POWER else "unsure",
        wording.POWER.format(
            detectable=formats.percent(worst.relative, decimals=0, signed=True),
            power=formats.percent(plan.power, decimals=0),
        ),
    )


def plan_light(plan: Plan, file_plan: Plan | None, data_until: datetime | None) -> Light:
    """Say whether the registered plan was followed and the window is over."""
    name = "plan_followed"
    if file_plan is not None and file_plan.sha256 != plan.sha256:
        where = formats.listing(map(str, plan_differences(plan, file_plan)), limit=3)
        return light(name, "unsure", wording.PLAN_CHANGED.format(where=where))
    if not window_is_complete(plan, data_until):
        detail = wording.PLAN_OPEN.format(
            end=formats.day(plan.ends_at - timedelta(days=1)), known=formats.day(data_until)
        )
        return light(name, "unsure", detail)
    return light(name, "good", wording.PLAN_GREEN)


def window_is_complete(plan: Plan, data_until: datetime | None) -> bool:
    """Whether orders are known until the last day of the window."""
    return data_until is not None and data_until >= plan.ends_at - timedelta(days=1)


def _or_high(value: float) -> float:
    return value if np.isfinite(value) else np.inf
