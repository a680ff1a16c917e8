"""Slots against the clock on the wall: changes of the clock, days off, days in words."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab.schedule.calendars import WorkingCalendar
from crm_lab.schedule.placeholders import DAYS, filled, filled_value
from crm_lab.schedule.slots import Timing, check_cron, latest_slot, slots_after

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: forward on 29 March at 2:00, back on 25 October at 3:00
MOSCOW = ZoneInfo("Europe/Moscow")
OFFICE = WorkingCalendar(
    name="office",
    holidays=frozenset({date(2026, 5, 1), date(2026, 5, 11)}),
    working_days=frozenset({date(2026, 5, 16)}),
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def on_the_wall(timing: Timing, after: str, count: int) -> list[str]:
    """The next slots as the zone's clock shows them, with its distance from UTC."""
    slots = itertools.islice(slots_after(timing, utc(after)), count)
    return [f"{slot.astimezone(timing.zone):%m-%d %H:%M%z}" for slot in slots]


def test_a_time_that_the_clock_skips_comes_at_the_first_minute_after_the_gap_and_once():
    for cron in ("30 2 * * *", "0,30 2 * * *", "15 2,3 * * *"):
        timing = Timing(cron=cron, zone=BERLIN)
        day = [text for text in on_the_wall(timing, "2026-03-28T12:00", 4) if "03-29" in text]
        assert day[0] == "03-29 03:00+0200"
        assert len(day) == len(set(day))
    assert on_the_wall(Timing(cron="30 2 * * *", zone=BERLIN), "2026-03-28T12:00", 2) == [
        "03-29 03:00+0200",
        "03-30 02:30+0200",
    ]


def test_a_time_that_comes_twice_is_taken_once_also_from_between_the_two():
    timing = Timing(cron="30 2 * * *", zone=BERLIN)
    assert on_the_wall(timing, "2026-10-24T12:00", 2) == ["10-25 02:30+0200", "10-26 02:30+0100"]
    between = "2026-10-25T01:10"  # 02:10 for the second time
    assert on_the_wall(timing, between, 1) == ["10-26 02:30+0100"]


def test_every_half_hour_follows_the_elapsed_time_through_both_changes():
    timing = Timing(cron="*/30 * * * *", zone=BERLIN)
    for start in ("2026-10-24T22:05", "2026-03-28T22:05"):
        slots = list(itertools.islice(slots_after(timing, utc(start)), 12))
        assert {b - a for a, b in itertools.pairwise(slots)} == {timedelta(minutes=30)}


@given(
    moment=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(
        lambda m: m.replace(tzinfo=UTC)
    ),
    cron=st.sampled_from(
        ["30 2 * * *", "0 */6 * * *", "15 3 1 * *", "*/20 * * * mon", "5 2 * * 2-4"]
    ),
    zone=st.sampled_from(["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "UTC"]),
    on_day_off=st.sampled_from(["skip", "next_working_day"]),
    calendar=st.sampled_from([None, OFFICE]),
)
def test_slots_rise_lie_after_the_moment_and_do_not_depend_on_where_one_starts(
    moment, cron, zone, on_day_off, calendar
):
    timing = Timing(cron=cron, zone=ZoneInfo(zone), calendar=calendar, on_day_off=on_day_off)
    slots = list(itertools.islice(slots_after(timing, moment), 5))
    assert slots == sorted(set(slots))
    assert slots[0] > moment
    assert list(itertools.islice(slots_after(timing, slots[1]), 3)) == slots[2:]
    assert latest_slot(timing, slots[2]) == slots[2]
    assert latest_slot(timing, slots[2] - timedelta(seconds=1)) == slots[1]
    if calendar:
        assert all(calendar.is_working(slot.astimezone(timing.zone).date()) for slot in slots)


def test_days_off_are_left_out_or_moved_and_a_day_that_is_moved_is_run_once():
    skipped = Timing(cron="0 9 * * *", zone=MOSCOW, calendar=OFFICE)
    assert on_the_wall(skipped, "2026-04-30T00:00", 3) == [
        "04-30 09:00+0300",
        "05-04 09:00+0300",  # 1 May and the weekend are off
        "05-05 09:00+0300",
    ]
    moved = Timing(cron="0 9 1,2 * *", zone=MOSCOW, calendar=OFFICE, on_day_off="next_working_day")
    assert on_the_wall(moved, "2026-04-30T00:00", 2) == ["05-04 09:00+0300", "06-01 09:00+0300"]
    assert on_the_wall(moved, "2026-05-03T00:00", 1) == ["05-04 09:00+0300"]  # on the day off
    worked = Timing(cron="0 9 * * sat", zone=MOSCOW, calendar=OFFICE)
    assert on_the_wall(worked, "2026-05-01T00:00", 1) == ["05-16 09:00+0300"]


def test_an_entry_that_never_falls_on_a_working_day_has_no_slot():
    weekend = WorkingCalendar(name="office")
    timing = Timing(cron="* * * * sat,sun", zone=MOSCOW, calendar=weekend)
    assert next(slots_after(timing, utc("2026-01-01")), None) is None
    assert latest_slot(timing, utc("2026-01-01")) is None


def test_a_day_that_comes_every_four_years_is_found_both_ways():
    timing = Timing(cron="0 6 29 2 *", zone=MOSCOW)
    assert on_the_wall(timing, "2026-01-01T00:00", 1) == ["02-29 06:00+0300"]
    assert latest_slot(timing, utc("2026-01-01")) == utc("2024-02-29T03:00")


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("61 * * * *", "no cron expression"),
        ("* * * * * *", "five fields"),
        ("@daily", "five fields"),
        ("0 0 30 2 *", "no cron expression"),
        ("", "five fields"),
    ],
)
def test_a_cron_expression_that_is_none_is_refused(expression, problem):
    with pytest.raises(ValueError, match=problem):
        check_cron(expression)


def test_days_in_words_are_those_of_the_calendar():
    day = date(2026, 3, 1)  # a Sunday
    said = {word: filled(f"{{{word}}}", day) for word in DAYS}
    assert said == {
        "today": "2026-03-01",
        "yesterday": "2026-02-28",
        "week_start": "2026-02-23",
        "last_week_start": "2026-02-16",
        "last_week_end": "2026-02-22",
        "month_start": "2026-03-01",
        "last_month_start": "2026-02-01",
        "last_month_end": "2026-02-28",
        "quarter_start": "2026-01-01",
        "last_quarter_start": "2025-10-01",
        "last_quarter_end": "2025-12-31",
        "year_start": "2026-01-01",
        "last_year_start": "2025-01-01",
        "last_year_end": "2025-12-31",
    }


def test_days_in_words_stand_in_texts_and_lists_and_other_values_stay():
    day, each = date(2026, 3, 9), {"shop": "Riga"}
    assert filled("{shop}: {yesterday-7d}..{today+1d}", day, each) == "Riga: 2026-03-01..2026-03-10"
    assert filled("{{today}}", day) == "{today}"
    assert filled_value(["{today}", 3], day, {}) == ["2026-03-09", 3]
    assert filled_value(True, day, {}) is True
    assert filled_value(None, day, {}) is None


@pytest.mark.parametrize("text", ["{tomorow}", "{today-7}", "{", "{}", "}", "{today.year}", "{0}"])
def test_words_that_nobody_knows_are_refused_and_never_evaluated(text):
    with pytest.raises(ValueError, match=r"unknown word|a single"):
        filled(text, date(2026, 3, 9))
