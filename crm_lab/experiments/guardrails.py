"""Guardrails: what a campaign must not make worse, whatever it sells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from crm_lab import formats
from crm_lab.experiments import wording
from crm_lab.experiments.metrics import MetricSpec
from crm_lab.experiments.plan import Plan
from crm_lab.language import say
from crm_lab.stats import Comparison, Effect

State = Literal["kept", "passed", "cannot tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """How one guardrail stands in one arm.

    Attributes
    ----------
    metric, label, arm : str
        Which metric, how people call it, and in which arm.
    limit : float or None
        Level of the arm that must not be passed; None: it must not be worse than the control.
    level, low, high : float
        Level of the arm with its interval.
    comparison : Comparison
        Against the control.
    state : {"kept", "passed", "cannot tell"}
        Passed: the whole interval lies on the wrong side.
    """

    metric: str
    label: str
    arm: str
    limit: float | None
    level: float
    low: float
    high: float
    comparison: Comparison
    state: State

    def row(self) -> dict[str, str]:
        """Give its line of the table."""
        is_share = self.comparison.scale == "share"

        def shown(value: float) -> str:
            if is_share:
                return formats.percent(value, decimals=2)
            return formats.number(value, decimals=2)

        against = (
            say(wording.GUARDRAIL_CONTROL)
            if self.limit is None
            else say(wording.GUARDRAIL_LIMIT, limit=shown(self.limit))
        )
        level = say(
            wording.GUARDRAIL_LEVEL,
            level=shown(self.level),
            low=shown(self.low),
            high=shown(self.high),
        )
        effect = self.comparison.absolute
        return {
            "arm": self.arm,
            "guardrail": self.label,
            "state": say(wording.GUARDRAIL_STATES[self.state]),
            "level": level if np.isfinite(self.level) else effect.reason,
            "against": against,
        }


def judge(
    plan: Plan, metric: str, arm: str, comparison: Comparison, level: tuple[float, float, float]
) -> Guardrail:
    """Say how a guardrail stands.

    Parameters
    ----------
    plan : Plan
        With the definition of the metric.
    metric, arm : str
        Which.
    comparison : Comparison
        The arm against the control.
    level : tuple of float
        Level of the arm, and its interval.
    """
    spec = plan.metric(metric)
    return Guardrail(
        metric=metric,
        label=plan.label(metric),
        arm=arm,
        limit=spec.limit,
        level=level[0],
        low=level[1],
        high=level[2],
        comparison=comparison,
        state=_state(spec, comparison.absolute, level),
    )


def _state(spec: MetricSpec, effect: Effect, level: tuple[float, float, float]) -> State:
    sign = 1.0 if spec.direction == "down" else -1.0
    if spec.limit is not None:
        _, low, high = level
        if not (np.isfinite(low) and np.isfinite(high)):
            return "cannot tell"
        best, worst = sorted((sign * low, sign * high))
        if best > sign * spec.limit:
            return "passed"
        return "kept" if worst <= sign * spec.limit else "cannot tell"
    if not effect.is_known:
        return "cannot tell"
    best, worst = sorted((sign * effect.low, sign * effect.high))
    if best > 0:
        return "passed"
    return "kept" if worst <= 0 else "cannot tell"
