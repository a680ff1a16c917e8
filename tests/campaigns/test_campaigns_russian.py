"""What send lists and the loopback service say in Russian."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from crm_lab.campaigns.loopback import Planted, PlantedCheck
from crm_lab.campaigns.send_lists import SendListExport, guard
from crm_lab.errors import GuardError
from crm_lab.language import using_language
from tests.russian import latin_words


def test_a_send_list_shows_its_waterfall() -> None:
    exported = SendListExport(
        campaign="spring",
        files={"letter": Path("letter.csv"), "chat": Path("chat.csv")},
        rows={"letter": 1_000, "chat": 1_345},
        sha256={},
        waterfall=(
            ("customers in the base", 3_000),
            ("without: control group", -655),
            ("assigned", 2_345),
            ("on the list", 2_345),
        ),
        controls_protected=1_200,
        was_exported=True,
    )
    with using_language("ru"):
        said, card = exported.sentence(), exported._repr_html_()
        steps = exported.card_frame()["step"].tolist()
    assert said.replace("\u00a0", " ") == (
        "Адресов 2 345, файлов 2; клиентов контрольной группы среди них 0 из 1 200 (сравнены"
        " идентификаторы и адреса). Тот же список уже выгружали."
    )
    assert steps == ["клиенты в базе", "без: контрольная группа", "распределены", "в списке"]
    assert latin_words(card) == []
    assert exported.to_frame()["step"].tolist()[1] == "without: control group"
    assert exported.card_frame().equals(exported.to_frame())


def test_planted_effects_are_said_to_be_planted() -> None:
    planted = Planted(arm="letter", effect=0.1, recipients=900, orders=12, revenue=1_234.5)
    check = PlantedCheck(
        rows=((planted, 1.5, 0.2, 2.8),), customers={"letter": 1_000}, currency="RUB"
    )
    with using_language("ru"):
        said, card = check.sentence(), check._repr_html_()
    assert said.replace("\u00a0", " ") == (
        "Эти эффекты не настоящие: имитация сервиса рассылок добавила их поверх настоящих заказов."
        " letter: заложено +1,23 ₽ на клиента, найдено +1,5 ₽ (от 0,2 до 2,8) — интервал это"
        " содержит."
    )
    assert latin_words(card, allowed=["letter"]) == []


def test_the_guard_refuses_in_russian() -> None:
    people = pd.DataFrame({"customer_id": ["a"], "address": ["a@example.org"]})
    with using_language("ru"), pytest.raises(GuardError) as caught:
        guard(people, people)
    assert str(caught.value) == (
        "список дошёл бы до клиентов контрольной группы: 1 по идентификатору, 1 по общему адресу."
        " Ожидалось: список, в котором нет никого из контрольной группы. Что делать: ничего не"
        " записано; распределите варианты заново под новым именем."
    )
