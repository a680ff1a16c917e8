"""The plan of a month and its revisions: all faults at once, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from crm_lab.errors import CrmLabError, DesignError, LedgerError, SpecError
from crm_lab.experiments.spec import MONTHLY_PLAN_FILE, experiment_names
from crm_lab.planning.monthly_plan import load_monthly_plan
from crm_lab.planning.plan_revisions import effective_plan, read_value, revise, revisions_of
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw

WorkbenchAt = Callable[[str], Workbench]
PLAN = """\
month: 2024-05
target: 900000
owner: Head of CRM
activities:
  wave-1: {day: 2024-05-04, mechanic: reminder, recipients: 900, expected: 6000}
  wave-2: {day: 2024-05-24, recipients: 1500, expected: 9000.5}
acquisition_channels: {context: 0.5, media: 0.5}
"""
AT, ENDS_AT = datetime(2024, 5, 16), datetime(2024, 6, 1)


def write(folder: Path, text: str = PLAN) -> Path:
    path = folder / MONTHLY_PLAN_FILE
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def shop_month(workbench_at: WorkbenchAt) -> Workbench:
    workbench = workbench_at("drawn")
    write(workbench.settings.experiments_folder)
    return workbench


def change(workbench: Workbench, item: str, to: str, **other: object) -> None:
    given = {"reason": "wave 1 was weak", "by": "Head", "at": AT, "ends_at": ENDS_AT} | other
    folder = workbench.settings.experiments_folder
    revise(workbench.gateway, folder, item=item, to=to, **given)  # type: ignore[arg-type]


def counting(workbench: Workbench):  # type: ignore[no-untyped-def]
    return effective_plan(workbench.gateway, workbench.settings.experiments_folder)


def test_a_plan_is_read_and_is_no_experiment(tmp_path: Path) -> None:
    write(tmp_path)
    spec = load_monthly_plan(tmp_path)
    assert (spec.first_day, spec.last_day) == (date(2024, 5, 1), date(2024, 5, 31))
    assert spec.metric == "revenue"
    assert spec.activities["wave-2"].channel == "email"
    assert experiment_names(tmp_path) == []


def test_every_fault_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        "month: 2024-05\ntarget: -1\nownr: me\nactivities:\n"
        "  wave-1: {day: 2024-06-04, recipients: 0.5, expected: 1}\n"
        "acquisition_channels: {context: 0.5, media: 0.4}\n",
    )
    with pytest.raises(SpecError) as problem:
        load_monthly_plan(tmp_path)
    told = str(problem.value)
    for part in (
        "target",
        "did you mean 'owner'",
        "the key 'owner' is missing",
        "recipients",
        "the day 2024-06-04 of 'wave-1' is not in 2024-05",
        "add up to 90.0 %, not to 100 %",
    ):
        assert part in told
    assert "line 5" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("month: May\ntarget: 1\nowner: o\n", "'May' is not a month such as 2026-05"),
        ("month: 2024-13\ntarget: 1\nowner: o\n", "'2024-13' is not a month"),
        ("month: 2024-05\ntarget: a lot\nowner: o\n", "found 'a lot'"),
        ("month: 2024-05\nmetric: visits\ntarget: 1\nowner: o\n", "found 'visits'"),
        (PLAN.replace("2024-05-24", "2024-02-30"), "does not exist|not a day"),
        ("", "the file is empty"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SpecError, match=message):
        load_monthly_plan(tmp_path)


def test_a_missing_file_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no plan of a month"):
        load_monthly_plan(tmp_path)


def test_a_revision_counts_and_the_file_stays(shop_month: Workbench) -> None:
    folder = shop_month.settings.experiments_folder
    before = (folder / MONTHLY_PLAN_FILE).read_bytes()
    change(shop_month, "target", "850000", report="run-1")
    change(shop_month, "wave-2.day", "2024-05-20", at=AT + timedelta(days=1))
    change(
        shop_month,
        "wave-3",
        "{day: 2024-05-28, recipients: 50, expected: 7}",
        at=ENDS_AT - timedelta(hours=1),
    )
    assert (folder / MONTHLY_PLAN_FILE).read_bytes() == before
    plan = counting(shop_month)
    assert plan.written.target == 900_000
    assert plan.spec.target == 850_000
    assert plan.spec.activities["wave-2"].day == date(2024, 5, 20)
    assert plan.spec.activities["wave-3"].recipients == 50
    first = plan.revisions[0]
    assert (first.old, first.new, first.by, first.report) == (900_000, 850_000, "Head", "run-1")
    assert first.reason == "wave 1 was weak"
    assert not plan.is_file_changed
    assert "was revised 3 times" in plan.sentence()
    assert list(plan.to_frame()["item"]) == ["target", "wave-2.day", "wave-3"]
    assert shop_month.gateway.verify() == []
    assert revisions_of(shop_month.gateway, "2024-06") == ()
    earlier = effective_plan(shop_month.gateway, folder, until=AT)
    assert [item.item for item in earlier.revisions] == ["target"]


def test_an_activity_is_taken_out_and_can_come_back(shop_month: Workbench) -> None:
    change(shop_month, "wave-2", "none")
    assert list(counting(shop_month).spec.activities) == ["wave-1"]
    assert counting(shop_month).revisions[-1].new is None
    with pytest.raises(DesignError, match=r"no item 'wave-2\.day'"):
        change(shop_month, "wave-2.day", "2024-05-21")
    change(shop_month, "wave-2", "{day: 2024-05-21, recipients: 10, expected: 1}")
    assert counting(shop_month).spec.activities["wave-2"].recipients == 10


@pytest.mark.parametrize(
    ("item", "to", "other", "error", "message"),
    [
        ("target", "900000", {}, DesignError, "'target' is 900,000 already"),
        ("target", "many", {}, DesignError, "'target' cannot become many"),
        ("target", "none", {}, DesignError, "'target' cannot become nothing"),
        ("owner", "me", {}, DesignError, "no item 'owner'"),
        ("wave-9", "5", {}, DesignError, "no item 'wave-9'"),
        ("wave-1.colour", "red", {}, DesignError, "no item 'wave-1.colour'"),
        ("wave-1.day", "2024-06-02", {}, DesignError, "is not in 2024-05"),
        ("Wave", "{day: 2024-05-02, recipients: 1, expected: 1}", {}, DesignError, "is not a name"),
        ("target", "{", {}, DesignError, "cannot be read"),
        ("target", "1", {"by": " "}, DesignError, "nobody is named"),
        ("target", "1", {"reason": ""}, DesignError, "no reason is given"),
        ("target", "1", {"at": ENDS_AT}, LedgerError, "2024-05 is over"),
    ],
)
def test_a_wrong_revision_is_refused_with_one_message_and_writes_nothing(
    shop_month: Workbench,
    item: str,
    to: str,
    other: dict[str, object],
    error: type[CrmLabError],
    message: str,
) -> None:
    head = shop_month.gateway.ledger_head()
    with pytest.raises(error, match=message) as problem:
        change(shop_month, item, to, **other)
    assert len(problem.value.faults) == 1
    assert shop_month.gateway.ledger_head() == head


def test_a_revision_is_not_dated_before_the_last_one(shop_month: Workbench) -> None:
    change(shop_month, "target", "800000")
    with pytest.raises(LedgerError, match="before the last one"):
        change(shop_month, "target", "700000", at=AT - timedelta(days=1))


def test_a_file_changed_later_is_noticed(shop_month: Workbench) -> None:
    folder = shop_month.settings.experiments_folder
    change(shop_month, "wave-2.recipients", "70")
    write(folder, PLAN.replace("owner: Head of CRM", "owner: Somebody"))
    assert counting(shop_month).is_file_changed
    write(folder, PLAN.replace("wave-2", "wave-7"))
    with pytest.raises(LedgerError, match="does not fit its file any more"):
        counting(shop_month)


def test_a_new_month_begins_without_revisions(shop_month: Workbench) -> None:
    change(shop_month, "target", "800000")
    write(shop_month.settings.experiments_folder, "month: 2024-06\ntarget: 5\nowner: o\n")
    plan = counting(shop_month)
    assert plan.revisions == ()
    assert plan.sentence() == "The plan of 2024-06 stands as it was written."


def test_values_are_read_as_a_file_would() -> None:
    assert read_value("1.5") == 1.5
    assert read_value("{day: 2024-05-02}") == {"day": "2024-05-02"}
    with pytest.raises(DesignError, match="cannot be read"):
        read_value(" ")


def test_the_month_of_a_workbench_is_paced_by_its_orders(shop_month: Workbench) -> None:
    month = shop_month.pacing(as_of=sw.STARTS_AT)
    found = month.pace()
    assert found.plan.spec.target == 900_000
    assert found.known_until == date(2024, 4, 30)
    assert (found.forecast.days_known, found.forecast.days_ahead) == (0, 31)
    with shop_month.gateway.reader() as reader:
        total = reader.one("select sum(net_revenue) as total from orders where status <> 'x'")
    daily = found.backtest
    assert float(total["total"]) > 0  # type: ignore[arg-type]
    assert daily.empty or set(daily["month"]) <= {"2024-03", "2024-04"}
    revision = month.revise(item="target", to="10", reason="r", by="b")
    assert revision.new == 10
    assert month.pace(levers=False).verdict == "on plan"
