"""Nights: what runs when, what is made up for, what waits for what, and what is remembered."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from crm_lab.errors import ScheduleError
from crm_lab.language import using_language
from crm_lab.schedule.due import MAX_CAUGHT_UP
from crm_lab.schedule.passes import MAX_INTERRUPTIONS, exit_code
from crm_lab.schedule.slots import slots_after
from crm_lab.schedule.state import OverlapError

DAILY = 'entries: {base: {report: x, cron: "0 6 * * *"%s}}'
CHAIN = """\
entries:
  base: {report: x, cron: "0 6 * * *"}
  group: {report: y, after: [base]}
  late: {report: z, cron: "0 8 * * *", after: [base, group]}
"""


class KilledError(BaseException):
    """The process ends here, as far as the pass can tell."""


def killed(entry: object) -> None:
    raise KilledError


def test_a_new_entry_runs_from_its_next_slot_on_and_once_for_each(night):
    n = night(DAILY % "")
    assert n.at("02 12:01").run_due() == []
    assert n.at("03 05:59").run_due() == []
    assert n.at("03 06:00").run_due() == ["base"]
    assert n.at("03 06:05").run_due() == []
    assert n.at("04 06:04").run_due() == ["base"]
    assert n.record("base").status == "ok"
    assert n.events("base") == ["started", "ok", "started", "ok"]


def test_after_three_nights_without_power_the_latest_slot_is_run_once(night):
    n = night(DAILY % "")
    n.at("03 06:00").run_due()
    due = n.at("06 11:00").keeper.due().decisions
    assert [(d.slot.day, d.why, d.passed_over) for d in due] == [(6, "caught_up", 2)]
    assert n.run_due() == ["base"]
    assert [record.slot.day for record in n.state("base").slots] == [3, 6]
    assert n.run_due() == []


def test_catch_up_none_leaves_out_what_nobody_saw_in_time(night):
    n = night(DAILY % ", catch_up: none")
    assert n.at("03 06:29").run_due() == ["base"]
    assert n.at("04 06:31").run_due() == []
    assert n.record("base").status == "missed"
    assert n.events("base")[-1] == "missed"
    assert n.at("05 06:05").run_due() == ["base"]


def test_catch_up_all_runs_every_slot_in_order_with_its_own_days(night):
    n = night("entries: {base: {report: x, cron: '0 6 * * *', catch_up: all}}")
    seen = []
    n.keeper.run_items = lambda entry, items, done: (
        seen.append(n.record("base").slot.day),
        n.make_runs(entry, items, done),
    )
    n.at("06 11:00").run_due()
    assert seen == [3, 4, 5, 6]


def test_a_slot_that_comes_while_another_entry_runs_for_hours_was_not_missed(night):
    n = night(
        "entries:\n  long: {report: x, cron: '0 6 * * *'}\n"
        "  short: {report: y, cron: '30 6 * * *', catch_up: none}\n"
    )
    n.takes = timedelta(hours=3)
    assert n.at("03 06:00").run_due() == ["long", "short"]


def test_a_pass_ends_although_its_entry_is_always_due(night):
    n = night("entries: {base: {report: x, cron: '* * * * *'}}")
    n.takes = timedelta(minutes=2)
    assert n.at("03 06:00").run_due() == ["base", "base"]  # one of the pass, one that came in it


def test_what_waits_runs_after_what_it_waits_for_and_not_before(night):
    n = night(CHAIN)
    assert n.at("03 06:10").run_due() == ["base", "group"]
    assert n.at("03 08:00").run_due() == ["late"]


def test_what_waits_for_a_failure_is_blocked_told_once_and_runs_when_it_is_mended(night):
    n = night(CHAIN + "alerts: [{file: alerts.txt}]")
    n.bad = {"base"}
    assert n.at("03 06:00").run_due() == ["base"]
    group = n.record("group")
    assert (group.status, group.reason, group.about) == ("blocked", "dependency_failed", "base")
    assert n.run_due() == []
    alerts = (n.keeper.settings.folder / "alerts.txt").read_text("utf-8").splitlines()
    assert [line.split("'")[1] for line in alerts] == ["base", "group"]
    n.bad = set()
    done = n.keeper.run_now("base")
    assert done is not None
    assert done.is_good
    assert n.run_due() == ["group"]
    assert n.at("03 08:00").run_due() == ["late"]
    text = (n.keeper.settings.folder / "alerts.txt").read_text("utf-8")
    assert text.count("works again") == 2


def test_a_blocked_slot_is_left_behind_when_the_next_one_comes(night):
    n = night(CHAIN)
    n.bad = {"base"}
    n.at("03 06:00").run_due()
    n.bad = set()
    assert n.at("04 06:00").run_due() == ["base", "group"]


def test_what_waits_for_something_switched_off_or_never_run_is_blocked(night):
    n = night(
        "entries:\n  off: {report: x, cron: '0 6 * * *', enabled: false}\n"
        "  old: {report: x, cron: '0 6 1 1 *'}\n"
        "  a: {report: y, cron: '0 6 * * *', after: [off]}\n"
        "  b: {report: y, cron: '0 6 * * *', after: [old]}\n"
    )
    assert n.at("03 06:00").run_due() == []
    assert (n.record("a").status, n.record("a").reason) == ("blocked", "dependency_off")
    assert (n.record("b").status, n.record("b").reason) == ("blocked", "dependency_missing")


def test_a_failure_is_tried_again_after_its_wait_and_what_follows_waits(night):
    n = night("habits: {retries: 1, retry_delay: 10m}\n" + CHAIN + "alerts: [{file: alerts.txt}]")
    n.bad = {"base"}
    assert n.at("03 06:00").run_due() == ["base"]
    assert n.at("03 06:05").run_due() == []
    actions = [(d.entry, d.action, d.why) for d in n.keeper.due().decisions]
    assert actions == [("base", "wait", "later"), ("group", "wait", "dependency_pending")]
    n.bad = set()
    assert n.at("03 06:10").run_due() == ["base", "group"]
    assert n.record("base").tries == 2
    assert not (n.keeper.settings.folder / "alerts.txt").exists()  # nothing failed for good


def test_a_failure_that_a_newer_slot_overtakes_before_it_is_tried_again_is_told(night):
    n = night(
        "entries: {base: {report: x, cron: '0 * * * *', retries: 3, retry_delay: 30m}}\n"
        "alerts: [{file: told.txt}]"
    )
    n.bad = {"base"}
    n.at("03 06:00").run_due()
    status = n.keeper.status()
    assert status.entries[0].status == "retry"
    assert status.troubles == ("base",)
    n.at("03 06:30").run_due()
    assert n.at("03 07:00").run_due() == ["base"]
    told = (n.keeper.settings.folder / "told.txt").read_text("utf-8").splitlines()
    assert ["06:00" in line.split("for ")[1] for line in told] == [True]
    old, new = n.state("base").slots
    assert (old.status, old.reason, old.tries) == ("failed", "error", 2)
    assert new.status == "retry"
    n.bad = set()
    assert n.at("03 07:30").run_due() == ["base"]
    assert "works again" in (n.keeper.settings.folder / "told.txt").read_text("utf-8")


def test_a_slot_whose_process_was_killed_is_not_left_open_when_the_next_one_comes(night):
    n = night(DAILY % "")
    n.at("03 06:00").on_run = killed
    with pytest.raises(KilledError):
        n.run_due()
    n.on_run = lambda entry: None
    assert n.at("04 06:00").run_due() == ["base"]
    assert [record.status for record in n.state("base").slots] == ["failed", "ok"]


def test_what_waits_for_another_try_is_not_missed_however_long_that_takes(night):
    n = night(
        "entries:\n  first: {report: x, cron: '0 6 * * *', retries: 3, retry_delay: 40m}\n"
        "  second: {report: y, cron: '0 6 * * *', after: [first], catch_up: none}\n"
    )
    n.bad = {"first"}
    assert n.at("03 06:00").run_due() == ["first"]
    assert n.at("03 06:35").run_due() == []
    assert not n.state("second").slots
    n.bad = set()
    assert n.at("03 06:45").run_due() == ["first", "second"]
    n.at("04 11:00").run_due()  # nobody looked in time
    assert n.record("second").status == "missed"


def test_only_the_failed_runs_of_a_fan_out_are_tried_again(night):
    n = night(
        "entries: {base: {report: x, cron: '0 6 * * *', each: {shop: [Riga, Rome, Oslo]}, "
        "retries: 1, retry_delay: 0s}}"
    )
    n.bad = {"base/Rome"}
    assert n.at("03 06:00").run_due() == ["base/Riga", "base/Rome", "base/Oslo", "base/Rome"]
    record = n.record("base")
    assert (record.status, record.reason, record.about) == ("failed", "error", "ValueError")
    assert {item.key: item.status for item in record.items} == {
        "Riga": "ok",
        "Oslo": "ok",
        "Rome": "failed",
    }


def test_a_run_whose_process_is_killed_is_repeated_but_not_for_ever(night):
    n = night(DAILY % ", retries: 0")
    n.at("03 06:00").on_run = killed
    for _ in range(MAX_INTERRUPTIONS):
        with pytest.raises(KilledError):
            n.run_due()
    assert n.record("base").status == "running"
    assert n.keeper.status().entries[0].status == "interrupted"
    n.on_run = lambda entry: None
    assert n.run_due() == []
    record = n.record("base")
    assert (record.status, record.reason, record.interruptions) == ("failed", "interrupted", 3)
    assert n.at("04 06:00").run_due() == ["base"]


def test_what_a_fan_out_had_done_before_the_kill_is_not_repeated(night):
    n = night("entries: {base: {report: x, cron: '0 6 * * *', each: {shop: [Riga, Rome]}}}")

    def killed_after_one(entry, items, done):
        n.make_runs(entry, items[:1], done)
        raise KilledError

    n.keeper.run_items = killed_after_one
    with pytest.raises(KilledError):
        n.at("03 06:00").run_due()
    n.keeper.run_items = n.make_runs
    assert n.run_due() == ["base/Rome"]
    assert n.record("base").status == "ok"


def test_a_clock_that_was_years_ahead_does_not_stop_the_schedule(night):
    n = night(DAILY % "")
    n.at("03 06:00").run_due()
    n.now = n.now.replace(year=2036)
    assert n.run_due() == ["base"]
    assert n.at("03 07:00").run_due() == []
    assert "clock_back" in n.events()
    assert [record.slot.year for record in n.state("base").slots] == [2026]
    assert n.at("04 06:00").run_due() == ["base"]


def test_a_clock_that_steps_back_a_little_runs_nothing_twice(night):
    n = night(DAILY % "")
    n.at("03 06:00").run_due()
    assert n.at("03 05:58").run_due() == []
    assert n.at("03 06:01").run_due() == []


def test_an_entry_that_was_switched_off_does_not_make_up_for_that_time(night, write):
    n = night(DAILY % "")
    write(DAILY % ", enabled: false")
    assert n.at("04 07:00").run_due() == []
    assert n.keeper.status().entries[0].status == "off"
    write(DAILY % "")
    assert n.at("06 07:00").run_due() == []
    assert n.at("07 06:00").run_due() == ["base"]


@pytest.mark.parametrize("state", ["retry", "running", "blocked"])
def test_what_was_left_undone_when_an_entry_was_switched_off_is_not_done_months_later(
    night, write, state
):
    text = (
        "entries:\n  first: {report: x, cron: '0 6 * * *'}\n"
        "  base: {report: x, cron: '0 6 3 * *', retries: 3, retry_delay: 2h, after: [first]%s}\n"
    )
    n = night(text % "")
    n.bad = {"first"} if state == "blocked" else {"base"}
    n.at("03 06:00").run_due()
    if state == "running":
        n.on_run = killed
        with pytest.raises(KilledError):
            n.at("03 08:00").run_due()
    assert n.record("base").status == state
    n.on_run, n.bad = (lambda entry: None), set()
    write(text % ", enabled: false")
    n.keeper.run_now("first")
    assert "base" not in n.at("03 09:00").run_due()
    write(text % "")
    assert n.at("20 07:00").run_due() == ["first"]
    assert n.record("base").is_over


def test_a_run_by_hand_leaves_the_missed_days_of_catch_up_all_to_be_made_up_for(night):
    n = night(DAILY % ", catch_up: all")
    n.at("03 06:00").run_due()
    n.at("07 07:00")
    assert n.keeper.run_now("base")
    due = n.keeper.due().decisions
    assert [(d.slot.day, d.why) for d in due] == [(4, "caught_up")]
    assert n.run_due() == ["base"] * 3
    assert [record.slot.day for record in n.state("base").slots] == [3, 4, 5, 6, 7]
    assert {record.status for record in n.state("base").slots} == {"ok"}
    assert n.at("08 06:00").run_due() == ["base"]


def test_a_missed_day_that_fails_or_is_killed_after_a_run_by_hand_is_taken_up(night):
    n = night(DAILY % ", catch_up: all, retries: 1, retry_delay: 10m")
    n.at("05 07:00")
    assert n.keeper.run_now("base")
    n.on_run = killed
    with pytest.raises(KilledError):
        n.run_due()
    assert n.keeper.status().entries[0].status == "interrupted"
    n.on_run, n.bad = (lambda entry: None), {"base"}
    assert n.run_due() == ["base"]
    assert n.keeper.status().troubles == ("base",)
    n.bad = set()
    assert n.run_due() == []
    assert n.at("05 07:10").run_due() == ["base", "base"]
    assert {record.status for record in n.state("base").slots} == {"ok"}


def test_after_long_days_off_few_of_the_slots_are_counted(night, monkeypatch):
    asked = []

    def counted(timing, moment):
        for slot in slots_after(timing, moment):
            asked.append(slot)
            yield slot

    n = night("entries: {base: {report: x, cron: '*/5 * * * *'}}")
    n.now += timedelta(days=60)
    monkeypatch.setattr("crm_lab.schedule.due.slots_after", counted)
    [decision] = n.keeper.due().decisions
    assert decision.passed_over == MAX_CAUGHT_UP - 1
    assert len(asked) < 1000  # of 17,280
    n = night("entries: {base: {report: x, cron: '0 6 * * mon', catch_up: all}}")
    n.now += timedelta(days=700)
    assert len(n.run_due()) == 100


def test_a_run_by_hand_is_for_the_latest_slot_and_is_not_run_again_by_the_clock(night):
    n = night(DAILY % ", retries: 3")
    n.bad = {"base"}
    done = n.at("03 06:03").keeper.run_now("base")
    assert done is not None
    assert done.record.status == "failed"  # a person sees it; nothing is tried behind their back
    assert exit_code([done]) == 3
    assert n.run_due() == []
    assert n.record("base").slot == n.at("03 06:00").now
    with pytest.raises(ScheduleError, match="no entry 'bace'"):
        n.keeper.run_now("bace")


def test_asked_to_stop_a_pass_ends_after_the_run_and_repeats_what_was_cut_short(night):
    n = night("entries:\n  a: {report: x, cron: '0 6 * * *'}\n  b: {report: x, cron: '0 6 * * *'}")
    asked = []
    n.at("03 06:00").on_run = lambda entry: asked.append(True)
    n.keeper.run_due(stopping=lambda: bool(asked), wait_seconds=0)
    assert n.ran == ["a"]
    assert n.record("a").status == "ok"  # it came to its end all the same
    asked.clear()
    n.bad = {"b"}  # its kernel was ended with the machine
    n.keeper.run_due(stopping=lambda: bool(asked), wait_seconds=0)
    assert n.record("b").status == "running"
    n.on_run, n.bad = (lambda entry: None), set()
    assert n.run_due() == ["b"]


def test_another_process_at_work_is_not_disturbed_and_the_answer_is_75(night):
    n = night(DAILY % "")
    n.at("03 06:00")
    refused = []

    def again(entry: object) -> None:
        with pytest.raises(OverlapError, match="at work") as problem:
            n.keeper.run_due(wait_seconds=0)
        refused.append(problem.value.exit_code)
        assert n.keeper.status().entries[0].status == "running"

    n.on_run = again
    assert n.run_due() == ["base"]
    assert refused == [75]


@pytest.mark.parametrize(
    "text", ["", "{", '{"version": 2}', "[]", '{"version": 1, "entry": "base"}']
)
def test_a_state_that_cannot_be_read_stops_everything_and_says_what_to_do(night, text):
    n = night(DAILY % "")
    path = n.keeper.folder.folder / "entries" / "base.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ScheduleError, match="move the file away") as problem:
        n.run_due()
    assert str(path) in str(problem.value)


def test_status_says_when_nobody_looks_any_more(night):
    n = night(DAILY % "")
    n.at("03 06:00").run_due()
    assert n.keeper.status().is_healthy
    n.at("03 06:30")
    status = n.keeper.status()
    assert not status.is_healthy
    assert "its clock stands" in status.sentence()
    n.bad = {"base"}
    n.at("04 06:00").run_due()
    status = n.keeper.status()
    assert status.troubles == ("base",)
    assert status.entries[0].last_good == n.at("03 06:00").now
    assert list(status.card_frame()["reason"]) == ["an error in the notebook (ValueError)"]


def test_status_says_that_a_process_is_at_work_however_long_it_takes(night):
    n = night(DAILY % "")
    said = []
    n.takes = timedelta(minutes=25)
    n.keeper.run_items = lambda entry, items, done: (
        n.make_runs(entry, items, done),
        said.append(n.keeper.status()),
    )
    n.at("03 06:00").run_due()
    assert said[0].is_healthy
    assert said[0].sentence() == "1 entry; all are well. A process is at work on it now."


def test_neither_log_nor_state_nor_output_holds_the_text_of_an_error(night):
    n = night(DAILY % "" + "\nalerts: [{file: a.jsonl}, {file: a.txt}]")
    n.bad = {"base"}
    n.at("03 06:00").run_due()
    folder = n.keeper.settings.folder
    written = "".join(p.read_text("utf-8") for p in folder.rglob("*") if p.is_file())
    assert "ValueError" in written
    assert "reports/runs/1/report.html" in (folder / "a.jsonl").read_text("utf-8")


def test_everything_is_shown_in_russian_except_the_names_that_people_gave(night):
    n = night(
        "entries:\n  group: {report: x, cron: '0 6 * * *'}\n"
        "  order: {report: y, after: [group]}\nalerts: [{file: told.txt}]"
    )
    n.bad = {"group"}
    with using_language("ru"):
        n.at("03 06:00").run_due()
        sentence = n.keeper.status().sentence()
        html = n.keeper.status()._repr_html_() + n.keeper.history(count=9)._repr_html_()
        html += n.keeper.planned()._repr_html_() + n.keeper.due()._repr_html_()
    assert sentence.startswith("2 записи; не в порядке: group, order.")
    words = set(re.findall(r"[A-Za-z]{4,}", re.sub(r"<style>.*?</style>|<[^>]+>", " ", html)))
    assert words == {"group", "order", "ValueError", "cron"}
    told = (n.keeper.settings.folder / "told.txt").read_text("utf-8")
    assert "«group» завершилась ошибкой, срок 03.11.2026 06:00 (UTC)" in told
    assert n.record("group").status == "failed"  # what is kept stays English
