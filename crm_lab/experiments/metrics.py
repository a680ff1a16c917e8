"""Metrics: what is counted per customer, over which days, and which direction is good.

Those that everybody needs are built in. A company adds its own, or changes one of these, in
``experiments/metrics.yml``::

    revenue_four_weeks:
      label: revenue per customer in four weeks
      kind: mean
      numerator: revenue
      days: 28
      winsorise: 0.999
    second_month_buyers:
      kind: share
      numerator: orders
      from_day: 28
      days: 28
    unsubscribe_rate:
      kind: share
      numerator: unsubscribes
      direction: down
      limit: 0.004

Every metric is a sum per customer that the database computes, so that a metric of ten million
customers costs one query.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, RootModel, model_validator

from crm_lab.errors import SpecError
from crm_lab.experiments.fields import Number, Whole
from crm_lab.formats import listing
from crm_lab.language import message, say
from crm_lab.yaml_files import Declared, read_yaml, validate

METRICS_FILE = "metrics.yml"

Measure = Literal[
    "revenue",
    "margin",
    "discount",
    "orders",
    "messages",
    "delivered",
    "opens",
    "clicks",
    "unsubscribes",
    "complaints",
    "bounces",
    "nps_points",
    "nps_answers",
    "csat_points",
    "csat_answers",
]
"""What the database can add up per customer (see :mod:`crm_lab.gateway.measures`)."""
MONEY: tuple[Measure, ...] = ("revenue", "margin", "discount")
MetricKind = Literal["mean", "share", "ratio", "days_to_first", "quantile"]


class MetricSpec(Declared):
    """One metric, complete; see the module for examples.

    Attributes
    ----------
    label : str
        How people call it.
    kind : {"mean", "share", "ratio", "days_to_first", "quantile"}
        Mean of the numerator per customer; share of customers with a numerator above 0; sum of the
        numerator over the sum of the denominator; days until the numerator is first above 0; a
        quantile of the numerator among customers who have one.
    numerator, denominator : str
        What is added up per customer; a denominator for ratios only.
    from_day, days : int, int or None
        Days after the start from which, and for how many of which, it is counted; None: until the
        end of the experiment's window.
    cap : float, optional
        Larger values of a customer count as this.
    winsorise : float, optional
        Values above this quantile of all customers together count as the quantile.
    quantile : float, optional
        Which quantile.
    per_week : bool
        Whether a mean is divided by the weeks of its window.
    direction : {"up", "down"}
        Which way is good.
    cost : float
        What one unit of the numerator costs, in the company's currency; enters the net effect.
    limit : float, optional
        As a guardrail: level of an arm that must not be passed.
    """

    label: str = ""
    kind: MetricKind = "mean"
    numerator: Measure
    denominator: Measure | None = None
    from_day: Whole = Field(default=0, ge=0, le=3_650)
    days: Whole | None = Field(default=None, ge=1, le=3_650)
    cap: Number | None = Field(default=None, gt=0)
    winsorise: Number | None = Field(default=None, gt=0.5, lt=1)
    quantile: Number | None = Field(default=None, gt=0, lt=1)
    per_week: Annotated[bool, Field(strict=True)] = False
    direction: Literal["up", "down"] = "up"
    cost: Number = 0.0
    limit: Number | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _parts_fit(self) -> MetricSpec:
        if (self.kind == "ratio") != (self.denominator is not None):
            raise ValueError(say("a ratio has a 'denominator', and nothing else has"))
        if (self.kind == "quantile") != (self.quantile is not None):
            raise ValueError(say("a quantile names its 'quantile', and nothing else does"))
        if self.kind in ("share", "days_to_first") and (self.cap or self.winsorise):
            raise ValueError(say("a metric of kind {kind} is not capped", kind=self.kind))
        if self.cap is not None and self.winsorise is not None:
            raise ValueError(say("give 'cap' or 'winsorise', not both"))
        if self.kind == "days_to_first" and self.numerator != "orders":
            raise ValueError(say("days_to_first counts the days until the first of 'orders'"))
        if self.per_week and self.kind != "mean":
            raise ValueError(say("'per_week' is for a mean"))
        return self

    @property
    def is_money(self) -> bool:
        """Whether it is an amount in the company's currency."""
        return self.numerator in MONEY and self.kind in ("mean", "ratio", "quantile")

    @property
    def is_randomised(self) -> bool:
        """Whether the arms are compared on everybody assigned.

        A ratio or a quantile is taken among those who ordered or answered. Where the campaign
        changes who does, the difference is no effect on the same people.
        """
        return self.kind not in ("ratio", "quantile")


def check_metric_name(name: str) -> str:
    """Accept a name of small letters, digits and underscores."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise ValueError(
            say(
                "'{name}' is not a name of small letters, digits and underscores (at most 64)",
                name=name,
            )
        )
    return name


MetricName = Annotated[str, AfterValidator(check_metric_name)]


class _MetricsFile(RootModel[dict[MetricName, MetricSpec]]):
    """The whole file: metrics by name."""


BUILT_IN: dict[str, MetricSpec] = {
    "net_per_customer": MetricSpec(
        label=message("margin less costs per customer"), numerator="margin"
    ),
    "revenue_per_customer": MetricSpec(label=message("revenue per customer"), numerator="revenue"),
    "margin_per_customer": MetricSpec(label=message("margin per customer"), numerator="margin"),
    "orders_per_customer": MetricSpec(label=message("orders per customer"), numerator="orders"),
    "conversion": MetricSpec(
        label=message("share of customers who bought"), kind="share", numerator="orders"
    ),
    "average_order_value": MetricSpec(
        label=message("average order"), kind="ratio", numerator="revenue", denominator="orders"
    ),
    "days_to_first_order": MetricSpec(
        label=message("days without an order"),
        kind="days_to_first",
        numerator="orders",
        direction="down",
    ),
    "retention_week_4": MetricSpec(
        label=message("share of customers who bought in week 4"),
        kind="share",
        numerator="orders",
        from_day=21,
        days=7,
    ),
    "median_spend": MetricSpec(
        label=message("median spend of buyers"), kind="quantile", numerator="revenue", quantile=0.5
    ),
    "unsubscribe_rate": MetricSpec(
        label=message("share of customers who unsubscribed"),
        kind="share",
        numerator="unsubscribes",
        direction="down",
        limit=0.01,
    ),
    "complaint_rate": MetricSpec(
        label=message("share of customers who complained"),
        kind="share",
        numerator="complaints",
        direction="down",
        limit=0.001,
    ),
    "bounce_rate": MetricSpec(
        label=message("share of customers whose message bounced"),
        kind="share",
        numerator="bounces",
        direction="down",
        limit=0.02,
    ),
    "messages_per_week": MetricSpec(
        label=message("messages per customer and week"),
        numerator="messages",
        per_week=True,
        direction="down",
        limit=3.0,
    ),
    "nps": MetricSpec(
        label=message("net promoter score"),
        kind="ratio",
        numerator="nps_points",
        denominator="nps_answers",
    ),
    "csat": MetricSpec(
        label=message("satisfaction score"),
        kind="ratio",
        numerator="csat_points",
        denominator="csat_answers",
    ),
}
"""Metrics that need no declaration.

The limits of messages are those that mailbox providers and the trade call tolerable; a company
sets its own in ``metrics.yml``. Customers of a control group get nothing to unsubscribe from, so a
comparison with them would always find these metrics worse.
"""


def load_metrics(folder: Path) -> dict[str, MetricSpec]:
    """Read ``metrics.yml`` of the experiments folder; without one there are the built-in metrics.

    Returns
    -------
    dict
        The declared metrics by name, the built-in ones not included.

    Raises
    ------
    SpecError
        Anything in the file is wrong: all faults at once.
    """
    path = folder / METRICS_FILE
    if not path.is_file():
        return {}
    data = read_yaml(path, error=SpecError)
    return dict(validate(_MetricsFile, data, path=path, error=SpecError).root)


def metric_of(name: str, declared: Mapping[str, Any]) -> MetricSpec:
    """Give a metric by name: the declared one before the built-in one.

    Raises
    ------
    SpecError
        Nobody declared it.
    """
    if name in declared:
        found = declared[name]
        return found if isinstance(found, MetricSpec) else MetricSpec(**found)
    if name in BUILT_IN:
        return BUILT_IN[name]
    known = sorted({*BUILT_IN, *declared})
    raise SpecError(
        say("there is no metric '{name}'", name=name),
        expected=say("one of {words}", words=listing(known, limit=40)),
        where=METRICS_FILE,
        remedy=say("correct the name, or declare the metric in {file}", file=METRICS_FILE),
    )


def label_of(name: str, declared: Mapping[str, Any]) -> str:
    """Write a metric for people."""
    return say(metric_of(name, declared).label or name.replace("_", " "))


MEASURES: tuple[Measure, ...] = get_args(Measure)
