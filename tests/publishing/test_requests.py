"""From a name and some values to checked requests, one or many."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from crm_lab.errors import ReportError
from crm_lab.language import using_language
from crm_lab.publishing import (
    DateSpan,
    fan_out,
    find_notebook,
    kind_of,
    notebooks,
    parse_span,
    report_request,
)
from crm_lab.simulation.shops import Shop
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw


def test_a_request_fixes_data_language_and_title(finished: Workbench) -> None:
    request = report_request(finished, "campaign_exp", {"seed": "7"}, as_text=True)
    assert request.kind == "campaign_experiment"
    assert request.parameters["seed"] == 7
    assert request.parameters["snapshot"] == finished.snapshot().snapshot_id
    assert request.parameters["language"] == "en"
    assert request.parameters["experiment"] == "spring-mailing"  # the only one that was drawn
    assert request.title == "What the campaign brought: spring-mailing"
    assert request.context["snapshot_sha256"] == finished.snapshot().digest
    assert set(request.context["inputs"]) == {"files", "day"}


def test_what_a_request_states_is_of_the_snapshot_that_it_reads(finished: Workbench) -> None:
    latest = finished.snapshot().snapshot_id
    earlier = open_workbench(finished.settings.folder, snapshot=latest - 1)
    asked = [
        report_request(finished, "customer_base", {"snapshot": latest - 1}),
        *fan_out(finished, "customer_base", {"snapshot": latest - 1}),
        report_request(earlier, "customer_base", {}),
    ]
    for request in asked:
        assert request.parameters["snapshot"] == latest - 1
        assert request.context["snapshot_sha256"] == earlier.snapshot().digest
        assert request.context["data_to"] == earlier.last_day()
        assert request.context["data_to"] < finished.last_day()


def test_what_a_request_states_is_of_the_gateway_that_it_reads(
    make_workbench: Callable[..., Workbench], small_shop: Callable[..., Shop]
) -> None:
    workbench = make_workbench(small_shop(60))
    folder = workbench.settings.folder
    with (folder / "crm-lab.yml").open("a", encoding="utf-8") as settings:
        settings.write("other_bases: {second: {company: The other, gateway: data/second}}\n")
    other = open_workbench(folder, gateway="second")
    sw.load(other, small_shop(40, seed=2), name="second")
    request = report_request(open_workbench(folder), "customer_base", {"gateway": "second"})
    assert request.parameters["snapshot"] == other.snapshot().snapshot_id
    assert request.context["snapshot_sha256"] == other.snapshot().digest
    assert request.context["company"] == "The other"


def test_the_language_of_the_command_is_that_of_the_page(finished: Workbench) -> None:
    with using_language("ru"):
        assert report_request(finished, "customer_base", {}).parameters["language"] == "ru"
        asked = report_request(finished, "customer_base", {"language": "en"})
    assert asked.parameters["language"] == "en"


def test_a_changed_plan_file_changes_the_inputs(
    workbench_at: Callable[[str], Workbench],
) -> None:
    workbench = workbench_at("finished")
    before = report_request(workbench, "customer_base", {}).context["inputs"]
    path = next(workbench.settings.experiments_folder.glob("*.yml"))
    path.write_text(path.read_text("utf-8") + "\n# looked at\n", "utf-8")
    after = report_request(workbench, "customer_base", {}).context["inputs"]
    assert before["files"] != after["files"]
    assert before["day"] == after["day"]


def test_languages_need_no_word_in_the_title(finished: Workbench) -> None:
    turns = {"language": ["en", "ru"]}
    titles = [request.title for request in fan_out(finished, "control_group", {}, each=turns)]
    assert titles == ["The control group", "Контрольная группа"]
    named = fan_out(finished, "control_group", {}, each=turns, title="Group")
    assert [request.title for request in named] == ["Group: en", "Group: ru"]


def test_one_request_for_each_value_with_a_title_of_its_own(finished: Workbench) -> None:
    requests = fan_out(
        finished,
        "campaign_experiment",
        {"results": "x"},
        each={"experiment": ["all"], "seed": ["1", "2"]},
        title="Campaign",
        as_text=True,
    )
    assert [request.title for request in requests] == [
        "Campaign: spring-mailing, 1",
        "Campaign: spring-mailing, 2",
    ]
    assert [request.parameters["seed"] for request in requests] == [1, 2]
    assert {request.parameters["results"] for request in requests} == {"x"}


def test_all_stands_for_the_choices_of_a_parameter(finished: Workbench) -> None:
    requests = fan_out(finished, "customer_base", {}, each={"language": ["all"]})
    assert [request.parameters["language"] for request in requests] == ["en", "ru"]


def test_a_backfill_is_one_report_on_many_days(finished: Workbench) -> None:
    span = parse_span("2024-01-31..2024-04-30")
    requests = fan_out(finished, "control_group", {}, dates=span)
    assert [request.parameters["as_of"] for request in requests] == [
        "2024-01-31",
        "2024-02-29",
        "2024-03-31",
        "2024-04-30",
    ]
    assert len({request.title for request in requests}) == 1


def test_every_fault_of_every_request_at_once(finished: Workbench) -> None:
    with pytest.raises(ReportError) as refused:
        fan_out(
            finished, "campaign_experiment", {}, each={"seed": ["1", "two", "3.5"]}, as_text=True
        )
    assert len(refused.value.faults) == 2


@pytest.mark.parametrize(
    ("name", "given", "options", "message"),
    [
        ("customer_base", {}, {"each": {"seed": ["all"]}}, "'all' is not known"),
        ("customer_base", {}, {"each": {"colour": ["red"]}}, "unknown parameter"),
        ("customer_base", {}, {"dates": "2024-01-01..2024-02-01"}, "0 parameters that are dates"),
        ("control_group", {}, {"dates": "x=2024-01-01..2024-02-01"}, "unknown parameter"),
        ("aa_calibration", {"seed": 1}, {"each": {"seed": ["1"]}}, "both once and in turn"),
        ("customer_base", {}, {"each": {"language": []}}, "0 runs were asked for"),
        ("no_such", {}, {}, "0 report notebooks fit"),
        ("c", {}, {}, "report notebooks fit 'c'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    finished: Workbench, name: str, given: dict, options: dict, message: str
) -> None:
    if "dates" in options:
        options = options | {"dates": parse_span(options["dates"])}
    with pytest.raises(ReportError, match=message):
        fan_out(finished, name, given, **options)


@pytest.mark.parametrize("text", ["", "2024-01-01", "2024-02-01..2024-01-01", "a..b", "1..2..3"])
def test_a_wrong_span_is_refused(text: str) -> None:
    with pytest.raises(ReportError, match="no span of dates"):
        parse_span(text)


@pytest.mark.parametrize(
    ("every", "count", "last"),
    [
        ("day", 366, date(2024, 12, 31)),
        ("week", 53, date(2024, 12, 30)),
        ("month", 12, date(2024, 12, 1)),
        ("quarter", 4, date(2024, 10, 1)),
        ("year", 1, date(2024, 1, 1)),
    ],
)
def test_days_of_a_span(every, count: int, last: date) -> None:  # type: ignore[no-untyped-def]
    span = DateSpan(first=date(2024, 1, 1), last=date(2024, 12, 31), every=every)
    days = list(span.days())
    assert (len(days), days[-1]) == (count, last)


def test_notebooks_are_found_by_kind_part_and_path(finished: Workbench) -> None:
    known = notebooks(finished)
    assert find_notebook(finished, "customer-base") == known["customer_base"]
    path = known["customer_base"]
    assert find_notebook(finished, str(path)) == path
    assert kind_of(path) == "customer_base"
