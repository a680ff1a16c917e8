"""The five checks a reader looks at before believing a number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from crm_lab import formats, headlines
from crm_lab.experiments import wording
from crm_lab.experiments.audit import CONTAMINATION_LIMIT
from crm_lab.experiments.differences import plan_differences
from crm_lab.experiments.looks import Look, look_words
from crm_lab.experiments.others import OtherMarketing
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.results import ArmResult
from crm_lab.headlines import Light, LightTone
from crm_lab.language import grouped, say
from crm_lab.stats import SampleRatio
from crm_lab.stats.balance import balance_errors

BALANCE_LIMIT = 0.2
"""Standardised difference above which a group is called unbalanced, whatever its size."""
BALANCE_ERRORS = 3
"""Standard errors above which a difference is called one, however small: chance hardly does it."""
GOOD_POWER = 0.25
"""Relative effect up to which a design is called good."""


def light(check: str, tone: LightTone, detail: str) -> Light:
    """Make the light of a check from its short name."""
    return headlines.light(say(wording.LIGHT_NAMES[check]), tone, detail)


def ratio_light(ratio: SampleRatio) -> Light:
    """Say whether the arms are as large as drawn."""
    words = wording.RATIO_RED if ratio.is_mismatch else wording.RATIO_GREEN
    return light(
        "sample_ratio",
        "bad" if ratio.is_mismatch else "good",
        say(words, p=formats.p_text(ratio.p_value)),
    )


def balance_light(plan: Plan, others: OtherMarketing, imbalances: Sequence[float]) -> Light:
    """Say whether the groups were alike before the start, by the differences of the arms."""
    if others.spoils_the_pre_period:
        share = formats.percent(others.before, decimals=0)
        return light("balance", "unsure", say(wording.BALANCE_OTHERS, share=share))
    if not plan.is_adjusted:
        return light("balance", "unsure", say(wording.BALANCE_NONE))
    worst = max(imbalances, default=0.0, key=lambda value: value if np.isfinite(value) else np.inf)
    if not np.isfinite(worst):
        return light("balance", "unsure", say(wording.BALANCE_UNKNOWN))
    return light(
        "balance",
        "good" if worst <= BALANCE_LIMIT else "unsure",
        say(
            wording.BALANCE,
            worst=formats.number(worst, decimals=2),
            limit=formats.number(BALANCE_LIMIT, decimals=1),
        ),
    )


def group_balance_light(worst: float, n_control: int, n_others: int) -> Light:
    """Say whether the control group was like the others, by the largest standardised difference."""
    return light(
        "balance",
        "good" if is_balanced(worst, n_control, n_others) else "unsure",
        say(wording.GROUP_BALANCE, **balance_words(worst, n_control, n_others)),
    )


def is_balanced(worst: float, n_control: int, n_others: int) -> bool:
    """Whether no difference is too large, and none too large for chance."""
    errors = balance_errors(worst, n_control, n_others)
    return worst <= BALANCE_LIMIT and errors <= BALANCE_ERRORS


def balance_words(worst: float, n_control: int, n_others: int) -> dict[str, str]:
    """Write the largest standardised difference, the same in standard errors, and the limits."""
    return {
        "worst": formats.number(worst, decimals=2),
        "errors": formats.number(balance_errors(worst, n_control, n_others), decimals=1),
        "limit": formats.number(BALANCE_LIMIT, decimals=1),
        "most": formats.number(BALANCE_ERRORS, decimals=0),
    }


def contamination_light(
    controls: int, touched: int, *, others: OtherMarketing | None = None
) -> Light:
    """Say whether controls were reached after all, and whether the arms got other campaigns too."""
    if touched == 0 and others is not None and others.is_in_the_effect:
        share = formats.percent(others.in_window, decimals=0)
        return light("contamination", "unsure", say(wording.NOT_ALONE, share=share))
    if touched == 0:
        return light("contamination", "good", say(wording.CONTAMINATION_GREEN))
    return light(
        "contamination",
        "bad" if touched > CONTAMINATION_LIMIT * controls else "unsure",
        say(wording.CONTAMINATION, touched=grouped(touched), controls=grouped(controls)),
    )


def power_light(plan: Plan, arms: tuple[ArmResult, ...]) -> Light:
    """Say what would have shown."""
    worst = max(arms, key=lambda arm: _or_high(arm.detectable.relative)).detectable
    if not np.isfinite(worst.relative):
        detail = say(wording.POWER_UNKNOWN, reason=worst.reason or say("the base value is 0"))
        return light("power", "unsure", detail)
    return light(
        "power",
        "good" if worst.relative <= GOOD_POWER else "unsure",
        say(
            wording.POWER,
            detectable=formats.percent(worst.relative, decimals=0, signed=True),
            power=formats.percent(plan.power, decimals=0),
        ),
    )


def plan_light(
    plan: Plan,
    file_plan: Plan | None,
    data_until: datetime | None,
    *,
    look: Look,
    drawn_at: datetime,
) -> Light:
    """Say whether the registered plan was followed, and which reading this is."""
    name = "plan_followed"
    if file_plan is not None and file_plan.sha256 != plan.sha256:
        where = formats.listing(map(str, plan_differences(plan, file_plan)), limit=3)
        return light(name, "unsure", say(wording.PLAN_CHANGED, where=where))
    if drawn_at > plan.starts_at:
        return light(name, "unsure", say(wording.LATE_DRAW, drawn=formats.day(drawn_at)))
    if not look.is_planned:
        detail = say(
            wording.PLAN_OPEN,
            end=formats.last_day(plan.ends_at),
            known=formats.day(data_until),
        )
        peek = say(wording.LOOK_PEEK, share=formats.percent(look.share, decimals=0))
        return light(name, "unsure", f"{detail}; {peek}")
    if not look.is_final:
        return light(name, "good", look_words(look))
    return light(name, "good", say(wording.PLAN_GREEN))


def _or_high(value: float) -> float:
    return value if np.isfinite(value) else np.inf
