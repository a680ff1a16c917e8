"""What all contact together brings, against the standing control group of a workbench."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, get_args

import numpy as np
import pandas as pd

from crm_lab.crm_effect.attribution import Attribution, attribute
from crm_lab.crm_effect.curve import curve, planned_weeks
from crm_lab.crm_effect.curve_results import CurveResult
from crm_lab.crm_effect.economics import economics, planned_margin_share, registered_plans
from crm_lab.crm_effect.economics_results import Economics
from crm_lab.errors import DesignError, LedgerError
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.experiments.epochs import Epoch, epochs, required_epoch
from crm_lab.handles.context import Context, Handle, now
from crm_lab.handles.decisions import Decisions
from crm_lab.language import say

EpochDecision = Literal["continue", "change", "stop", "cannot conclude"]


class CrmEffect(Handle):
    """Everybody outside the standing control group against the group.

    Parameters
    ----------
    workbench : Context
        Where it is measured.
    spec : ControlGroupSpec
        The control group as its file declares it.
    epoch : str, optional
        Which epoch, by its id such as ``global-1``; by default the open one.

    Raises
    ------
    LedgerError
        There is no such epoch, or the group was never drawn.
    """

    def __init__(
        self, workbench: Context, spec: ControlGroupSpec, *, epoch: str | None = None
    ) -> None:
        self._workbench = workbench
        self.spec = spec
        self.epoch = _chosen(workbench, spec, epoch)

    def curve(
        self,
        *,
        weeks: int | None = None,
        pre_weeks: int = 13,
        margin_share: float | None = None,
        as_of: datetime | None = None,
        seed: int = 1,
    ) -> CurveResult:
        """Compare revenue and margin week by week since the draw.

        Parameters
        ----------
        weeks : int, optional
            How many weeks are shown; by default the planned ones.
        pre_weeks : int
            Weeks before the draw whose revenue serves as covariate.
        margin_share : float, optional
            Margin as a part of the price before discount, where there is no cost of goods; by
            default what the registered plans of these weeks say, where they agree.
        as_of : datetime, optional
            Moment (UTC) until which orders count; by default all that are known.
        seed : int
            Seed of the permutations.
        """
        wb = self._workbench
        known = wb.day_start(wb.last_day() + timedelta(days=1))
        opened = self.epoch.opened_at
        if margin_share is None:
            margin_share = planned_margin_share(
                registered_plans(wb.gateway),
                starts_at=opened,
                ends_at=opened + timedelta(weeks=planned_weeks(self.epoch)),
            )
        is_open = self.epoch.closed_at is None
        return curve(
            wb.gateway,
            self.epoch,
            known_until=min(known, as_of or known),
            timezone=wb.settings.timezone,
            rng=np.random.default_rng(seed),
            weeks=weeks,
            pre_weeks=pre_weeks,
            margin_share=margin_share,
            file_spec=self.spec if is_open else None,
        )

    def economics(
        self, curve: CurveResult, *, discounts_in_revenue: bool = True, goal: float | None = None
    ) -> Economics:
        """Turn the difference into money, net of costs (see :func:`economics`)."""
        return economics(
            self._workbench.gateway,
            curve,
            discounts_in_revenue=discounts_in_revenue,
            goal=goal,
        )

    def attribution(self, curve: CurveResult, *, lookback_days: int = 30) -> Attribution:
        """Set what attribution claims beside what the control group shows."""
        return attribute(self._workbench.gateway, curve, lookback_days=lookback_days)

    def decide(
        self, decision: EpochDecision, *, by: str, note: str = "", as_of: datetime | None = None
    ) -> None:
        """Write down what was decided on this epoch, by whom, and on which data.

        Parameters
        ----------
        decision : {"continue", "change", "stop", "cannot conclude"}
            What is done with the contact programme; "cannot conclude" is a normal one.
        by, note : str
            Who, and why.
        as_of : datetime, optional
            Business time (UTC); by default now.

        Raises
        ------
        DesignError
            It is none of these decisions, or nobody is named.
        """
        if decision not in get_args(EpochDecision):
            raise DesignError(
                say("'{decision}' is no decision", decision=decision),
                expected=say("one of {words}", words=", ".join(get_args(EpochDecision))),
            )
        if not by.strip():
            raise DesignError(say("nobody is named"), expected=say("who decided"))
        payload = {
            "decision": decision,
            "by": by.strip(),
            "note": note,
            "at": (as_of or now()).isoformat(),
            "snapshot": self._workbench.gateway.snapshot().label,
        }
        self._workbench.gateway.record("decision", self.epoch.scope, payload)

    def decisions(self) -> pd.DataFrame:
        """List what was decided about this epoch; one row saying so where nothing was."""
        return self.decision_block().to_frame()

    def decision_block(self) -> Decisions:
        """Give what was decided as a card that reports carry as data."""
        return Decisions.of(self._workbench.gateway, self.epoch.scope, about=self.epoch.epoch_id)


def _chosen(workbench: Context, spec: ControlGroupSpec, epoch_id: str | None) -> Epoch:
    if epoch_id is None:
        return required_epoch(workbench.gateway, spec.name)
    known = {epoch.epoch_id: epoch for epoch in epochs(workbench.gateway, spec.name)}
    if epoch_id not in known:
        raise LedgerError(
            say(
                "there is no epoch '{epoch}' of the control group '{name}'",
                epoch=epoch_id,
                name=spec.name,
            ),
            expected=say("one of {words}", words=", ".join(known))
            if known
            else say("an epoch that was drawn"),
        )
    return known[epoch_id]
