"""Lifetime value as the outcome of an experiment of a workbench."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.outcomes import Window
from crm_lab.experiments.plan import Plan
from crm_lab.gateway import cohorts, operations
from crm_lab.handles.context import Context
from crm_lab.language import say
from crm_lab.ltv.arm_histories import arm_histories
from crm_lab.ltv.contrast import LifetimeContrast, lifetime_contrast
from crm_lab.ltv.value_wording import EARLY_LOOK

UNIT_DAYS = 7
"""Days in one unit of time."""


def lifetime_effect(
    workbench: Context,
    plan: Plan,
    *,
    assigned_at: datetime,
    arm: str,
    weeks: float,
    refits: int,
    seed: int,
    progress: bool = False,
) -> LifetimeContrast:
    """Compare the lifetime value of an arm with that of the control group.

    Everybody assigned counts. The window is that of the plan, or ends with the data where they end
    earlier, which the result says.

    Parameters
    ----------
    workbench : Context
        Where the experiment runs.
    plan : Plan
        The registered plan.
    assigned_at : datetime
        When the arms were drawn.
    arm : str
        Which arm.
    weeks : float
        How far to look ahead.
    refits, seed, progress
        As in :func:`~crm_lab.ltv.contrast.lifetime_contrast`.

    Raises
    ------
    DesignError
        There is no such arm, or the data end before the window begins.
    """
    if arm not in plan.arms:
        raise DesignError(
            say("there is no arm '{arm}'", arm=arm),
            expected=say("one of {words}", words=", ".join(plan.arms)),
        )
    data_end = workbench.day_start(workbench.last_day() + timedelta(days=1))
    window = Window.of(plan, assigned_at=assigned_at, until=data_end)
    if window.ends_at <= window.starts_at:
        raise DesignError(
            say("the data end before the window of the experiment begins"),
            expected=say("orders after {day}", day=formats.day(window.starts_at)),
            remedy=say("import the orders of the window first"),
        )
    zone = workbench.settings.timezone
    with workbench.gateway.reader() as reader:
        people = reader.frame(operations.assigned(plan.scope))
        orders = reader.frame(
            cohorts.orders_since(
                plan.scope, starts_at=window.starts_at, ends_at=window.ends_at, zone=zone
            )
        )
    arms = arm_histories(
        people,
        orders,
        starts_on=workbench.local_day(window.starts_at),
        as_of=workbench.local_day(window.ends_at - timedelta(microseconds=1)),
        unit_days=UNIT_DAYS,
        currency=plan.currency,
    )
    result = lifetime_contrast(
        arms[arm],
        arms[CONTROL],
        periods=weeks * 7 / UNIT_DAYS,
        alpha=plan.alpha,
        refits=refits,
        rng=np.random.default_rng(seed),
        progress=progress,
    )
    if data_end < plan.ends_at:
        result = replace(result, warnings=(say(EARLY_LOOK), *result.warnings))
    return result
