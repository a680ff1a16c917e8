"""What a month's gap can be closed with: mechanics that were measured, and who can be reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from crm_lab.experiments.results import Money
from crm_lab.planning.league import LeagueTable
from crm_lab.planning.league_forecast import next_campaign

LeverVerdict = Literal["enough", "not enough", "cannot tell", "not needed", "not known"]
BaseVerdict = Literal["can", "cannot", "cannot tell", "not needed", "not known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """One mechanic, sent to everybody who can be reached by its channel.

    Attributes
    ----------
    mechanic, channel : str
        Which one, and how it was sent last.
    audience : int
        Customers who can be reached now.
    experiments : int
        Past experiments behind it; all of them randomised.
    per_customer : Money
        What one recipient brings until the end of the month, with its prediction interval.
    total : Money
        The same for the whole audience.
    """

    mechanic: str
    channel: str
    audience: int
    experiments: int
    per_customer: Money
    total: Money

    def closes(self, gap: Money) -> LeverVerdict:
        """Say whether it is enough for a gap."""
        return closes(self.total, gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityState:
    """One activity of the month: what was planned and what is known of it.

    Attributes
    ----------
    name, day, mechanic, channel : str
        Which one, and when.
    recipients : int
        To how many.
    expected : float
        What it was planned to bring.
    state : str
        Whether it is over and measured.
    measured : Money or None
        What it brought by its experiment (randomised); None where nothing is known.
    foreseen : Money or None
        Of an activity to come: what its mechanic brings to so many recipients, from past
        experiments (randomised); None where the mechanic was never measured.
    needed : Money
        What it would have to bring for the plan to be reached; NaN where it is over.
    verdict : {"enough", "not enough", "cannot tell", "not needed", "not known"}
        Whether what is foreseen reaches what is needed.
    """

    name: str
    day: str
    mechanic: str
    channel: str
    recipients: int
    expected: float
    state: str
    measured: Money | None
    foreseen: Money | None
    needed: Money
    verdict: LeverVerdict


def closes(brings: Money | None, gap: Money) -> LeverVerdict:
    """Say whether an amount reaches a gap; both have an interval, and both count.

    Examples
    --------
    >>> brings = Money(estimate=10.0, low=6.0, high=14.0)
    >>> closes(brings, Money(estimate=5.0, low=4.0, high=6.0))
    'enough'
    >>> closes(brings, Money(estimate=7.0, low=4.0, high=10.0))
    'cannot tell'
    """
    if not math.isfinite(gap.estimate):
        return "cannot tell"
    if gap.estimate <= 0:
        return "not needed"
    if brings is None or not math.isfinite(brings.estimate):
        return "not known"
    left = missing_after(brings, gap)
    if not (math.isfinite(left.low) and math.isfinite(left.high)):
        return "cannot tell"
    if left.high <= 0:
        return "enough"
    return "not enough" if left.low > 0 else "cannot tell"


def missing_after(brings: Money, gap: Money) -> Money:
    """Give what is still missing of a gap; the two errors are taken as independent."""
    left = gap.estimate - brings.estimate
    up = math.hypot(gap.high - gap.estimate, brings.estimate - brings.low)
    down = math.hypot(gap.estimate - gap.low, brings.high - brings.estimate)
    return Money(estimate=left, low=left - down, high=left + up)


def per_recipient(table: LeagueTable, mechanic: str, *, days_left: int) -> Money | None:
    """Give what one recipient of a mechanic brings in so many days, from past experiments.

    The effect over the window of the past experiments is counted evenly over its days.

    Returns
    -------
    Money or None
        With its prediction interval; None where the mechanic was never measured.
    """
    if not mechanic:
        return None
    found = next_campaign(table, mechanic)
    if not (found.is_known and found.experiments):
        return None
    part = min(days_left / max(found.days, 1), 1.0)
    return scaled(Money(estimate=found.estimate, low=found.low, high=found.high), part)


def scaled(money: Money, factor: float) -> Money:
    """Multiply an amount and its interval."""
    return Money(estimate=money.estimate * factor, low=money.low * factor, high=money.high * factor)


def build_levers(
    table: LeagueTable, reachable: Mapping[str, int], *, days_left: int
) -> tuple[Lever, ...]:
    """List the mechanics that were measured, with what they would bring, the largest first.

    Parameters
    ----------
    table : LeagueTable
        The league in money per customer.
    reachable : mapping
        Customers who can be reached, by channel.
    days_left : int
        Days of the month that are not over.
    """
    found = []
    for row in table.rows:
        own = [
            item
            for item in table.readouts
            if item.mechanic == row.name and not item.why_not(table.measure)
        ]
        channel = max(own, key=lambda item: item.ends_at).channel
        each = per_recipient(table, row.name, days_left=days_left)
        audience = reachable.get(channel, 0)
        if each is None or not audience:
            continue
        found.append(
            Lever(
                mechanic=row.name,
                channel=channel,
                audience=audience,
                experiments=row.experiments,
                per_customer=each,
                total=scaled(each, audience),
            )
        )
    return tuple(sorted(found, key=lambda lever: -lever.total.estimate))


def judge_base(levers: Sequence[Lever], gap: Money) -> BaseVerdict:
    """Say whether the customers a company knows can close a gap, by its best lever.

    One lever at a time: the same customers cannot be asked twice for the same money, and what two
    mechanics bring together was not measured.
    """
    if not math.isfinite(gap.estimate):
        return "cannot tell"
    if gap.estimate <= 0:
        return "not needed"
    if not levers:
        return "not known"
    verdicts = {lever.closes(gap) for lever in levers}
    if "enough" in verdicts:
        return "can"
    return "cannot" if verdicts == {"not enough"} else "cannot tell"
