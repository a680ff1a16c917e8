"""Working days: which days of the week are off, which holidays, which days are worked instead."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, timedelta

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingCalendar:
    """The working days of somebody.

    Attributes
    ----------
    name : str
        As the schedule file calls it.
    weekend : collection of int
        Days of the week that are off, 0 is Monday; never all seven.
    holidays : collection of date
        Further days off.
    working_days : collection of date
        Days that are worked although they fall on a weekend.
    """

    name: str
    weekend: Collection[int] = (5, 6)
    holidays: Collection[date] = field(default_factory=frozenset)
    working_days: Collection[date] = field(default_factory=frozenset)

    def is_working(self, day: date) -> bool:
        """Whether a day is worked."""
        if day in self.working_days:
            return True
        return day not in self.holidays and day.weekday() not in self.weekend

    def working_day_from(self, day: date) -> date:
        """Give the day itself where it is worked, else the next one that is.

        Examples
        --------
        >>> WorkingCalendar(name="office").working_day_from(date(2026, 5, 2))
        datetime.date(2026, 5, 4)
        """
        while not self.is_working(day):
            day += DAY
        return day

    def stretch_start(self, day: date) -> date:
        """Give the first of the days off that lie directly before a day, or the day itself."""
        while not self.is_working(day - DAY):
            day -= DAY
        return day
