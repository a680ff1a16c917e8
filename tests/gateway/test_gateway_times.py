"""Times are taken to UTC by the zone of the map; days stay the days that were written."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from crm_lab.errors import FileError

COLUMNS = "{customer_id: id, created_at: made, birth_date: born}"


def load_times(company, rows, *lines):
    text = "id;made;born\n" + "".join(
        f"c{n};{made};{born}\n" for n, (made, born) in enumerate(rows)
    )
    company.load("customer", COLUMNS, text, 'delimiter: ";"', "max_rejected_share: 1", *lines)
    return company.rows(
        "select cast(created_at as varchar), cast(birth_date as varchar) from customer"
        " order by customer_id"
    )


@pytest.mark.parametrize(
    ("zone", "local", "utc"),
    [
        ("UTC", "2024-07-01 00:30", "2024-07-01 00:30:00"),
        ("Europe/Moscow", "2024-07-01 00:30", "2024-06-30 21:30:00"),
        ("Europe/Moscow", "2012-07-01 12:00", "2012-07-01 08:00:00"),  # UTC+4 in those years
        ("Europe/Berlin", "2024-01-15 12:00", "2024-01-15 11:00:00"),
        ("Europe/Berlin", "2024-07-15 12:00", "2024-07-15 10:00:00"),
        ("America/New_York", "2024-03-10 01:59", "2024-03-10 06:59:00"),
        ("America/New_York", "2024-03-10 03:00", "2024-03-10 07:00:00"),
        ("Asia/Kolkata", "2024-01-01 05:29", "2023-12-31 23:59:00"),
    ],
)
def test_local_times_become_utc_and_days_do_not_move(company, zone, local, utc):
    stored = load_times(company, [(local, "1980-05-03")], f"timezone: {zone}")
    assert stored == [(utc, "1980-05-03")]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(
        ["Europe/Moscow", "Europe/Berlin", "America/Sao_Paulo", "Asia/Yekaterinburg"]
    ),
    times=st.lists(
        st.datetimes(datetime(1995, 1, 1), datetime(2030, 1, 1)).map(
            lambda t: t.replace(microsecond=0)
        ),
        min_size=1,
        max_size=30,
    ),
)
def test_zones_agree_with_zoneinfo(company_in, zone, times):
    there = ZoneInfo(zone)
    # hours that come twice or never have no one right answer
    times = [
        t
        for t in times
        if t.replace(tzinfo=there).utcoffset() == t.replace(tzinfo=there, fold=1).utcoffset()
    ]
    assume(times)
    stored = load_times(company_in(), [(t, "") for t in times], f"timezone: {zone}")
    expected = [
        str(t.replace(tzinfo=there).astimezone(ZoneInfo("UTC")).replace(tzinfo=None)) for t in times
    ]
    assert sorted(row[0] for row in stored) == sorted(expected)


def test_an_hour_that_does_not_exist_or_comes_twice_is_still_read(company):
    rows = [("2024-03-31 02:30", ""), ("2024-10-27 02:30", "")]
    stored = load_times(company, rows, "timezone: Europe/Berlin")
    assert [row[0] for row in stored] == ["2024-03-31 01:30:00", "2024-10-27 01:30:00"]


def test_zones_in_the_text_are_kept_and_days_do_not_move(company):
    rows = [
        ("2024-03-01 01:00:00+03", "1980-05-03 00:00:00+03:00"),
        ("2024-03-01 01:00:00-05:30", "1980-05-03 23:30:00-05:00"),
        ("2024-03-01 01:00:00", "1980-05-03"),
        ("2024-03-01 01:00:00+0x", "1980-05-03 +03"),
    ]
    formats = 'date_formats: ["%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"]'
    stored = load_times(company, rows, formats, "timezone: Asia/Tokyo")
    assert stored == [
        ("2024-02-29 22:00:00", "1980-05-03"),
        ("2024-03-01 06:30:00", "1980-05-03"),
        ("2024-02-29 16:00:00", "1980-05-03"),
    ]
    assert company.gateway.rejected_rows()["reason"].tolist() == ["not_a_date"]


@pytest.mark.parametrize(
    ("form", "day"),
    [("%d/%m/%Y", "2024-03-05"), ("%m/%d/%Y", "2024-05-03"), ("%m/%d/%y", "2020-05-03")],
)
def test_an_ambiguous_day_is_read_as_the_map_says(company, form, day):
    stored = load_times(
        company, [("05/03/2024" if "Y" in form else "05/03/20", "")], f'date_formats: ["{form}"]'
    )
    assert stored == [(f"{day} 00:00:00", None)]


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ('["%d/%m/%Y", "%m/%d/%Y"]', r"cannot stand together: 05/03 would be read as either day"),
        ('["%Y-%m-%d %H:%M", "%Y-%d-%m %H:%M"]', "cannot stand together"),
        ('["%d.%m"]', "has no year"),
        ('["%Y-%m-%d %Q"]', "%Q in .* is not read; known:"),
        ('["%Y-%m-%d %H:%M %Z"]', "a zone is written %z"),
        ('["%z %Y-%m-%d"]', "must stand at the end"),
        ('["dd.mm.yyyy"]', "has no year"),
        ("[]", "write formats such as"),
    ],
)
def test_formats_that_cannot_be_meant_are_refused(company, formats, message):
    with pytest.raises(FileError, match=message):
        load_times(company, [("2024-01-01", "")], f"date_formats: {formats}")


def test_a_format_that_says_utc_needs_a_map_that_says_utc(company):
    form = 'date_formats: ["%Y-%m-%dT%H:%M:%SZ"]'
    with pytest.raises(FileError, match="are UTC, and 'timezone' is Europe/Moscow"):
        load_times(company, [("2024-01-01T00:00:00Z", "")], form, "timezone: Europe/Moscow")
    assert load_times(company, [("2024-01-01T00:00:00Z", "")], form) == [
        ("2024-01-01 00:00:00", None)
    ]


def test_a_fixed_time_may_be_written_without_quotes(company):
    company.load("customer", "{customer_id: id, created_at: {value: 2024-03-01}}", "id\nc1\n")
    assert company.rows("select cast(created_at as varchar) from customer") == [
        ("2024-03-01 00:00:00",)
    ]
