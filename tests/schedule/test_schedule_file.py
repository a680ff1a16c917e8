"""The file: every fault at once with line and key; what is resolved from what."""

from __future__ import annotations

import importlib.resources
import re
from datetime import UTC, date, datetime

import pytest

from crm_lab.errors import ScheduleError, SpecError
from crm_lab.schedule.plan import load_schedule

WRONG = """\
timezone: Mars/X
calendars:
  c: {holidays: [2026-13-01x, 2026-02-03..2026-02-01]}
  all: {weekend: [mon, tue, wed, thu, fri, sat, sun]}
entries:
  a: {report: x, cron: "61 * * * *", after: [b, zz], retries: many}
  b: {report: x, after: [a], calendar: nope, colour: red}
  d:
    cron: "* * * * * *"
    parameters: {as_of: "{last_moon}", x: ["{"]}
    title: "{today}"
  e: {report: y}
  f: {report: y, cron: "0 0 1 2 *", timeout: forever, each: {k: [], z: [1]}, parameters: {z: 1}}
alerts: [{file: a, command: [b]}, {webhook: "ftp://x"}]
retention: {keep_good: 0}
"""


def test_every_fault_is_told_at_once_with_its_line_and_key(write):
    with pytest.raises(ScheduleError) as problem:
        write(WRONG)
    places = {
        (int(line), key)
        for line, key in re.findall(r"line (\d+), key '([^']+)'", str(problem.value))
    }
    assert places == {
        (1, "timezone"),
        (3, "calendars.c.holidays"),
        (4, "calendars.all"),
        (6, "entries.a.cron"),
        (6, "entries.a.retries"),
        (6, "entries.a.after.1"),
        (6, "entries.a.after"),
        (7, "entries.b.after"),
        (7, "entries.b.colour"),
        (7, "entries.b.calendar"),
        (8, "entries.d"),
        (9, "entries.d.cron"),
        (10, "entries.d.parameters.as_of"),
        (10, "entries.d.parameters.x"),
        (11, "entries.d.title"),
        (12, "entries.e"),
        (13, "entries.f.timeout"),
        (13, "entries.f.each.k"),
        (13, "entries.f.each.z"),
        (14, "alerts.0"),
        (14, "alerts.1.webhook"),
        (15, "retention.keep_good"),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("entries: {}", "at least 1 item"),
        ("entries: 3", "valid dictionary"),
        ("entries: {a: 3}", "valid dictionary"),
        ("entries: {a: {report: x, cron: '* * * * *', after: b}}", "valid tuple"),
        ("entries: {a: {report: x, cron: '* * * * *', each: [1]}}", "valid dictionary"),
        ("entries: {A b: {report: x, cron: '* * * * *'}}", "not a name"),
        ("entries: {a: {report: x, cron: '* * * * *', timeout: 0s}}", "above 0"),
        ("entries: {a: {report: x, cron: '* * * * *', timeout: 40d}}", "longer than 31 days"),
        ("grace: 5\nentries: {a: {report: x, cron: '* * * * *'}}", "no length of time"),
        ("entries: {a: {report: x, after: [a]}}", "waits for itself"),
        ("alerts: [{}]\nentries: {a: {report: x, cron: '* * * * *'}}", "one of file"),
        (
            "calendars: {w: {}}\nentries: {a: {report: x, cron: '0 6 * * sat', calendar: w}}",
            "no slot of this entry ever falls on a working day",
        ),
    ],
)
def test_what_is_wrong_is_refused_in_words(write, text, said):
    with pytest.raises(ScheduleError, match=said):
        write(text)


def test_a_date_that_does_not_exist_names_its_line(write):
    text = "entries: {a: {report: x, cron: '* * * * *'}}\ncalendars: {w: {holidays: [2026-02-30]}}"
    with pytest.raises(SpecError, match="line 2: a date that does not exist"):
        write(text)


def test_a_workbench_without_a_schedule_says_how_to_make_one(workbench):
    with pytest.raises(ScheduleError, match="crm-lab schedule init"):
        load_schedule(workbench, timezone="UTC")


def test_the_example_is_a_schedule(write):
    example = importlib.resources.files("crm_lab.schedule") / "example.yml"
    schedule = write(example.read_text("utf-8"))
    assert list(schedule.entries) == ["base", "control-group", "lifetime-value"]
    assert schedule.entry("control-group").timing == schedule.entry("base").timing
    assert schedule.entry("lifetime-value").timeout_seconds == 3600


def test_entries_stand_after_those_they_wait_for_and_take_what_is_not_said(write):
    schedule = write(
        """\
timezone: Europe/Moscow
calendars: {office: {holidays: [2026-05-01..2026-05-03, 2026-05-09], working_days: 2026-05-16}}
habits: {timeout: 90s, retries: 2, retry_delay: 1h, catch_up: all, on_day_off: next_working_day}
entries:
  last: {report: c, after: [middle, first]}
  middle: {report: b, cron: "5 7 * * *", timezone: Asia/Tokyo, after: [first], retries: 0}
  first: {report: a, cron: "0 6 * * *", calendar: office, catch_up: none}
"""
    )
    assert list(schedule.entries) == ["first", "middle", "last"]
    first, middle, last = schedule.entries.values()
    assert (first.catch_up, last.catch_up, middle.retries, last.retries) == ("none", "all", 0, 2)
    assert (last.timing, str(last.timing.zone)) == (middle.timing, "Asia/Tokyo")
    assert first.timing.calendar is not None
    assert sorted(first.timing.calendar.holidays) == [
        date(2026, 5, 1),
        date(2026, 5, 2),
        date(2026, 5, 3),
        date(2026, 5, 9),
    ]
    assert last.retry_delay_seconds == 3600
    assert first.timing.on_day_off == "next_working_day"


def test_a_fan_out_gives_every_combination_with_days_of_the_entrys_own_zone(write):
    schedule = write(
        """\
entries:
  a:
    report: x
    cron: "30 1 * * *"
    timezone: Asia/Tokyo
    parameters: {as_of: "{yesterday}", share: 0.5, days: ["{today}"], none: null, yes: true}
    each: {shop: [Riga, Rome], week: [1, 2]}
    title: "Shop {shop}"
"""
    )
    items = schedule.entry("a").items(datetime(2026, 3, 1, 16, 30, tzinfo=UTC))  # 2 March in Tokyo
    assert [item.key for item in items] == ["Riga, 1", "Riga, 2", "Rome, 1", "Rome, 2"]
    assert items[0].title == "Shop Riga: 1"  # what the title does not name is added
    assert items[3].parameters == {
        "as_of": "2026-03-01",
        "share": 0.5,
        "days": ["2026-03-02"],
        "none": None,
        "yes": True,
        "shop": "Rome",
        "week": 2,
    }
    assert type(items[0].parameters["share"]) is float
