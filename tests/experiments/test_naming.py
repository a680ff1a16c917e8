"""Naming and tagging rules: every fault at once, and nothing asked where nothing is declared."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab.errors import DesignError, Fault, SpecError
from crm_lab.experiments.latin_names import suggest_name
from crm_lab.experiments.naming import check_experiment, check_name, check_utm, untagged_share
from crm_lab.experiments.spec import TAGGING_FILE, ArmSpec, ExperimentSpec
from crm_lab.experiments.tagging_rules import TaggingRules, load_tagging_rules, tags_of

FILE = """\
name_pattern: "{direction}_{channel}_{mechanic}_{yyyymm}"
tags:
  direction: {values: [retention, acquisition]}
  channel: {values: [email, sms, push, push-web]}
  mechanic: {}
  audience: {values: [all, vip]}
  agency: {required: false, values: [inhouse, partner]}
utm:
  source: [crm]
  medium: [email, sms, push]
  medium_of_channel: {email: email, sms: sms, push-web: push}
"""
GOOD = "retention_email_spring-sale_202612"
LINK = "https://shop.example/a?x=1&utm_source=crm&utm_medium=email&utm_campaign="


@pytest.fixture
def rules(tmp_path: Path) -> TaggingRules:
    (tmp_path / TAGGING_FILE).write_text(FILE, "utf-8")
    return load_tagging_rules(tmp_path)


def found(faults: list[Fault]) -> list[str]:
    return [fault.found for fault in faults]


# --- names -------------------------------------------------------------------------------------


def test_a_name_by_the_rules_has_no_fault(rules: TaggingRules) -> None:
    assert check_name(GOOD, rules) == []
    assert tags_of(GOOD, rules) == {
        "direction": "retention",
        "channel": "email",
        "mechanic": "spring-sale",
        "yyyymm": "202612",
    }


def test_every_fault_of_a_name_comes_at_once(rules: TaggingRules) -> None:
    faults = check_name("retenton_mail_x_202613", rules, where="row 3")
    assert found(faults) == [
        "'retenton' as direction",
        "'mail' as channel",
        "'202613' as yyyymm",
    ]
    assert faults[0].expected == "one of retention, acquisition"
    assert faults[0].remedy == "perhaps 'retention' is meant"
    assert {fault.where for fault in faults} == {"row 3"}


def test_letters_and_parts_are_both_told(rules: TaggingRules) -> None:
    letters, part = check_name("Retention_Emаil_скидка_202600", rules)
    assert "'R' (LATIN CAPITAL LETTER R)" in letters.found
    assert "'а' (CYRILLIC SMALL LETTER A)" in letters.found
    assert letters.remedy == "write it 'retention_email_skidka_202600'"
    assert part.found == "'202600' as yyyymm"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spring", "is not built like {direction}_{channel}_{mechanic}_{yyyymm}"),
        ("retention_email_202612", "is not built like"),
        ("retention__x_202612", "is not built like"),
        ("retention_email_a_b_202612", "is not built like"),
        ("", "the name is empty"),
        ("x" * 201, "the name has 201 characters"),
        ("!!!", "holds '!' (EXCLAMATION MARK)"),
    ],
)
def test_a_name_of_another_build_is_told_with_an_example(
    rules: TaggingRules, name: str, message: str
) -> None:
    faults = check_name(name, rules)
    assert message in faults[0].found
    if "built" in message:
        assert faults[0].expected == "a name such as retention_email_mechanic_202612"


def test_the_example_of_the_message_is_itself_right(rules: TaggingRules) -> None:
    example = check_name("spring", rules)[0].expected.split()[-1]
    assert check_name(example, rules) == []


def test_hyphens_in_values_are_no_separators() -> None:
    rules = TaggingRules.model_validate(
        {
            "name_pattern": "crm-{channel}-{mechanic}-{yyyy}",
            "tags": {"channel": {"values": ["push", "push-web"]}, "mechanic": {"values": ["sale"]}},
        }
    )
    assert tags_of("crm-push-web-sale-2026", rules)["channel"] == "push-web"
    assert check_name("crm-push-sale-2026", rules) == []
    assert found(check_name("crm-mail-sale-2026", rules)) == ["'mail' as channel"]


NO_RULES = TaggingRules()


@pytest.mark.parametrize("name", ["", "Весна 2026!", "a" * 500])
def test_without_a_rule_there_is_no_fault(name: str) -> None:
    assert check_name(name, NO_RULES) == []
    assert check_utm(f"https://shop.example/?utm_source={name}", NO_RULES) == []
    assert tags_of(name, NO_RULES) == {}
    frame = pd.DataFrame({"campaign_id": [name]})
    assert untagged_share(frame, NO_RULES).share == 0
    assert not NO_RULES.has_rule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Весенняя распродажа", "vesennyaya-rasprodazha"),
        ("ЩУКА_объём", "shchuka_obem"),
        ("prоmо", "promo"),
        ("саle", "cale"),
        ("Été à Köln", "ete-a-koln"),
        ("  a -- b__c  ", "a-b_c"),
        ("漢字", ""),
        ("Київ", "kiiv"),
    ],
)
def test_suggestions(text: str, expected: str) -> None:
    assert suggest_name(text) == expected


@given(st.text(max_size=60))
def test_a_suggestion_is_always_writable_and_stays_as_it_is(text: str) -> None:
    offer = suggest_name(text)
    assert re.fullmatch("[a-z0-9._-]*", offer)
    assert suggest_name(offer) == offer


@given(st.text(max_size=80))
def test_no_name_breaks_the_check(text: str) -> None:
    rules = TaggingRules.model_validate(
        {"name_pattern": "{a}_{b}_{yyyymm}", "tags": {"a": {}, "b": {"values": ["x"]}}}
    )
    faults = check_name(text, rules)
    assert (faults == []) == bool(
        re.fullmatch(r"[a-z0-9]+([-.][a-z0-9]+)*_x_20[0-9]{2}(0[1-9]|1[0-2])", text)
    )


# --- experiments -------------------------------------------------------------------------------


def experiment(name: str) -> ExperimentSpec:
    return ExperimentSpec(
        name=name,
        title="t",
        hypothesis="h",
        owner="o",
        channel="email",
        starts_on=date(2026, 12, 1),
        ends_on=date(2026, 12, 20),
        arms={"a": ArmSpec(share=1.0, message="m")},
    )


def test_an_experiment_is_called_after_what_its_file_says() -> None:
    rules = TaggingRules.model_validate(
        {
            "name_pattern": "{channel}-{mechanic}-{yyyymm}",
            "tags": {"channel": {"values": ["email", "sms"]}, "mechanic": {}},
        }
    )
    assert check_experiment(experiment("email-sale-202612"), rules) == []
    faults = check_experiment(experiment("sms-sale-202611"), rules, where="experiments/x.yml")
    assert found(faults) == ["the name says channel 'sms'", "the name says yyyymm '202611'"]
    assert [fault.expected for fault in faults] == [
        "'email', as the file says",
        "'202612', as the file says",
    ]
    assert len(check_experiment(experiment("winter"), rules)) == 1


# --- links -------------------------------------------------------------------------------------


def test_a_link_by_the_rules_has_no_fault(rules: TaggingRules) -> None:
    assert check_utm(LINK + GOOD, rules, campaign=GOOD) == []
    tags = {"utm_source": "crm", "utm_medium": "email", "utm_campaign": GOOD}
    assert check_utm(tags, rules) == []


def test_every_fault_of_a_link_comes_at_once(rules: TaggingRules) -> None:
    link = "https://shop.example/?utm_source=CRM&utm_medium=sms&UTM_campaign=" + GOOD
    faults = found(check_utm(link, rules, campaign="another"))
    assert faults == [
        "the key 'UTM_campaign'",
        "utm_source 'CRM' holds 'C' (LATIN CAPITAL LETTER C), 'R' (LATIN CAPITAL LETTER R),"
        " 'M' (LATIN CAPITAL LETTER M)",
        "'CRM' as utm_source",
        f"utm_campaign '{GOOD}'",
    ]


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("https://shop.example/", "utm_source is missing"),
        ("https://shop.example/?utm_source=&utm_medium=email", "utm_source is empty"),
        (LINK + GOOD + "&utm_medium=sms", "utm_medium stands there twice: email, sms"),
        (LINK.replace("&utm_m", "&amp;utm_m") + GOOD, "the key 'amp;utm_medium'"),
        ("https://shop.example/#?" + LINK.partition("?")[2] + GOOD, "utm tags behind the #"),
        (LINK + GOOD.replace("email", "sms"), "utm_medium 'email' with the channel 'sms'"),
        (LINK + "весна", "the name 'весна' holds 'в' (CYRILLIC SMALL LETTER VE)"),
        (LINK + "spring+sale", "holds ' ' (SPACE)"),
        ("https://[shop/?utm_source=crm", "is no address"),
    ],
)
def test_faults_of_links(rules: TaggingRules, link: str, message: str) -> None:
    assert any(message in text for text in found(check_utm(link, rules))), found(
        check_utm(link, rules)
    )


# --- the share ---------------------------------------------------------------------------------


def test_untagged_activities_are_counted_with_their_faults(rules: TaggingRules) -> None:
    frame = pd.DataFrame(
        {
            "campaign_id": [GOOD, GOOD, "spring", GOOD, None, GOOD],
            "audience": ["all", None, "vip", "ALL", "all", "vip"],
            "channel": ["email", "email", None, "email", None, "sms"],
            "agency": [None, None, None, None, None, "nobody"],
        }
    )
    before = frame.copy()
    result = untagged_share(frame, rules)
    assert (result.activities, result.untagged, result.share) == (6, 5, 5 / 6)
    assert result.to_frame()["what"].tolist() == [
        "audience is missing",
        "the name 'spring' is not built like {direction}_{channel}_{mechanic}_{yyyymm}",
        "'ALL' as audience",
        "the name is empty",
        "channel is 'sms'",
        "'nobody' as agency",
    ]
    assert result.sentence() == (
        f"5 of 6 activities (83.3 %) are not tagged by the rules: {GOOD}, spring, (no name)."
    )
    assert not result.is_complete
    assert result._repr_html_()
    pd.testing.assert_frame_equal(frame, before)


def test_a_complete_base_is_said_to_be(rules: TaggingRules) -> None:
    result = untagged_share(pd.DataFrame({"campaign_id": [GOOD], "audience": ["all"]}), rules)
    assert result.is_complete
    assert result.sentence() == "All 1 activities are named and tagged by the rules."


def test_of_no_activity_the_share_is_not_known(rules: TaggingRules) -> None:
    result = untagged_share(pd.DataFrame({"campaign_id": []}), rules)
    assert result.share != result.share
    assert not result.is_complete
    assert result.sentence() == "The untagged share is not known: there is no activity."


def test_a_frame_without_names_is_refused(rules: TaggingRules) -> None:
    with pytest.raises(DesignError, match="no column 'campaign_id'"):
        untagged_share(pd.DataFrame({"name": ["a"]}), rules)


# --- the file ----------------------------------------------------------------------------------


def test_no_file_is_no_rule(tmp_path: Path) -> None:
    assert load_tagging_rules(tmp_path) == TaggingRules()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name_pattern: "{direction}_{yyyymm}"', r"holds \{direction\}, which is neither a tag"),
        ('name_pattern: "{yyyy}{yyyymm}"', "touch"),
        ('name_pattern: "{yyyy}_{yyyy}"', "the same placeholder twice"),
        ('name_pattern: "Весна_{yyyy}"', "'Весна_', which is no text"),
        ('name_pattern: "a_{yyyy"', "which is no text"),
        ("tags: {yyyymm: {}}", "called like a date"),
        (
            "tags: {channel: {values: [E-mail]}}",
            r"line 1, key 'tags\.channel.*'E-mail' is not made",
        ),
        ("utm: {medium: [email], medium_of_channel: {sms: sms}}", "names sms, which no medium is"),
        ("pattern: x", "unknown key 'pattern'"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / TAGGING_FILE).write_text(text, "utf-8")
    with pytest.raises(SpecError, match=message):
        load_tagging_rules(tmp_path)


def test_every_fault_of_a_file_comes_at_once(tmp_path: Path) -> None:
    (tmp_path / TAGGING_FILE).write_text(
        "tags: {a: {values: [A]}}\nutm: {source: [B]}\nx: 1", "utf-8"
    )
    with pytest.raises(SpecError) as caught:
        load_tagging_rules(tmp_path)
    assert len(caught.value.faults) == 3
