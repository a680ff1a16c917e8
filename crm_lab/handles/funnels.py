"""From the first form to a deal, and what came after, for the base of a workbench."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from crm_lab.customers import deals
from crm_lab.customers import funnel_wording as wording
from crm_lab.customers import funnels as registered
from crm_lab.customers.arm_panel import arm_panel
from crm_lab.customers.arms import ArmShares, arm_shares, no_arms
from crm_lab.customers.form_mix import FormMix, form_mix
from crm_lab.customers.funnels import Dimension, FirstWeek, FunnelContents, FunnelSteps
from crm_lab.customers.rates import GroupRates, group_rates
from crm_lab.customers.retention import (
    CohortTriangle,
    RetentionByArm,
    cohort_triangle,
    retention_by_arm,
)
from crm_lab.experiments.enrolment import registered_plan
from crm_lab.experiments.plan import Plan
from crm_lab.gateway import funnels as sql
from crm_lab.handles.context import Context, Handle
from crm_lab.language import grouped, say

NOBODY = pd.DataFrame({"group": [], "n": [], "events": []})
"""Counts of no group at all."""


class Funnels(Handle):
    """Registrations, deals, refusals, cohorts and secondary outcomes of a workbench's base.

    Nothing later than the last deal (or order) in the base counts, whatever ``as_of`` says: what
    is not imported yet did not fail to happen.

    Parameters
    ----------
    workbench : Context
        Whose base.
    as_of : datetime.date, optional
        Last day that counts, in the company's zone; by default everything that is known.
    alpha : float
        Two-sided error level of every interval, and of all comparisons of one table together.
    """

    def __init__(
        self, workbench: Context, *, as_of: date | None = None, alpha: float = 0.05
    ) -> None:
        self._workbench = workbench
        self.alpha = alpha
        self._zone = workbench.settings.timezone
        self._currency = workbench.settings.currency
        self._limit = workbench.day_start(as_of + timedelta(days=1)) if as_of else datetime.max
        self._known = self.contents().until

    def contents(self) -> FunnelContents:
        """Say which of the tables that funnels need hold something."""
        with self._workbench.gateway.reader() as reader:
            row = reader.one(sql.contents())
        ends = ("deals", "registrations", "orders", "answers")
        found = {name: row[f"{name}_until"] for name in ends}
        return FunnelContents(
            rows={
                name: int(str(count)) for name, count in row.items() if not name.endswith("_until")
            },
            until={
                name: moment if isinstance(moment, datetime) else None
                for name, moment in found.items()
            },
        )

    def steps(self, *, days: int = 30) -> FunnelSteps:
        """Count who was contacted, opened a deal and won one within so many days."""
        return registered.funnel_steps(
            self.registrations(), until=self._until("deals"), days=days, alpha=self.alpha
        )

    def first_week(self, *, days: int = 7) -> FirstWeek:
        """Give the share of registrations that closed in a deal within the first week."""
        return registered.first_week(
            self.registrations(),
            until=self._until("deals"),
            zone=self._zone,
            days=days,
            alpha=self.alpha,
        )

    def conversion_by(self, dimension: Dimension, *, days: int = 7) -> GroupRates:
        """Compare forms, landings or channels by who closed in a deal in time."""
        return registered.conversion_by(
            self.registrations(),
            dimension,
            until=self._until("deals"),
            days=days,
            alpha=self.alpha,
        )

    def form_mix(self, *, experiment: str = "") -> FormMix:
        """Say through which form everyone, or each arm of an experiment, registered."""
        groups = None
        if experiment:
            plan = self._plan(experiment)
            groups = self._frame(sql.members(plan.scope))
        return form_mix(self.registrations(), groups=groups, alpha=self.alpha)

    def channel_responses(self, *, days: int = 7) -> tuple[GroupRates, GroupRates]:
        """Compare the channels of messages by clicks and by purchases; observational."""
        end = self._latest("deals", "orders")
        counts = self._frame(sql.responses_by_channel(end or datetime.min, days=days))
        return registered.channel_responses(counts, until=end, days=days, alpha=self.alpha)

    def channels_of(self, experiment: str = "") -> GroupRates:
        """Compare the channels to which an experiment drew its customers; randomised.

        Every arm must have been written to by one channel of its own. Everybody drawn counts.
        """
        if not experiment:
            return self._channels(NOBODY, until=None, reason=say(wording.NO_EXPERIMENT))
        plan = self._plan(experiment)
        end = min(plan.ends_at, self._until("deals") or plan.starts_at)
        used = self._frame(sql.arm_channels(plan.name))
        counts = self._frame(sql.deals_by_arm(plan.scope, starts_at=plan.starts_at, ends_at=end))
        used = used[used["variant"].isin(plan.arms)]
        is_apart = used["variant"].is_unique and used["channel"].is_unique and len(used) > 1
        named = dict(zip(used["variant"], used["channel"], strict=True)) if is_apart else {}
        shown = counts[counts["variant"].isin(named)]
        reason = "" if is_apart else say(wording.ONE_CHANNEL, name=experiment)
        return self._channels(
            pd.DataFrame(
                {
                    "group": shown["variant"].map(named),
                    "n": shown["customers"],
                    "events": shown["won"],
                }
            ),
            until=end,
            reason=reason if self._until("deals") else say(wording.NO_DEALS),
        )

    def deal_kinds(self, *, days: int = 30) -> deals.DealKinds:
        """Tell new from repeat deals, and how many of each are won in time."""
        end = self._until("deals") or datetime.min
        return deals.deal_kinds(
            self._frame(sql.deals_by_kind(end)),
            self._frame(sql.first_deals(end)),
            until=self._until("deals"),
            days=days,
            currency=self._currency,
            alpha=self.alpha,
        )

    def refusals(self, *, days: int = 90) -> deals.Refusals:
        """Rank the refusal reasons, and say from which of them customers come back."""
        end = self._until("deals") or datetime.min
        return deals.refusals(
            self._frame(sql.refusals(end)),
            self._frame(sql.returns(end)),
            until=self._until("deals"),
            days=days,
            currency=self._currency,
            alpha=self.alpha,
        )

    def after_reactivation(self, *, days: int = 30) -> deals.AfterReactivation:
        """Give the share of the reactivated who won a deal afterwards; observational."""
        end = self._until("deals") or datetime.min
        return deals.after_reactivation(
            self._frame(sql.reactivations(end)),
            until=self._until("deals"),
            days=days,
            alpha=self.alpha,
        )

    def reactivation(self, experiment: str = "") -> ArmShares:
        """Compare deals won in the window of an experiment with its control group; randomised."""
        if not experiment:
            return no_arms(wording.REACTIVATION, reason=say(wording.NO_EXPERIMENT))
        plan = self._plan(experiment)
        known = self._until("deals")
        end = min(plan.ends_at, known or plan.ends_at)
        with self._workbench.gateway.reader() as reader:
            counts = reader.frame(
                sql.deals_by_arm(plan.scope, starts_at=plan.starts_at, ends_at=end)
            )
            shared = reader.integer(sql.shared_units(plan.scope))
        return arm_shares(
            counts,
            {"won": say(wording.WON_IN_WINDOW)},
            heading=wording.REACTIVATION,
            experiment=experiment,
            arms=plan.arms,
            starts_at=plan.starts_at,
            ends_at=plan.ends_at,
            known_until=known,
            alpha=self.alpha,
            notes=(say(wording.SHARED, n=grouped(shared)),) if shared else (),
        )

    def retention(self, experiment: str = "", *, weeks: int = 8) -> RetentionByArm:
        """Compare who ordered in week k of an experiment with its control group; randomised."""
        if not experiment:
            return RetentionByArm(
                experiment="",
                rows=(),
                starts_at=None,
                alpha=self.alpha,
                reason=say(wording.NO_EXPERIMENT),
            )
        plan = self._plan(experiment)
        return retention_by_arm(
            self._frame(sql.buyers_by_week(plan.scope, starts_at=plan.starts_at, weeks=weeks)),
            experiment=experiment,
            arms=plan.arms,
            starts_at=plan.starts_at,
            known_until=self._until("orders"),
            weeks=weeks,
            alpha=self.alpha,
        )

    def cohorts(self, *, period_days: int = 30, periods: int = 6) -> CohortTriangle:
        """Give who orders again, by month of registration."""
        end = self._until("orders")
        return cohort_triangle(
            self._frame(sql.cohorts(end or datetime.min, period_days=period_days, zone=self._zone)),
            until=end,
            period_days=period_days,
            periods=periods,
            alpha=self.alpha,
        )

    def panel(self, experiment: str = "", *, active_days: int = 28, seed: int = 1) -> ArmShares:
        """Compare activity, loss, unsubscribes, complaints and NPS with the control group."""
        if not experiment:
            return no_arms(wording.PANEL, reason=say(wording.NO_EXPERIMENT))
        plan = self._plan(experiment)
        known = self._until("orders")
        end = min(plan.ends_at, known or plan.ends_at)
        return arm_panel(
            self._frame(
                sql.arm_panel(
                    plan.scope, starts_at=plan.starts_at, ends_at=end, active_days=active_days
                )
            ),
            experiment=experiment,
            arms=plan.arms,
            starts_at=plan.starts_at,
            ends_at=plan.ends_at,
            known_until=known,
            active_days=active_days,
            alpha=self.alpha,
            rng=np.random.default_rng(seed),
            with_states=bool(self.contents().rows["lifecycle_history"]),
            reason="" if known else say(wording.NO_ORDERS),
        )

    def registrations(self) -> pd.DataFrame:
        """Read the registrations: one row per customer with a form (see the gateway's SQL)."""
        end = self._until("deals") or self._until("registrations") or datetime.min
        return self._frame(sql.registrations(end))

    def members(self, experiment: str) -> pd.DataFrame:
        """Read who is in which arm of an experiment: customer_id, variant."""
        return self._frame(sql.members(self._plan(experiment).scope))

    def _channels(self, counts: pd.DataFrame, *, until: datetime | None, reason: str) -> GroupRates:
        return group_rates(
            counts,
            subject="channel",
            event=say(wording.WON_IN_WINDOW),
            unit=wording.CUSTOMERS_DRAWN,
            alpha=self.alpha,
            until=until,
            basis="randomised",
            pair=(registered.MESSENGER, registered.EMAIL),
            reason=reason,
        )

    def _frame(self, query: str) -> pd.DataFrame:
        with self._workbench.gateway.reader() as reader:
            return reader.frame(query)

    def _plan(self, experiment: str) -> Plan:
        plan = registered_plan(self._workbench.gateway, experiment)
        assert plan is not None  # required=True raises instead
        return plan

    def _until(self, what: str) -> datetime | None:
        known: Any = self._known[what]
        return None if known is None else min(known, self._limit)

    def _latest(self, *what: str) -> datetime | None:
        found = [end for name in what if (end := self._until(name)) is not None]
        return max(found, default=None)
