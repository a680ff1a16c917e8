"""Files of experiments: every fault at once, with line and key."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from crm_lab.errors import SpecError
from crm_lab.experiments.control_group_spec import ControlGroupSpec, load_control_group
from crm_lab.experiments.spec import experiment_names, load_experiment

GOOD = """\
name: winter-sale
title: "Winter sale"
hypothesis: "A discount brings more than it costs."
owner: CRM team
starts_on: 2026-12-01
ends_on: 2026-12-28
arms:
  mail-a: {share: 0.5, message: a}
  mail-b: {share: 0.5, message: b}
"""


def write(folder: Path, text: str, name: str = "winter-sale") -> Path:
    path = folder / f"{name}.yml"
    path.write_text(text, "utf-8")
    return path


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_a_good_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    spec = load_experiment(tmp_path, "winter-sale")
    assert spec.starts_on == date(2026, 12, 1)
    assert list(spec.arms) == ["mail-a", "mail-b"]
    assert (spec.alpha, spec.power, spec.pre_period_days) == (0.05, 0.8, 28)
    assert spec.metrics.primary == "revenue_per_customer"


def test_quoted_days_and_whole_shares_are_read(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("2026-12-01", '"2026-12-01"').replace("share: 0.5", "share: 1", 1))
    with pytest.raises(SpecError, match="add up to 150") as refused:
        load_experiment(tmp_path, "winter-sale")
    assert len(refused.value.faults) == 1


def test_every_fault_of_a_bad_file_is_told_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        """\
name: summer
title: ""
hypothesis: "x"
owner: CRM team
starts_on: 2026-12-28
ends_on: 2026-12-01
colour: red
alpha: "high"
power: 2
arms:
  control: {share: 0.9, message: a}
  mail-b: {share: 0.5, message: b, weight: 3}
  Mail C: {share: 0.1, message: c}
metrics: {primary: conversion, secondary: [conversion]}
decision: {rule: interval_above_zero, minimum: 5}
""",
    )
    with pytest.raises(SpecError) as refused:
        load_experiment(tmp_path, "winter-sale")
    text = str(refused.value)
    for part in (
        "line 2, key 'title'",
        "line 7, key 'colour': unknown key 'colour'",
        "line 8, key 'alpha': found 'high'",
        "line 9, key 'power'",
        "line 6, key 'ends_on': the end 2026-12-01 is before the start 2026-12-28",
        "line 10, key 'arms': the shares add up to 150.0 %, above 100 %",
        "line 11, key 'arms.control': the name 'control' is kept",
        "line 12, key 'arms.mail-b.weight': unknown key 'weight'",
        "'Mail C' is not a name of small letters",
        "line 14, key 'metrics': 'conversion' is both primary and secondary",
        "line 15, key 'decision': the rule interval_above_zero takes no 'minimum'",
        "line 1, key 'name': 'summer' is not the name of the file, 'winter-sale'",
    ):
        assert part in text
    assert len(refused.value.faults) == 12


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("share: 0.5, message: a", "share: 0.6, message: a", "above 100 %"),
        ("share: 0.5, message: a", "share: '0.6', message: a", "found '0.6'"),
        ("share: 0.5, message: a", "share: yes, message: a", "found 'yes'"),
        ("share: 0.5, message: a", "share: true, message: a", "found True"),
        ("share: 0.5, message: a", "share: 0, message: a", "greater than 0"),
        ("share: 0.5, message: a", "share: -0.5, message: a", "greater than 0"),
        ("share: 0.5, message: a", "share: .nan, message: a", "finite number"),
        ("share: 0.5, message: a", "share: 0.12345, message: a", "finer than 0.0001"),
        ("share: 0.5, message: a", "share: 0.5", "key 'message' is missing"),
        ("mail-a:", "rest:", "the name 'rest' is kept"),
        ("mail-a:", "control:", "the name 'control' is kept"),
        ("ends_on: 2026-12-28", "ends_on: 2026-11-30", "before the start"),
        ("ends_on: 2026-12-28", "ends_on: '2026-11-30'", "before the start"),
        ("ends_on: 2026-12-28", "ends_on: 28.12.2026", "is not a day such as"),
        ("ends_on: 2026-12-28", "ends_on: 20261228", "'20261228' is not a day such as"),
        ("ends_on: 2026-12-28", "ends_on: 2026-12-28 10:00:00", "is not a day such as"),
        ("ends_on: 2026-12-28", "ends_on: 2026-02-30", "a date that does not exist"),
        ("ends_on: 2026-12-28", "ends_on: 9999-12-31", "not between 1990 and 2200"),
        ("ends_on: 2026-12-28", "ends_on: [1]", "is not a day such as"),
        ("starts_on: 2026-12-01", "", "the key 'starts_on' is missing"),
        ("owner: CRM team", "owner: CRM team\nowner: again", 'duplicate key "owner"'),
        ("owner: CRM team", "owner: CRM team\nalpha: 0", "greater than 0"),
        ("owner: CRM team", "owner: CRM team\nalpha: '0.05'", "found '0.05'"),
        ("owner: CRM team", "owner: CRM team\npre_period_days: 1.5", "key 'pre_period_days'"),
        ("owner: CRM team", "owner: CRM team\nchannel: pigeon", "key 'channel'"),
        (
            "owner: CRM team",
            "owner: CRM team\nmetrics: {secondary: [conversion, conversion]}",
            "a secondary metric stands there twice",
        ),
        (
            "owner: CRM team",
            "owner: CRM team\ndecision: {rule: interval_above_minimum}",
            "needs a 'minimum' above 0",
        ),
        (
            "owner: CRM team",
            "owner: CRM team\ndecision: {rule: interval_above_minimum, minimum: .nan}",
            "finite number",
        ),
        (
            "owner: CRM team",
            "owner: CRM team\ncosts: {fixed: -1, margin_share: 2}",
            "key 'costs.margin_share'",
        ),
        ("owner: CRM team", "owner: CRM team\naudience: {min_orders: true}", "found True"),
        ("arms:", "arms: [1, 2]\nother:", "key 'arms'"),
        ("title: ", "title: [", "not valid YAML"),
    ],
)
def test_one_fault_is_named_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = write(tmp_path, changed(old, new))
    with pytest.raises(SpecError, match=message) as refused:
        load_experiment(tmp_path, "winter-sale")
    assert all(str(path) in fault.where for fault in refused.value.faults)


@pytest.mark.parametrize(
    "name", ["../winter-sale", "/etc/passwd", "a/b", "", ".", "Winter", "зима"]
)
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    write(tmp_path, GOOD)
    with pytest.raises(SpecError, match="is not a name of small letters"):
        load_experiment(folder, name)


def test_an_unknown_experiment_is_told_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, 'salt: "1"', "control_group")
    with pytest.raises(SpecError, match=r"there is no experiment 'spring'.*one of winter-sale"):
        load_experiment(tmp_path, "spring")
    assert experiment_names(tmp_path) == ["winter-sale"]


def test_the_control_group_has_documented_defaults(tmp_path: Path) -> None:
    write(tmp_path, 'salt: "2024"', "control_group")
    assert load_control_group(tmp_path) == ControlGroupSpec(salt="2024")
    assert load_control_group(tmp_path).share == 0.05


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("salt: 2024", "key 'salt': found 2024"),
        ('salt: ""', "key 'salt'"),
        ("share: 0.05", "the key 'salt' is missing"),
        ('salt: "1"\nshare: 1', "less than 1"),
        ('salt: "1"\nshare: 5%', "found '5%'"),
        ('salt: "1"\nname: ../x', "is not a name"),
        ('salt: "1"\nexempt_classes: [marketing]', "key 'exempt_classes.0'"),
        ("", "the file is empty"),
        ("- a", "the top level is a"),
    ],
)
def test_a_wrong_control_group_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, text, "control_group")
    with pytest.raises(SpecError, match=message):
        load_control_group(tmp_path)


def test_a_missing_control_group_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the file does not exist"):
        load_control_group(tmp_path)
