"""What a person writes about an experiment: YAML, checked whole.

``experiments/november-mailing.yml``::

    name: november-mailing
    title: "Two mailings in November"
    hypothesis: "A personal reminder brings buyers back sooner."
    owner: CRM team
    channel: email
    starts_on: 2017-11-01
    ends_on: 2017-11-28
    audience: {bought_within_days: 90}
    arms:
      reminder: {share: 0.5, message: reminder-1}
      newsletter: {share: 0.5, message: newsletter-7}
    metrics: {primary: revenue_per_customer, secondary: [conversion]}
    decision: {rule: interval_above_zero}
    costs: {per_message: 0.02}
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from ruamel.yaml.comments import CommentedMap

from crm_lab.errors import Fault, SpecError
from crm_lab.experiments.control_group_spec import CONTROL_GROUP_FILE
from crm_lab.experiments.fields import (
    CONTROL,
    REST,
    Channel,
    Day,
    Name,
    Number,
    Share,
    Whole,
    check_name,
    check_whole_buckets,
    day_or_none,
    read_declared,
)
from crm_lab.experiments.metrics import (
    METRICS_FILE,
    MetricName,
    MetricSpec,
    load_metrics,
    metric_of,
)
from crm_lab.formats import day, listing, percent
from crm_lab.gateway.segments import Segment
from crm_lab.language import say, say_many
from crm_lab.stats.sequential import SMALLEST_STEP, Boundary
from crm_lab.yaml_files import Declared, place, validate

TAGGING_FILE = "tagging.yml"
MONTHLY_PLAN_FILE = "monthly_plan.yml"


Covariate = Literal["pre_revenue", "pre_orders", "recency_days"]


class AudienceSpec(Declared):
    """Whom a campaign is for, besides being reachable.

    Attributes
    ----------
    bought_within_days : int, optional
        Only customers with an order in the last so many days.
    min_orders : int
        Only customers with at least so many orders.
    """

    bought_within_days: Whole | None = Field(default=None, ge=1, le=36_500)
    min_orders: Whole = Field(default=0, ge=0, le=1_000_000)


class ArmSpec(Declared):
    """One arm that receives something.

    Attributes
    ----------
    share : float
        Part of the audience outside the control group.
    message : str
        What is sent, by its name in the sending service.
    """

    share: Share
    message: str = Field(min_length=1)


class MetricsSpec(Declared):
    """What decides and what is watched, by the names of :mod:`crm_lab.experiments.metrics`.

    Attributes
    ----------
    primary : str
        The one metric of the decision rule.
    secondary : tuple of str
        Shown beside it, decide nothing.
    guardrails : tuple of str
        Must not get worse: an arm that passes the ``limit`` of one, or is certainly worse than the
        control where it has none, is not shipped.
    """

    primary: MetricName = "revenue_per_customer"
    secondary: tuple[MetricName, ...] = ("conversion",)
    guardrails: tuple[MetricName, ...] = ()

    @model_validator(mode="after")
    def _different(self) -> MetricsSpec:
        if self.primary in self.secondary:
            raise ValueError(say("'{name}' is both primary and secondary", name=self.primary))
        if len(set(self.secondary)) < len(self.secondary):
            raise ValueError(say("a secondary metric stands there twice"))
        if len(set(self.guardrails)) < len(self.guardrails):
            raise ValueError(say("a guardrail stands there twice"))
        if self.primary in self.guardrails:
            raise ValueError(say("'{name}' is both primary and a guardrail", name=self.primary))
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric named, the primary first."""
        return tuple(dict.fromkeys((self.primary, *self.secondary, *self.guardrails)))


class AdjustSpec(Declared):
    """What is known before the start and takes noise out of the result.

    Attributes
    ----------
    covariates : tuple of str
        Measured in the pre-period, for CUPED.
    strata : tuple of str
        Groups known before the start whose shares are made equal (post-stratification).
    """

    covariates: tuple[Covariate, ...] = ()
    strata: tuple[Segment, ...] = ()


class LooksSpec(Declared):
    """When the result may be looked at, and decided, before the end.

    Attributes
    ----------
    at : tuple of float
        Shares of the window, rising to 1.
    boundary : str
        How the error rate is spent over them.
    """

    at: tuple[Annotated[Number, Field(gt=0, le=1)], ...] = Field(min_length=2)
    boundary: Boundary = "lan_demets_obrien_fleming"

    @model_validator(mode="after")
    def _rising(self) -> LooksSpec:
        steps = [later - earlier for earlier, later in pairwise((0.0, *self.at))]
        if self.at[-1] != 1 or min(steps) < SMALLEST_STEP:
            raise ValueError(
                say(
                    "{shares} does not rise to 1 in steps of {step}",
                    shares=list(self.at),
                    step=SMALLEST_STEP,
                )
            )
        return self


class DecisionSpec(Declared):
    """The rule by which the result becomes a decision, fixed before the start.

    Attributes
    ----------
    rule : {"interval_above_zero", "interval_above_minimum"}
        Ship when the whole interval of the primary metric lies above 0, or above ``minimum``.
    minimum : float
        Smallest effect per customer worth having, in the unit of the metric.
    """

    rule: Literal["interval_above_zero", "interval_above_minimum"] = "interval_above_zero"
    minimum: Number = 0.0

    @model_validator(mode="after")
    def _minimum_fits(self) -> DecisionSpec:
        if self.rule == "interval_above_minimum" and self.minimum <= 0:
            raise ValueError(say("the rule interval_above_minimum needs a 'minimum' above 0"))
        if self.rule == "interval_above_zero" and self.minimum != 0:
            raise ValueError(say("the rule interval_above_zero takes no 'minimum'"))
        return self


class CostsSpec(Declared):
    """What a campaign costs.

    Attributes
    ----------
    per_message : float
        Cost of one message, in the company's currency.
    fixed : float
        Cost of the campaign as a whole.
    margin_share : float, optional
        Margin as a part of revenue, where the company knows it.
    """

    per_message: Number = Field(default=0.0, ge=0)
    fixed: Number = Field(default=0.0, ge=0)
    margin_share: Number | None = Field(default=None, gt=0, le=1)


class LayerSpec(Declared):
    """A part of the base that an experiment takes for itself.

    Experiments of one layer take parts that do not touch, so nobody is in two of them. Layers are
    hashed apart, so experiments of different layers overlap at random.

    Attributes
    ----------
    name : str
        Name of the layer.
    start, end : float
        The part, between 0 and 1 (``from`` and ``to`` in YAML).
    """

    name: Name
    start: Annotated[Number, AfterValidator(check_whole_buckets)] = Field(
        default=0.0, alias="from", ge=0, lt=1
    )
    end: Annotated[Number, AfterValidator(check_whole_buckets)] = Field(
        default=1.0, alias="to", gt=0, le=1
    )

    @model_validator(mode="after")
    def _in_order(self) -> LayerSpec:
        if self.end <= self.start:
            raise ValueError(
                say("the part from {start} to {end} is empty", start=self.start, end=self.end)
            )
        return self


class ExperimentSpec(Declared):
    """One campaign experiment as a person wrote it; see the module for an example.

    Attributes
    ----------
    name, title, hypothesis, owner : str
        What it is and who answers for it.
    channel, message_class : str
        How it is sent, and what kind of message it is.
    mechanic : str
        What kind of activity it is (``discount``, ``reminder``), to compare activities of a kind;
        empty: not named.
    starts_on, ends_on : datetime.date
        First and last day of the outcome window, both included, in the company's time zone.
    pre_period_days : int
        Days before the start whose revenue serves as covariate; 0: none.
    audience, layer, arms, metrics, decision, costs
        See their classes.
    own_control_share : float, optional
        Part of the audience outside the global control group that gets nothing of this campaign
        and is what the arms are compared with; without it, the global group is.
    factors : mapping
        Instead of arms: two factors with their levels and shares (``{subject: {short: 0.5, long:
        0.5}, discount: {none: 0.5, ten: 0.5}}``); every combination is an arm, and the levels are
        drawn independently.
    alpha, power : float
        Error rate of the whole experiment, and the probability to find the effect planned for.
    adjust, looks
        See their classes.
    segments : tuple of str
        Groups known before the start for which the effect is read apart.
    """

    name: Name
    title: str = Field(min_length=1)
    hypothesis: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    channel: Channel = "email"
    message_class: Literal["marketing"] = "marketing"
    mechanic: Name = ""
    starts_on: Day
    ends_on: Day
    pre_period_days: Whole = Field(default=28, ge=0, le=730)
    audience: AudienceSpec = AudienceSpec()
    layer: LayerSpec | None = None
    own_control_share: Annotated[Share, Field(lt=1)] | None = None
    arms: Mapping[Name, ArmSpec] = Field(default_factory=dict)
    factors: Mapping[Name, Mapping[Name, Share]] = Field(default_factory=dict)
    metrics: MetricsSpec = MetricsSpec()
    adjust: AdjustSpec = AdjustSpec()
    segments: tuple[Segment, ...] = ()
    looks: LooksSpec | None = None
    alpha: Number = Field(default=0.05, gt=0, lt=0.5)
    power: Number = Field(default=0.8, gt=0.5, lt=1)
    decision: DecisionSpec = DecisionSpec()
    costs: CostsSpec = CostsSpec()


def load_experiment(folder: Path, name: str) -> ExperimentSpec:
    """Read one experiment of the experiments folder and check it whole.

    Raises
    ------
    SpecError
        It is no name of an experiment, there is no such file, or anything in it is wrong: all
        faults at once.
    """
    try:
        check_name(name)
    except ValueError as problem:
        raise SpecError(str(problem), expected=say("the name of an experiment")) from None
    path = folder / f"{name}.yml"
    if not path.is_file():
        known = [item for item in experiment_names(folder) if item]
        raise SpecError(
            say("there is no experiment '{name}'", name=name),
            expected=say("one of {words}", words=listing(known, limit=20))
            if known
            else say("a file there"),
            where=str(path),
        )
    data = read_declared(path)
    contrary = [
        Fault(found=text, where=place(path, data, location))
        for location, text in contradictions(data, file_name=path.stem)
    ]
    try:
        spec = validate(ExperimentSpec, data, path=path, error=SpecError)
    except SpecError as problem:
        raise SpecError([*problem.faults, *contrary]) from None
    contrary += _unknown_metrics(spec, data, path, load_metrics(folder))
    if contrary:
        raise SpecError(contrary)
    return spec


def _unknown_metrics(
    spec: ExperimentSpec, data: CommentedMap, path: Path, declared: Mapping[str, MetricSpec]
) -> list[Fault]:
    found = []
    for name in spec.metrics.names:
        try:
            metric = metric_of(name, declared)
            if metric.kind == "quantile" and name not in spec.metrics.secondary:
                found.append(
                    Fault(
                        found=say("'{name}' is a quantile among customers who bought", name=name),
                        expected=say(
                            "a metric over everybody assigned; a quantile may be secondary"
                        ),
                        where=place(path, data, ("metrics",)),
                    )
                )
        except SpecError as problem:
            fault = problem.faults[0]
            found.append(
                Fault(
                    found=fault.found,
                    expected=fault.expected,
                    where=place(path, data, ("metrics",)),
                    remedy=fault.remedy,
                )
            )
    return found


def experiment_names(folder: Path) -> list[str]:
    """List the experiments that have a file, by name."""
    kept = {CONTROL_GROUP_FILE, METRICS_FILE, TAGGING_FILE, MONTHLY_PLAN_FILE}
    return sorted(path.stem for path in folder.glob("*.yml") if path.name not in kept)


def contradictions(
    data: Mapping[str, Any], *, file_name: str = ""
) -> list[tuple[tuple[str, ...], str]]:
    """List what cannot be meant, each with the key it concerns; tolerates other faults.

    Parameters
    ----------
    data : mapping
        What the file says, unchecked.
    file_name : str
        Name of the file without its ending; the experiment is called like it.
    """
    found: list[tuple[tuple[str, ...], str]] = []
    start, end = day_or_none(data.get("starts_on")), day_or_none(data.get("ends_on"))
    if start is not None and end is not None and end < start:
        found.append(
            (
                ("ends_on",),
                say(
                    "the end {end} is before the start {start}",
                    end=day(end),
                    start=day(start),
                ),
            )
        )
    arms = data.get("arms")
    factors = data.get("factors")
    if bool(arms) == bool(factors):
        found.append((("arms",), say("give either 'arms' or 'factors'")))
    if isinstance(factors, Mapping):
        found += _contradictory_factors(factors)
    if isinstance(arms, Mapping):
        shares = [arm.get("share") for arm in arms.values() if isinstance(arm, Mapping)]
        numbers = [share for share in shares if isinstance(share, (int, float))]
        total = sum(share for share in numbers if not isinstance(share, bool))
        if total > 1 + 1e-9:
            found.append(
                (("arms",), say("the shares add up to {total}, above 100 %", total=percent(total)))
            )
        found += [
            (
                ("arms", name),
                say("the name '{name}' is kept for customers who get nothing", name=name),
            )
            for name in (CONTROL, REST)
            if name in arms
        ]
    if file_name and isinstance(data.get("name"), str) and data["name"] != file_name:
        text = say(
            "'{name}' is not the name of the file, '{file}'", name=data["name"], file=file_name
        )
        found.append((("name",), text))
    return found


def _contradictory_factors(factors: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    if len(factors) != 2:
        text = say_many(
            "{count} factors; a factorial design has two",
            "{count} factors; a factorial design has two",
            len(factors),
        )
        found.append((("factors",), text))
    for name, levels in factors.items():
        shares = list(levels.values()) if isinstance(levels, Mapping) else []
        numbers = [share for share in shares if isinstance(share, (int, float))]
        if len(shares) < 2 or len(numbers) < len(shares):
            found.append((("factors", name), say("at least two levels, each with its share")))
        elif abs(sum(numbers) - 1) > 1e-9:
            total = percent(sum(numbers))
            found.append(
                (("factors", name), say("the shares add up to {total}, not to 100 %", total=total))
            )
    return found
