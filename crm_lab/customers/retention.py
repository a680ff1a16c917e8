"""Who buys again: week by week against a control group, and by month of registration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.customers import funnel_wording as wording
from crm_lab.customers.arms import CONTROL
from crm_lab.customers.rates import (
    MIN_UNITS,
    adjusted_words,
    basis_words,
    counted_text,
    label,
    month_text,
    points_text,
    share_text,
)
from crm_lab.language import say, word
from crm_lab.stats import (
    Comparison,
    ProportionEstimate,
    adjust_p_values,
    compare_proportions,
    proportion_interval,
)

SAID_WEEKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekOfArm:
    """Buyers of one arm in one week, against the control group.

    Attributes
    ----------
    arm : str
        Which arm.
    week : int
        Week after the start, from 1.
    rate, control : ProportionEstimate
        Share of everybody drawn who ordered in that week.
    comparison : Comparison
        The difference.
    p_adjusted : float
        p-value after Holm over all weeks and arms.
    """

    arm: str
    week: int
    rate: ProportionEstimate
    control: ProportionEstimate
    comparison: Comparison
    p_adjusted: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RetentionByArm(Result):
    """Share of each arm that ordered in week k, against the control group.

    Attributes
    ----------
    experiment : str
        Name of the experiment.
    rows : tuple of WeekOfArm
        By arm, then week.
    starts_at : datetime or None
        Start of the first week.
    alpha : float
        Two-sided error level of each interval, and of all tests together.
    reason : str
        Why there is nothing; empty otherwise.
    """

    title: ClassVar[str] = wording.RETENTION
    plotter: ClassVar[str] = "crm_lab.plots.funnels:plot_retention"

    experiment: str
    rows: tuple[WeekOfArm, ...]
    starts_at: datetime | None
    alpha: float
    reason: str = ""

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms in order."""
        return tuple(dict.fromkeys(row.arm for row in self.rows))

    def sentence(self) -> str:
        """Say in which weeks an arm differs from the control group."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        said = []
        for arm in self.arms:
            weeks = [
                str(row.week)
                for row in self.rows
                if row.arm == arm and row.p_adjusted <= self.alpha
            ]
            if weeks:
                shown = formats.listing(weeks, limit=SAID_WEEKS)
                said.append(say(wording.IN_WEEKS, arm=word(arm), weeks=shown))
        adjusted = adjusted_words(len(self.rows))
        last = max(row.week for row in self.rows)
        found = (
            say(wording.WEEKS_DIFFER, adjusted=adjusted, said="; ".join(said))
            if said
            else say(wording.NO_WEEK_DIFFERS, adjusted=adjusted)
        )
        known = say(wording.WEEKS_KNOWN, last=last)
        return f"{known} {found} {basis_words('randomised')}"

    def to_frame(self) -> pd.DataFrame:
        """Give one row per arm and week: shares, difference, interval, p."""
        return pd.DataFrame(
            [
                {
                    "arm": row.arm,
                    "week": row.week,
                    "customers": row.rate.n,
                    "buyers": row.rate.events,
                    "share": row.rate.estimate,
                    "control": row.control.estimate,
                    "difference": row.comparison.absolute.estimate,
                    "low": row.comparison.absolute.low,
                    "high": row.comparison.absolute.high,
                    "p_adjusted": row.p_adjusted,
                    "basis": "randomised",
                }
                for row in self.rows
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the weeks as people read them."""
        return pd.DataFrame(
            [
                {
                    "arm": row.arm,
                    "week": row.week,
                    "difference": points_text(row.comparison)
                    if row.comparison.absolute.is_known
                    else row.comparison.absolute.reason,
                    "p (Holm)": formats.p_value(row.p_adjusted),
                    "ordered in that week": share_text(row.rate),
                    CONTROL: share_text(row.control),
                }
                for row in self.rows
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortCell:
    """One month of registration in one period after it.

    Attributes
    ----------
    cohort : str
        Month of registration, as 2026-03.
    period : int
        Period after each registration, from 1.
    rate : ProportionEstimate
        Share of the cohort that ordered in it.
    """

    cohort: str
    period: int
    rate: ProportionEstimate


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CohortTriangle(Result):
    """Share of each month's registrations that ordered in each period afterwards.

    Attributes
    ----------
    period_days : int
        Length of a period, from each customer's own registration.
    cells : tuple of CohortCell
        Only what is known for the whole cohort.
    sizes : tuple of (str, int)
        Registrations of each month, whether or not a period of it is over.
    until : datetime or None
        Last moment that counts.
    reason : str
        Why there is nothing; empty otherwise.
    """

    title: ClassVar[str] = wording.TRIANGLE
    plotter: ClassVar[str] = "crm_lab.plots.funnels:plot_triangle"

    period_days: int
    cells: tuple[CohortCell, ...]
    sizes: tuple[tuple[str, int], ...]
    until: datetime | None
    reason: str = ""

    @property
    def periods(self) -> int:
        """Last period with a cell."""
        return max((cell.period for cell in self.cells), default=0)

    def sentence(self) -> str:
        """Say how the share falls from the first period to the last one."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        said = say(wording.FIRST_PERIOD, days=self.period_days, share=share_text(self._pooled(1)))
        if self.periods > 1:
            said += say(
                wording.LATER_PERIOD,
                first=(self.periods - 1) * self.period_days + 1,
                last=self.periods * self.period_days,
                share=share_text(self._pooled(self.periods)),
            )
        return f"{said}. {label('observational')}"

    def to_frame(self) -> pd.DataFrame:
        """Give one row per cohort and period: n, buyers, share, low, high."""
        return pd.DataFrame(
            [
                {
                    "cohort": cell.cohort,
                    "period": cell.period,
                    "n": cell.rate.n,
                    "buyers": cell.rate.events,
                    "share": cell.rate.estimate,
                    "low": cell.rate.low,
                    "high": cell.rate.high,
                }
                for cell in self.cells
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the triangle: a row per month, a column per period, empty where not yet known."""
        known = {(cell.cohort, cell.period): cell.rate for cell in self.cells}
        return pd.DataFrame(
            [
                {"registered in": month_text(cohort), "registrations": size}
                | {
                    say(wording.PERIOD, period=period): _cell_text(known.get((cohort, period)))
                    for period in range(1, self.periods + 1)
                }
                for cohort, size in self.sizes
            ]
        )

    def _pooled(self, period: int) -> ProportionEstimate:
        cells = [cell.rate for cell in self.cells if cell.period == period]
        return proportion_interval(
            sum(rate.events for rate in cells),
            sum(rate.n for rate in cells),
            alpha=cells[0].alpha,
        )


def retention_by_arm(
    buyers: pd.DataFrame,
    *,
    experiment: str,
    arms: Sequence[str],
    starts_at: datetime,
    known_until: datetime | None,
    weeks: int,
    alpha: float,
) -> RetentionByArm:
    """Compare the share of each arm that ordered in week k with the control group.

    Everybody drawn counts in every week, also who never ordered. Only whole weeks are compared.

    Parameters
    ----------
    buyers : pandas.DataFrame
        Columns variant, week, customers: buyers of each week (a week without buyers may be
        missing), and one row per variant whose week is missing and that carries its size.
    experiment : str
        Name of the experiment.
    arms : sequence of str
        The arms that received something, in order.
    starts_at : datetime
        Start of the first week.
    known_until : datetime or None
        Last moment of which orders are known; None: there are none.
    weeks : int
        At most so many weeks.
    alpha : float
        Two-sided error level of each interval, and of all tests together (Holm).
    """
    sizes = buyers[buyers["week"].isna()].set_index("variant")["customers"]
    counted = buyers[buyers["week"].notna()].set_index(["variant", "week"])["customers"].to_dict()
    whole = 0 if known_until is None else (known_until - starts_at) // timedelta(days=7)
    last = min(weeks, whole)
    if known_until is None:
        reason = say(wording.NO_ORDERS)
    elif not set(arms) & set(sizes.index):
        reason = say(wording.NO_MEMBERS, name=experiment)
    elif CONTROL not in sizes.index:
        reason = say(wording.NO_CONTROL, name=experiment)
    else:
        reason = "" if last > 0 else say(wording.NO_WEEK)
    found = []
    for arm in arms if not reason else ():
        if arm not in sizes.index:
            continue
        for week in range(1, last + 1):
            x, n = int(counted.get((arm, week), 0)), int(sizes[arm])
            x_c, n_c = int(counted.get((CONTROL, week), 0)), int(sizes[CONTROL])
            compared = compare_proportions(
                x,
                n,
                x_c,
                n_c,
                alpha=alpha,
                metric=say(wording.WEEK, week=week),
                arms=(arm, CONTROL),
            )
            rates = (
                proportion_interval(x, n, alpha=alpha),
                proportion_interval(x_c, n_c, alpha=alpha),
            )
            found.append((arm, week, *rates, compared))
    adjusted = adjust_p_values([row[-1].absolute.p_value for row in found], method="holm")
    return RetentionByArm(
        experiment=experiment,
        rows=tuple(
            WeekOfArm(
                arm=arm,
                week=week,
                rate=rate,
                control=control,
                comparison=compared,
                p_adjusted=float(p),
            )
            for (arm, week, rate, control, compared), p in zip(found, adjusted, strict=True)
        ),
        starts_at=starts_at,
        alpha=alpha,
        reason=reason,
    )


def cohort_triangle(
    cohorts: pd.DataFrame,
    *,
    until: datetime | None,
    period_days: int,
    periods: int,
    alpha: float,
) -> CohortTriangle:
    """Give the share of each month's registrations that ordered in each period afterwards.

    Periods run from each customer's own registration, so that months are comparable; a cell is
    given only when the period is over for the last one who registered in the month.

    Parameters
    ----------
    cohorts : pandas.DataFrame
        Columns cohort (first day of the month), period, customers, last_at: buyers of each period,
        and one row per cohort whose period is missing, with its size and last registration.
    until : datetime or None
        Last moment that counts; None: no order is known.
    period_days : int
        Length of a period in days of 24 hours.
    periods : int
        At most so many periods.
    alpha : float
        Two-sided error level of each interval.
    """
    whole = cohorts[cohorts["period"].isna()].sort_values("cohort")
    counted = cohorts[cohorts["period"].notna()]
    buyers = counted.set_index(["cohort", "period"])["customers"].to_dict()
    cells, sizes = [], []
    for cohort, size, last_at in zip(
        whole["cohort"], whole["customers"], whole["last_at"], strict=True
    ):
        name = pd.Timestamp(cohort).strftime("%Y-%m")
        sizes.append((name, int(size)))
        for period in range(1, periods + 1):
            if until is None or last_at + timedelta(days=period * period_days) > until:
                break
            x = int(buyers.get((cohort, period), 0))
            rate = proportion_interval(x, int(size), alpha=alpha)
            cells.append(CohortCell(cohort=name, period=period, rate=rate))
    if whole.empty:
        reason = say(wording.NO_FORMS)
    elif until is None:
        reason = say(wording.NO_ORDERS)
    else:
        reason = "" if cells else say(wording.NO_COHORT, days=period_days)
    return CohortTriangle(
        period_days=period_days,
        cells=tuple(cells),
        sizes=tuple(sizes),
        until=until,
        reason=reason,
    )


def _cell_text(rate: ProportionEstimate | None) -> str:
    if rate is None:
        return ""
    if rate.n < MIN_UNITS:
        return counted_text(rate)
    return formats.percent(rate.estimate, decimals=0 if rate.n < 1_000 else 1)
