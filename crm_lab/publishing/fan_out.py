"""One report for many campaigns, segments or days: from one line to many requests."""

from __future__ import annotations

import calendar
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal, get_args

from crm_lab.errors import Fault, ReportError
from crm_lab.language import message, say
from crm_lab.publishing.notebooks import find_notebook
from crm_lab.publishing.requests import (
    TIMEOUT_SECONDS,
    ReportRequest,
    pinned,
    report_request,
    stated,
)
from crm_lab.workbench import Workbench

if TYPE_CHECKING:
    from crm_lab.reports import Parameter

Step = Literal["day", "week", "month", "quarter", "year"]
STEPS: tuple[Step, ...] = get_args(Step)
ALL = "all"
_MONTHS: Mapping[str, int] = {"month": 1, "quarter": 3, "year": 12}
_DAYS: Mapping[str, int] = {"day": 1, "week": 7}
_SPAN = re.compile(r"(?:(?P<name>\w+)=)?(?P<first>[\d-]+)\.\.(?P<last>[\d-]+)\Z")
_MOST_REQUESTS = 1000
_SPAN_EXAMPLE = message("such as 2026-01-31..2026-06-30, the first day not after the last")


@dataclass(frozen=True, slots=True, kw_only=True)
class DateSpan:
    """Days of a backfill.

    Attributes
    ----------
    first, last : date
        The first day, and the day after which there is none.
    every : str
        Distance of the days: day, week, month, quarter or year.
    parameter : str or None
        The parameter that takes them; None: ``as_of``, or the only date of the report.
    """

    first: date
    last: date
    every: Step = "month"
    parameter: str | None = None

    def days(self) -> Iterator[date]:
        """Give the days; a month that begins on its last day goes on with last days.

        Examples
        --------
        >>> span = DateSpan(first=date(2026, 1, 31), last=date(2026, 4, 30))
        >>> [day.isoformat() for day in span.days()]
        ['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30']
        """
        for count in itertools.count():
            if self.every in _DAYS:
                day = self.first + timedelta(days=count * _DAYS[self.every])
            else:
                day = _months_later(self.first, count * _MONTHS[self.every])
            if day > self.last:
                return
            yield day


def parse_span(text: str, *, every: Step = "month") -> DateSpan:
    """Read ``2026-01-31..2026-06-30`` or ``as_of=2026-01-31..2026-06-30``.

    Raises
    ------
    ReportError
        It is neither, or its first day is after its last.
    """
    found = _SPAN.match(text.strip())
    try:
        span = found and DateSpan(
            first=date.fromisoformat(found["first"]),
            last=date.fromisoformat(found["last"]),
            every=every,
            parameter=found["name"],
        )
    except ValueError:
        span = None
    if not span or span.first > span.last:
        raise ReportError(
            say("'{text}' is no span of dates", text=text), expected=say(_SPAN_EXAMPLE)
        )
    return span


def fan_out(
    workbench: Workbench,
    name: str,
    parameters: Mapping[str, object],
    *,
    each: Mapping[str, Sequence[str]] | None = None,
    dates: DateSpan | None = None,
    title: str | None = None,
    gateway: str | None = None,
    as_text: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[ReportRequest, ...]:
    """Give one request for each combination of values; all of them are checked before any runs.

    Parameters
    ----------
    workbench, name, parameters, title, gateway, as_text, timeout_seconds
        As in :func:`crm_lab.publishing.report_request`; the values are those of every run.
    each : mapping of str to sequence of str, optional
        Texts by parameter, one run for each. ``["all"]`` stands for every choice of the parameter,
        and for every experiment that people were assigned to where it is called ``experiment``.
        The texts are added to the title: they are other reports, not newer runs of one. A
        heading says itself in which language it is.
    dates : DateSpan, optional
        Days of a backfill: runs of the same report, the oldest day first.

    Raises
    ------
    ReportError
        With every fault of every request at once.
    """
    from crm_lab.reports import declared_parameters, parse_text_parameters

    notebook = find_notebook(workbench, name)
    declared = {parameter.name: parameter for parameter in declared_parameters(notebook)}
    given: Mapping[str, object] = parameters
    if as_text:
        texts = {key: str(value) for key, value in parameters.items()}
        given = parse_text_parameters(tuple(declared.values()), texts)
    axes = {
        key: _every(workbench, declared.get(key), key) if list(values) == [ALL] else tuple(values)
        for key, values in (each or {}).items()
    }
    twice = sorted(set(axes) & set(given))
    if twice:
        raise ReportError(
            say("parameter {names} is given both once and in turn", names=", ".join(twice))
        )
    days: Sequence[date | None] = [None]
    day_parameter = ""
    if dates is not None:
        day_parameter = dates.parameter or _date_parameter(declared)
        days = list(dates.days())
    count = len(days)
    for values in axes.values():
        count *= len(values)
    if not 0 < count <= _MOST_REQUESTS:
        raise ReportError(
            say("{count} runs were asked for", count=count),
            expected=say("at least 1 and at most {most}", most=_MOST_REQUESTS),
        )
    workbench = pinned(workbench)
    context = stated(workbench)
    requests: list[ReportRequest] = []
    faults: dict[str, Fault] = {}
    for day in days:
        for combination in itertools.product(*axes.values()):
            turn = dict(zip(axes, combination, strict=True))
            try:
                typed = dict(given) | parse_text_parameters(tuple(declared.values()), turn)
                if day is not None:
                    typed[day_parameter] = day
                request = report_request(
                    workbench,
                    name,
                    typed,
                    title=title,
                    title_parts=[
                        value
                        for key, value in turn.items()
                        if key != "language" or title is not None
                    ],
                    gateway=gateway,
                    timeout_seconds=timeout_seconds,
                    context=context,
                )
            except ReportError as refused:
                faults.update({str(fault): fault for fault in refused.faults})
                continue
            requests.append(request)
    if faults:
        raise ReportError(list(faults.values()))
    return tuple(requests)


def _every(workbench: Workbench, parameter: Parameter | None, name: str) -> tuple[str, ...]:
    if parameter is not None and parameter.choices:
        return parameter.choices
    if name == "experiment":
        found = [row.name for row in workbench.registry().rows if row.assigned]
        if not found:
            raise ReportError(say("nobody was assigned to any experiment yet"))
        return tuple(found)
    raise ReportError(
        say("'all' is not known for parameter {name}", name=name),
        expected=say("the values, separated by commas"),
    )


def _date_parameter(declared: Mapping[str, Parameter]) -> str:
    dates = [name for name, parameter in declared.items() if parameter.scalar == "date"]
    if "as_of" in dates:
        return "as_of"
    if len(dates) == 1:
        return dates[0]
    raise ReportError(
        say("the report has {count} parameters that are dates", count=len(dates)),
        expected=say("one, or its name in front: NAME=FROM..TO"),
    )


def _months_later(day: date, months: int) -> date:
    is_last = day.day == calendar.monthrange(day.year, day.month)[1]
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, last if is_last else min(day.day, last))
