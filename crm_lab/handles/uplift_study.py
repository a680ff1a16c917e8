"""What one experiment teaches about whom to contact: members, learners, league, explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.experiments.analysis import exempt_classes
from crm_lab.experiments.enrolment import assigned_at, registered_plan
from crm_lab.experiments.epochs import epochs
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.lights import contamination_light, ratio_light
from crm_lab.experiments.looks import window_is_complete
from crm_lab.experiments.outcomes import Window, read_outcomes
from crm_lab.experiments.plan import Plan
from crm_lab.gateway import audits, operations
from crm_lab.gateway import features as feature_sql
from crm_lab.handles.context import Context, Handle, now
from crm_lab.headlines import Light, light
from crm_lab.language import say, word
from crm_lab.uplift import wording
from crm_lab.uplift.cross_fitting import (
    FOLDS,
    REPEATS,
    CrossFitted,
    Folds,
    cross_fit_all,
    expected_outcomes,
    make_folds,
)
from crm_lab.uplift.estimate import Predictions
from crm_lab.uplift.features import Features
from crm_lab.uplift.final_models import fit_model, picked_learner
from crm_lab.uplift.league import UpliftLeague, league
from crm_lab.uplift.lessons import Learner, control_warning
from crm_lab.uplift.policy import Economics
from crm_lab.uplift.roster import default_learners
from crm_lab.uplift.saved_models import UpliftModel
from crm_lab.uplift.segment_effects import SegmentEffects, segment_effects
from crm_lab.uplift.trial import Trial
from crm_lab.uplift.verdict import ChosenRule, choose_rule

"""Error level of the check of the arms' sizes."""
_STEPS = ("cuts", "learners", "league", "verdict", "segments", "model", "leave alone", "arms")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    data_until: datetime | None
    is_complete: bool
    touched: int
    has_costs: bool


class UpliftStudy(Handle):
    """What the members of an experiment teach about whom one of its arms is worth.

    Everything is learned from the members of the experiment in the assignment table, by what was
    known of them before the draw. One instance sees one state of the data; each step is computed
    once, when it is first asked for.

    Parameters
    ----------
    workbench : Context
        Where the experiment ran.
    name : str
        Name of the experiment.
    arm : str, optional
        The arm that is judged; by default the first of the plan.
    cost_per_message : float, optional
        Cost of one contact; by default what the plan says.
    margin_share : float, optional
        Margin as a part of revenue; by default what the plan says, else the cost of goods.
    discount : float
        Part of the price that a contacted customer is given back (0.1 is 10 % off).
    learners : sequence of Learner, optional
        Learners of the league; by default :func:`crm_lab.uplift.roster.default_learners`.
    alpha : float
        Two-sided error level of every interval.
    folds, repeats : int
        How customers are cut.
    seed : int
        Seed of cuts, learners and permutations.
    permutations : int
        Random splits where an interval comes from permutation.
    progress : bool
        Whether to show a progress bar on standard error.

    Raises
    ------
    LedgerError
        The experiment was never assigned.
    DesignError
        It has no such arm.
    """

    def __init__(
        self,
        workbench: Context,
        name: str,
        *,
        arm: str | None = None,
        cost_per_message: float | None = None,
        margin_share: float | None = None,
        discount: float = 0.0,
        learners: Sequence[Learner] | None = None,
        alpha: float = 0.05,
        folds: int = FOLDS,
        repeats: int = REPEATS,
        seed: int = 1,
        permutations: int = 2_000,
        progress: bool = False,
    ) -> None:
        self.workbench = workbench
        self.name = name
        self.drawn_at = assigned_at(workbench.gateway, name)
        plan = registered_plan(workbench.gateway, name)
        assert plan is not None  # required=True raises instead
        self.plan: Plan = plan
        self.arm = arm or plan.arms[0]
        if self.arm not in plan.arms:
            raise DesignError(
                say("'{name}' has no arm '{arm}'", name=name, arm=self.arm),
                expected=say("one of {words}", words=", ".join(plan.arms)),
            )
        self.window = Window.of(plan, assigned_at=self.drawn_at)
        self.alpha = alpha
        self.cost = plan.cost_per_message if cost_per_message is None else cost_per_message
        self.margin_share = plan.margin_share if margin_share is None else margin_share
        self._discount = discount
        self._given = learners
        self._cuts = (folds, repeats)
        self.permutations = permutations
        self.progress = progress
        self._seed = seed

    # what was measured

    @cached_property
    def members(self) -> pd.DataFrame:
        """Everybody assigned, one row per drawn unit: variant, what they did, what was known.

        Of customers who were drawn together the first by id stands for them, since their outcomes
        are not independent.
        """
        with self.workbench.gateway.reader() as reader:
            outcomes = read_outcomes(reader, self.plan, self.window)
            people = operations.assigned(self.plan.scope)
            reader.temporary(
                "feature", feature_sql.customer_features(people, self.window.pre_ends_at)
            )
            known = reader.frame(feature_sql.in_order("feature"))
        frame = outcomes.frame.merge(known, on="customer_id", how="left", validate="1:1")
        return frame.loc[~frame["unit_id"].duplicated()].reset_index(drop=True)

    @cached_property
    def economics(self) -> Economics:
        """What the outcome is worth and what a contact costs."""
        margin = 1.0 if self._uses_cost_of_goods or self.margin_share is None else self.margin_share
        return Economics(
            margin=margin,
            contact_cost=self.cost,
            discount=self._discount,
            currency=self.workbench.settings.currency,
        )

    def trial(self, arm: str | None = None) -> Trial:
        """Give one arm against the control: margin where the cost of goods is known, else revenue.

        Parameters
        ----------
        arm : str, optional
            Which arm; by default the one that is judged.
        """
        chosen = arm or self.arm
        return Trial.from_frame(
            self.members,
            arm_column="variant",
            treatment=chosen,
            control=CONTROL,
            outcome="margin" if self._uses_cost_of_goods else "revenue",
            control_arms=[CONTROL],
            shares=self.plan.expected_shares(),
            unit_column="customer_id",
        )

    def features(self, arm: str | None = None) -> Features:
        """Give what was known of the customers of one arm and the control before the draw.

        Columns without a value, or with the same value for everybody, are left out.
        """
        rows = self.members[self.members["variant"].isin([arm or self.arm, CONTROL])]
        names = [
            name
            for name in (*feature_sql.NUMBERS, *feature_sql.CATEGORIES)
            if len(self.members[name].unique()) > 1
        ]
        if not names:
            raise DesignError(
                say(
                    "nothing is known of the customers of '{name}' before the draw",
                    name=self.name,
                ),
                remedy=say("import orders, messages or what the company knows of its customers"),
            )
        return Features.of(rows[names].reset_index(drop=True), known_at=self.window.pre_ends_at)

    # what was learned

    @cached_property
    def learners(self) -> tuple[Learner, ...]:
        """The learners of the league."""
        if self._given is not None:
            return tuple(self._given)
        trial = self.trial()
        return default_learners(self.features(), trial.outcome, control_share=trial.control_share)

    @cached_property
    def _folds(self) -> Folds:
        folds, repeats = self._cuts
        return make_folds(self.trial(), rng=self.rng_of("cuts"), folds=folds, repeats=repeats)

    @cached_property
    def fitted(self) -> tuple[CrossFitted, ...]:
        """Every learner, cross-fitted on the outcome and on having bought at all."""
        return cross_fit_all(
            self.learners,
            self.features(),
            self.trial(),
            folds=self._folds,
            rng=self.rng_of("learners"),
            drawn_at=self.drawn_at,
            train_on=[self._bought],
            progress=self.progress,
        )

    @cached_property
    def league(self) -> UpliftLeague:
        """How well each learner ranks."""
        return league(
            self.fitted,
            self.trial(),
            alpha=self.alpha,
            rng=self.rng_of("league"),
            permutations=self.permutations,
        )

    @cached_property
    def chosen(self) -> ChosenRule:
        """Whom the learners would contact."""
        return choose_rule(
            self.fitted, self.trial(), economics=self.economics, predictions=self.predictions
        )

    @cached_property
    def segments(self) -> SegmentEffects:
        """Who reacts, by every feature."""
        return segment_effects(
            self.features(),
            self.trial(),
            economics=self.economics,
            alpha=self.alpha,
            rng=self.rng_of("segments"),
            contact=self.chosen.contact,
            permutations=self.permutations,
        )

    @cached_property
    def model(self) -> UpliftModel:
        """The model for customers now: the learner that was picked most often, from everybody."""
        learner, judged = picked_learner(self.learners, self.fitted, self.chosen.name)
        trial = self.trial()
        return fit_model(
            learner,
            judged,
            self.features(),
            trial,
            economics=self.economics,
            rng=self.rng_of("model"),
            drawn_at=self.drawn_at,
            snapshot=self.workbench.gateway.snapshot().label,
            predictions=self.predictions,
            train_on=None if judged.trained_on == trial.metric else self._bought,
        )

    # whether it can be trusted

    @property
    def is_margin_known(self) -> bool:
        """Whether the plan names a margin, or the cost of goods is loaded."""
        return self.margin_share is not None or self._uses_cost_of_goods

    def lights(self) -> tuple[Light, ...]:
        """Check the trial: draw, sizes, control, window, size of the control, features."""
        trial = self.trial()
        features = self.features()
        return (
            light(
                say(wording.CHECK_EVIDENCE),
                "good" if trial.is_randomised else "bad",
                word(trial.evidence),
            ),
            ratio_light(trial.sample_ratio()),
            contamination_light(trial.n_control, self._facts.touched),
            light(
                say(wording.CHECK_WINDOW),
                "good" if self._facts.is_complete else "unsure",
                say(
                    wording.WINDOW,
                    starts=formats.day(self.window.starts_at),
                    ends=formats.last_day(self.window.ends_at),
                ),
            ),
            light(
                say(wording.CHECK_CONTROL),
                "unsure" if control_warning(trial.control_share) else "good",
                control_warning(trial.control_share)
                or say(wording.CONTROL_SHARE, share=formats.percent(trial.control_share)),
            ),
            light(
                say(wording.CHECK_FEATURES),
                "good",
                say(
                    wording.FEATURES_BEFORE,
                    count=len(features.names),
                    day=formats.day(self.window.pre_ends_at),
                ),
            ),
        )

    # inside

    @cached_property
    def predictions(self) -> Predictions:
        """Expected outcomes of every customer in both arms, by models that did not see him."""
        return expected_outcomes(self.features(), self.trial(), folds=self._folds)

    @property
    def _bought(self) -> Trial:
        """The same customers with the denser outcome: whether they bought."""
        rows = self.members[self.members["variant"].isin([self.arm, CONTROL])]
        return self.trial().with_outcome(rows["orders"].to_numpy() > 0, metric="bought")

    @property
    def _uses_cost_of_goods(self) -> bool:
        return (
            self.margin_share is None
            and "margin" in self.members
            and bool(self.members["margin"].notna().all())
            and self._facts.has_costs
        )

    @cached_property
    def _facts(self) -> _Facts:
        span = {"starts_at": self.window.starts_at, "ends_at": self.window.ends_at}
        with self.workbench.gateway.reader() as reader:
            last = reader.one(operations.imported_until()).get("last_order_at")
            exempt = exempt_classes(
                epochs(self.workbench.gateway, self.plan.control_group), self.window.starts_at
            )
            touched = reader.frame(
                audits.touched_controls(self.plan.scope, **span, exempt_classes=exempt)
            )
            costed = reader.integer(operations.orders_with_cost())
        data_until = last if isinstance(last, datetime) else None
        return _Facts(
            data_until=data_until,
            is_complete=window_is_complete(self.plan, data_until),
            touched=touched["customer_id"].nunique(),
            has_costs=costed > 0,
        )

    def moment(self, as_of: datetime | None) -> datetime:
        """Give the moment (UTC) up to which the base is looked at: by default its last order."""
        return as_of or self._facts.data_until or now()

    def rng_of(self, step: str) -> np.random.Generator:
        """Give the source of chance of one step, the same whenever it is asked for."""
        return np.random.default_rng([self._seed, _STEPS.index(step)])
