"""From a result to a decision, by the rule that was registered before the start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crm_lab.experiments.guardrails import Guardrail
from crm_lab.experiments.looks import Look
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.results import ArmResult, Verdict
from crm_lab.stats import Comparison


def arm_verdict(
    plan: Plan,
    primary: Comparison,
    guardrails: Sequence[Guardrail] = (),
    *,
    look: Look,
    is_broken: bool,
) -> Verdict:
    """Apply the plan's rule to one arm.

    A broken check or an unknown effect concludes nothing. Outside the looks of the plan the
    experiment goes on. At a look, an arm stops that certainly cost sales or certainly passed a
    guardrail, and ships when its whole interval lies on the good side of the minimum. At the last
    look what is left concludes nothing.

    Parameters
    ----------
    plan : Plan
        The rule.
    primary : Comparison
        The primary metric of the arm, at the look's error rate.
    guardrails : sequence of Guardrail
        How they stand.
    look : Look
        Which reading this is.
    is_broken : bool
        Whether a check of the page failed.
    """
    effect = primary.absolute
    if is_broken or not effect.is_known:
        return "cannot conclude"
    if not look.is_planned:
        return "continue"
    sign = 1.0 if plan.metric(plan.primary_metric).direction == "up" else -1.0
    worst, best = sorted((sign * effect.low, sign * effect.high))
    if best < 0 or any(item.state == "passed" for item in guardrails):
        return "stop"
    if worst > plan.minimum:
        return "ship"
    return "cannot conclude" if look.is_final else "continue"


def overall_verdict(arms: tuple[ArmResult, ...], *, sign: float = 1.0) -> tuple[Verdict, str]:
    """Give the experiment's verdict and the arm it speaks of, from those of its arms.

    Any arm that ships makes it ship, the one with the largest effect named; otherwise a window
    that is open says continue; all arms stopped says stop; else nothing can be concluded. ``sign``
    is -1 where less is better.
    """
    ranked = sorted(arms, key=lambda arm: -_or_low(sign * arm.primary.absolute.estimate))
    for wanted in ("ship", "continue"):
        found = [arm for arm in ranked if arm.verdict == wanted]
        if found:
            return found[0].verdict, found[0].arm
    if all(arm.verdict == "stop" for arm in ranked):
        return "stop", ranked[0].arm
    return "cannot conclude", ranked[0].arm


def _or_low(value: float) -> float:
    return value if np.isfinite(value) else -np.inf
