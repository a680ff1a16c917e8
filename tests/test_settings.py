"""Settings are checked whole, and the folder is found from wherever one works."""

from __future__ import annotations

import pytest

from crm_lab.errors import SettingsError
from crm_lab.settings import SETTINGS_FILE, load_settings

GOOD = """\
company: Кофейня
currency: RUB
timezone: Europe/Moscow
gateway: data/gateway
other_bases:
  grocery: {gateway: data/grocery, currency: USD, note: from elsewhere}
  sister: {gateway: data/sister}
"""


def write(folder, text):
    (folder / SETTINGS_FILE).write_text(text, "utf-8")
    return folder


@pytest.fixture(autouse=True)
def no_home(monkeypatch):
    monkeypatch.delenv("CRM_LAB_HOME", raising=False)


def test_settings_are_read_and_defaults_filled_in(tmp_path):
    settings = load_settings(write(tmp_path, GOOD))
    assert (settings.company, settings.currency, settings.timezone) == (
        "Кофейня",
        "RUB",
        "Europe/Moscow",
    )
    assert settings.gateway_folder == tmp_path / "data" / "gateway"
    assert settings.maps_folder == tmp_path / "maps"
    assert settings.declared.threads == 2
    assert not settings.declared.is_demonstration
    folders = (
        settings.experiments_folder,
        settings.lists_folder,
        settings.reports_folder,
        settings.notebooks_folder,
    )
    assert [folder.name for folder in folders] == ["experiments", "lists", "reports", "notebooks"]


def test_other_bases_change_what_they_give_and_keep_the_rest(tmp_path):
    write(tmp_path, GOOD)
    grocery = load_settings(tmp_path, gateway="grocery")
    assert grocery.gateway_folder == tmp_path / "data" / "grocery"
    assert (grocery.company, grocery.currency, grocery.declared.note) == (
        "Кофейня",
        "USD",
        "from elsewhere",
    )
    sister = load_settings(tmp_path, gateway="sister")
    assert (sister.company, sister.currency, sister.declared.note) == ("Кофейня", "RUB", "")
    folder = load_settings(tmp_path, gateway="elsewhere/gateway")
    assert folder.gateway_folder == tmp_path / "elsewhere" / "gateway"
    assert folder.currency == "RUB"


def test_the_folder_is_found_upward_or_by_the_environment(tmp_path, monkeypatch):
    write(tmp_path, GOOD)
    deep = tmp_path / "notebooks" / "mine"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert load_settings().folder == tmp_path
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("CRM_LAB_HOME", str(write(other, "currency: EUR\n")))
    assert load_settings().currency == "EUR"
    assert load_settings(tmp_path).currency == "RUB"


def test_a_folder_that_is_no_workbench_is_named(tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match=r"holds no crm-lab\.yml.*crm-lab init"):
        load_settings(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SettingsError, match=r"no crm-lab\.yml in .* or above it.*crm-lab init my-shop"
    ):
        load_settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "curency: RUB\n",
            r"line 1, key 'curency': unknown key 'curency'; did you mean 'currency'",
        ),
        ("company: a\ncurrency: rub\n", "line 2, key 'currency': 'rub' is not a currency code"),
        ("timezone: Moscow\n", "line 1, key 'timezone': unknown time zone 'Moscow'"),
        ("timezone: ''\n", "unknown time zone ''"),
        ("timezone: ../etc/passwd\n", "unknown time zone"),
        ("threads: 0\n", "greater than or equal to 1"),
        ("threads: many\n", "found 'many'.*valid integer"),
        ("language: de\n", "found 'de'.*'en'"),
        ("currency: RUB\ncurrency: USD\n", "line 2: found duplicate key .currency"),
        (
            "other_bases: {a: {currency: USD}}\n",
            r"line 1, key 'other_bases\.a': the key 'gateway' is missing",
        ),
        (
            "other_bases:\n  a: {gateway: x, threads: 3}\n",
            r"line 2, key 'other_bases\.a\.threads': unknown key",
        ),
        ("other_bases: [a]\n", "line 1, key 'other_bases'"),
        ("", "the file is empty"),
        ("just words\n", "the top level is a"),
    ],
)
def test_faults_of_settings(tmp_path, text, message):
    write(tmp_path, text)
    with pytest.raises(SettingsError, match=message):
        load_settings(tmp_path)


def test_all_faults_come_at_once(tmp_path):
    write(tmp_path, "currency: rubles\ntimezone: Moscow\nthreads: -1\ncolour: red\n")
    with pytest.raises(SettingsError, match="colour") as caught:
        load_settings(tmp_path)
    lines = sorted(fault.where.split(", ")[1] for fault in caught.value.faults)
    assert lines == ["line 1", "line 2", "line 3", "line 4"]
