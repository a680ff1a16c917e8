"""Whom to contact: what the uplift of an experiment means for the base now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cached_property

import pandas as pd
from tqdm.auto import tqdm

from crm_lab import formats
from crm_lab.experiments.enrolment import audience_query
from crm_lab.experiments.epochs import epochs, required_epoch
from crm_lab.experiments.fields import CONTROL
from crm_lab.gateway import features as feature_sql
from crm_lab.gateway import operations, segments
from crm_lab.gateway.segments import Segment
from crm_lab.handles import leave_alone_lists
from crm_lab.handles.context import now
from crm_lab.handles.leave_alone_lists import LeaveAloneList
from crm_lab.handles.uplift_study import UpliftStudy
from crm_lab.headlines import Light, light
from crm_lab.language import say
from crm_lab.uplift import wording
from crm_lab.uplift.allocation import Allocation, Option, allocate
from crm_lab.uplift.arm_effects import ArmEffects, ArmTrial, arm_effects
from crm_lab.uplift.drift import Drift, drift
from crm_lab.uplift.leave_alone import LeaveAlone, leave_alone
from crm_lab.uplift.saved_models import UpliftModel
from crm_lab.uplift.verdict import TargetingVerdict, judge

PART_CUSTOMERS = 200_000
"""Customers that are scored at a time."""


class Uplift(UpliftStudy):
    """Whom of a base to contact by one arm of an experiment, and whom to leave alone.

    Learns as :class:`UpliftStudy` does, whose parameters it takes, and turns what was learned to
    the customers who may be contacted now.
    """

    @cached_property
    def verdict(self) -> TargetingVerdict:
        """What to do, for the audience as it is now."""
        found = judge(
            self.trial(),
            self.chosen.contact,
            economics=self.economics,
            alpha=self.alpha,
            rng=self.rng_of("verdict"),
            predictions=self.predictions,
            name=wording.CHOSEN,
            customers=max(len(self.audience()), 1),
            is_cross_fitted=True,
            permutations=self.permutations,
        )
        warnings = list(found.warnings)
        if not self._facts.is_complete:
            warnings.append(say(wording.NOT_OVER, day=formats.last_day(self.plan.ends_at)))
        if self.drift().is_large:
            warnings.append(say(wording.DRIFT_CAUTION))
        return replace(
            found,
            warnings=tuple(warnings),
            is_margin_known=self.is_margin_known,
            lights=self.lights(),
            about=say(
                wording.ABOUT,
                experiment=self.plan.title,
                arm=self.arm,
                treated=formats.number(self.trial().n_treatment),
                controls=formats.number(self.trial().n_control),
                start=formats.day(self.window.starts_at),
                end=formats.last_day(self.window.ends_at),
            ),
        )

    def audience(self, *, as_of: datetime | None = None) -> list[str]:
        """List who may be contacted now and is in no control group, by the plan's audience."""
        with self.workbench.gateway.reader() as reader:
            return reader.frame(self._open(as_of) + " order by 1")["customer_id"].tolist()

    def score(
        self, *, model: UpliftModel | None = None, as_of: datetime | None = None
    ) -> pd.DataFrame:
        """Score everybody who may be contacted now, piece by piece.

        Parameters
        ----------
        model : UpliftModel, optional
            A model, such as a saved one; by default :attr:`model`.
        as_of : datetime, optional
            Moment (UTC) up to which customers are looked at; by default the end of the last day
            with orders.

        Returns
        -------
        pandas.DataFrame
            customer_id, expected_margin (of a contact), expected_profit (less its cost), contact.
        """
        used = model or self.model
        parts = []
        for frame in self._known_now(as_of):
            expected = used.expected(frame)
            parts.append(
                pd.DataFrame(
                    {
                        "customer_id": frame["customer_id"].to_numpy(),
                        "expected_margin": expected,
                        "expected_profit": expected - self.cost,
                    }
                )
            )
        scored = pd.concat(parts, ignore_index=True).sort_values("customer_id")
        return scored.assign(contact=scored["expected_profit"] > 0).reset_index(drop=True)

    def drift(self, *, model: UpliftModel | None = None, as_of: datetime | None = None) -> Drift:
        """Say whether the customers now are like those the model was learned from."""
        if model is None and as_of is None:
            return self._drift_now
        return self._drift(model or self.model, as_of)

    @cached_property
    def _drift_now(self) -> Drift:
        return self._drift(self.model, None)

    def _drift(self, model: UpliftModel, as_of: datetime | None) -> Drift:
        frame = pd.concat(list(self._known_now(as_of)), ignore_index=True)
        return drift(model.reference, frame, model.score(frame))

    def lights(self) -> tuple[Light, ...]:
        """Check the trial, and whether the customers now are still like its own."""
        found = self.drift()
        today = light(
            say(wording.CHECK_TODAY),
            "unsure" if found.changed or not found.is_known else "good",
            found.changes()
            or say(wording.DRIFT_NOTHING if found.is_known else wording.DRIFT_NOBODY),
        )
        return (*super().lights(), today)

    def leave_alone(
        self, *, model: UpliftModel | None = None, as_of: datetime | None = None
    ) -> LeaveAlone:
        """Say what leaving alone those saves who are not expected to pay for the contact."""
        scored = self.score(model=model, as_of=as_of)
        return leave_alone(
            self.trial(),
            self.chosen.contact,
            economics=self.economics,
            alpha=self.alpha,
            rng=self.rng_of("leave alone"),
            predictions=self.predictions,
            listed=int((~scored["contact"]).sum()),
            audience=len(scored),
            is_cross_fitted=True,
            permutations=self.permutations,
        )

    def write_leave_alone(
        self,
        *,
        by: str,
        model: UpliftModel | None = None,
        as_of: datetime | None = None,
        starts_on: date | None = None,
    ) -> LeaveAloneList:
        """Write the leave-alone list and the file of the experiment that tests it.

        Parameters
        ----------
        by : str
            Who writes it.
        model : UpliftModel, optional
            A model, such as a saved one; by default :attr:`model`.
        as_of : datetime, optional
            Moment (UTC) at which customers are looked at; by default the end of the last day with
            orders.
        starts_on : datetime.date, optional
            First day of the test; by default the day on which the open epoch has lasted as long as
            planned, or tomorrow where that is over.

        Raises
        ------
        LedgerError
            Nobody is to be left alone, or a list of that day was written with other customers.
        """
        at = self.moment(as_of)
        return leave_alone_lists.write_list(
            self.workbench,
            self.plan,
            self.score(model=model, as_of=at),
            arm=self.arm,
            cost=self.cost,
            margin_share=self.margin_share,
            as_of=at,
            starts_on=starts_on or self._next_epoch(at),
            by=by,
        )

    def draw_leave_alone_test(self, name: str, *, as_of: datetime | None = None) -> dict[str, int]:
        """Draw the test of a leave-alone list by its experiment file; give customers per variant.

        Raises
        ------
        LedgerError
            There is no such list, its file was changed, or the test was drawn before.
        SpecError
            The file of the test is wrong.
        """
        return leave_alone_lists.draw_test(self.workbench, name, as_of=as_of or now())

    def arm_effects(
        self,
        *,
        segment: Segment = "value",
        costs: Mapping[str, float] | None = None,
    ) -> ArmEffects:
        """Compare all arms of the experiment, each against the control, by segment.

        Parameters
        ----------
        segment : str
            A segment of :mod:`crm_lab.gateway.segments`.
        costs : mapping, optional
            Cost of a contact by arm; by default that of the plan for all.
        """
        with self.workbench.gateway.reader() as reader:
            people = operations.assigned(self.plan.scope)
            query = segments.segment_labels(people, segment, self.window.pre_ends_at)
            labels = reader.frame(query).set_index("customer_id")["label"]
        arms = {}
        for arm in self.plan.arms:
            rows = self.members["variant"].isin([arm, CONTROL])
            ids = self.members.loc[rows, "customer_id"]
            cost = (costs or {}).get(arm, self.cost)
            arms[arm] = ArmTrial(
                trial=self.trial(arm),
                segments=labels.loc[ids].to_numpy(),
                economics=replace(self.economics, contact_cost=cost),
            )
        return arm_effects(
            arms, alpha=self.alpha, rng=self.rng_of("arms"), permutations=self.permutations
        )

    def allocation(
        self,
        effects: ArmEffects,
        *,
        segment: Segment = "value",
        budget: float | None = None,
        capacities: Mapping[str, int] | None = None,
        cap: int = 1,
        as_of: datetime | None = None,
    ) -> tuple[Allocation, pd.DataFrame]:
        """Deal out the arms to the audience now by expected profit, under budget and caps.

        Parameters
        ----------
        effects : ArmEffects
            From :meth:`arm_effects`, with the same segment.
        segment : str
            The segment that the effects are by.
        budget : float, optional
            Most that may be spent on contacts.
        capacities : mapping, optional
            Most contacts by arm.
        cap : int
            Most contacts of one customer.
        as_of : datetime, optional
            Moment (UTC) at which customers are looked at; by default the end of the last day with
            orders.

        Returns
        -------
        Allocation, pandas.DataFrame
            The result, and customer_id with one column of truth values per arm.
        """
        with self.workbench.gateway.reader() as reader:
            at = self.moment(as_of)
            query = segments.segment_labels(self._open(as_of), segment, at)
            labels = reader.frame(query)
        cost = {row.arm: row.cost for row in effects.rows}
        options = [
            Option(name=arm, cost=cost[arm], capacity=(capacities or {}).get(arm))
            for arm in effects.arms
        ]
        found = allocate(
            effects.values(labels["label"]),
            options,
            budget=budget,
            cap=cap,
            currency=effects.currency,
        )
        table = pd.DataFrame(found.sent, columns=list(effects.arms))
        return found, pd.concat([labels[["customer_id"]], table], axis=1)

    def _known_now(self, as_of: datetime | None) -> Iterator[pd.DataFrame]:
        """Read what is known of the audience now, piece by piece."""
        with self.workbench.gateway.reader() as reader:
            query = feature_sql.customer_features(self._open(as_of), self.moment(as_of))
            reader.temporary("feature", query)
            parts = max(1, math.ceil(reader.count("feature") / PART_CUSTOMERS))
            for part in tqdm(
                range(parts),
                desc=say(wording.SCORING),
                unit="part",
                disable=not self.progress,
                leave=False,
            ):
                yield reader.frame(feature_sql.part_of("feature", part, parts))

    def _next_epoch(self, at: datetime) -> date:
        epoch = required_epoch(self.workbench.gateway, self.plan.control_group)
        planned = epoch.opened_at + timedelta(days=epoch.planned_horizon_days)
        return self.workbench.local_day(max(planned, at) + timedelta(days=1))

    def _open(self, as_of: datetime | None) -> str:
        held = [epoch.scope for epoch in epochs(self.workbench.gateway) if epoch.closed_at is None]
        return feature_sql.open_to_contact(
            audience_query(self.plan, self.moment(as_of)), tuple(held)
        )
