"""From a snapshot to an estimator: rows where they fit, sums where they do not."""

from __future__ import annotations

import pandas as pd

from crm_lab.experiments import estimators
from crm_lab.experiments.estimators import Estimator, RowEstimator
from crm_lab.experiments.outcomes import Window, read_outcomes
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.summaries import open_summaries
from crm_lab.gateway import Reader, operations, segments
from crm_lab.gateway.measures import customers_in

ROWS_LIMIT = 2_000_000
"""Customers above which sums are read instead of rows."""


def open_estimator(
    reader: Reader, plan: Plan, window: Window, population: str | None = None
) -> Estimator:
    """Give the estimator that fits the size of the base.

    Parameters
    ----------
    reader : Reader
        Of the snapshot.
    plan : Plan
        What is compared.
    window : Window
        The spans of time.
    population : str, optional
        A SELECT of customer_id, unit_id and variant; by default everybody assigned.
    """
    people = population or operations.assigned(plan.scope)
    if reader.integer(customers_in(people)) > ROWS_LIMIT:
        return open_summaries(reader, plan, window, people)
    return RowEstimator(
        plan=plan,
        outcomes=read_outcomes(reader, plan, window, people),
        strata=_strata(reader, plan, window, people),
        permutations=estimators.PERMUTATIONS,
    )


def segment_labels(reader: Reader, plan: Plan, window: Window) -> dict[str, pd.Series[str]]:
    """Give the group of everybody assigned for each segment of the plan, in the order of ids."""
    people = operations.assigned(plan.scope)
    return {
        name: reader.frame(segments.segment_labels(people, name, window.pre_ends_at))["label"]
        for name in segments.SEGMENTS
        if name in plan.segments
    }


def _strata(reader: Reader, plan: Plan, window: Window, people: str) -> pd.Series[str] | None:
    combined: pd.Series[str] | None = None
    for name in segments.SEGMENTS:
        if name in plan.strata:
            query = segments.segment_labels(people, name, window.pre_ends_at)
            label = reader.frame(query)["label"]
            combined = label if combined is None else combined + " / " + label
    return combined
