"""The command in Russian: help, mistakes, refusals; and how the language is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir, nullcontext
from pathlib import Path

import click
import pytest

from crm_lab.cli import commands, run
from crm_lab.cli.spoken import Command, confirm
from crm_lab.language import LANGUAGE_VARIABLE, current_language, using_language
from tests.russian import latin_words

SETTINGS = "company: Магазин\ncurrency: RUB\ntimezone: UTC\nlanguage: {language}\n"
WORDS = (
    "OPTIONS",
    "COMMAND",
    "ARGS",
    "YYYY",
    "NAME",
    "FILE",
    "FOLDER",
    "MAP_FILE",
    "TILL_FILE",
    "Chromium",
    "Excel",
    "PDF",
    "BI",
    "cron",
    "systemd",
)
"""What help writes in Latin letters: names of arguments, formats and programs."""


@pytest.fixture(autouse=True)
def _in_the_test_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CRM_LAB_HOME", raising=False)
    monkeypatch.delenv(LANGUAGE_VARIABLE, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    with chdir(tmp_path):
        yield


def every_command(
    command: click.Command = commands, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, name
            yield from every_command(child, (*path, name))


OWN = [
    path
    for path, _ in every_command()
    if path[:1] and path[0] in ("control-group", "experiment", "plan", "init", "import", "status")
]


@pytest.mark.parametrize("path", OWN, ids=" ".join)
def test_help_is_russian(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--language", "ru", *path, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Вызов: crm-lab ")
    assert "Показать эту справку и выйти." in told
    about = told.split("Параметры:")[0].split("\n", 1)[1]
    assert any("а" <= letter <= "я" for letter in about)
    assert current_language() == "en"


def test_help_stays_english_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["experiment", "decide", "--help"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[0].startswith("Usage: crm-lab experiment decide [OPTIONS] NAME")
    assert "  --by TEXT           Who decides.  [required]" in told.splitlines()


def test_groups_list_their_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--language", "ru", "control-group", "--help"]) == 0
    told = capsys.readouterr().out
    assert "Команды:" in told
    assert "  audit   Показать, кто из контрольной группы всё же затронут" in told
    assert latin_words(told.split("Команды:")[0], allowed=WORDS) == ["control-group", "help"]


def test_every_command_can_speak() -> None:
    """A plain command of click would show its help in English in every language."""
    silent = [path for path, command in every_command() if not isinstance(command, Command)]
    assert silent == []


def test_the_environment_chooses_before_the_workbench(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "crm-lab.yml").write_text(SETTINGS.format(language="ru"), "utf-8")
    assert run(["--help"]) == 0
    assert "Вызов:" in capsys.readouterr().out
    monkeypatch.setenv(LANGUAGE_VARIABLE, "en")
    assert run(["--help"]) == 0
    assert "Usage:" in capsys.readouterr().out
    assert run(["--language", "ru", "--help"]) == 0
    assert "Вызов:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plan", "revise"], "Ошибка: Не задан параметр '--item'."),
        (["init"], "Ошибка: Не задан аргумент 'FOLDER'."),
        (["init", "--nothing"], "Ошибка: Нет параметра '--nothing'."),
        (
            ["control-group", "draw", "--share", "2"],
            "Ошибка: Неверное значение для '--share': 2 не между 0 и 1 (100 %)",
        ),
        (
            ["control-group", "status", "--as-of", "02.10.2026"],
            "Ошибка: Неверное значение для '--as-of': '02.10.2026' — не день вида 2026-10-02.",
        ),
        (
            ["experiment", "status", "--to", "open"],
            "Ошибка: Неверное значение для '--to': Неизвестно: 'open'. Возможно: draft, approved,"
            " running, closed.",
        ),
        (
            ["experiment", "design", "--weeks", "many"],
            "Ошибка: Неверное значение для '--weeks': 'many' — не целое число.",
        ),
        (
            ["experiment", "design", "--weeks", "200"],
            "Ошибка: Неверное значение для '--weeks': 200 вне пределов 1<=x<=104.",
        ),
        (["init", "--langage"], "Ошибка: Нет параметра '--langage'."),
        (
            ["report", "run", "base", "--titel"],
            "Ошибка: Нет параметра '--titel'. Может быть, --title?",
        ),
        (["experiment", "list", "все"], "Ошибка: Лишние аргументы: все."),
        (["experiment", "lst"], "Ошибка: Нет команды 'lst'. Может быть, list?"),
        (
            ["experiment", "decide", "зима"],
            "Ошибка: Не задан аргумент '{ship|stop|continue|cannot conclude}'. Возможно: ship,"
            " stop, continue, cannot conclude.",
        ),
        (
            ["experiment", "status", "--to", "closed"],
            "Ошибка: для --to нужны NAME эксперимента и --by",
        ),
    ],
)
def test_mistakes_are_told_in_russian(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "crm-lab.yml").write_text(SETTINGS.format(language="ru"), "utf-8")
    (tmp_path / "experiments").mkdir()
    assert run(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == told
    assert any(line.startswith(f"Справка: «crm-lab {arguments[0]}") for line in lines)


@pytest.mark.parametrize(
    ("typed", "is_yes"),
    [("да", True), ("Д", True), ("y", True), ("нет", False), ("", False), ("что\nyes", True)],
)
def test_a_question_takes_yes_and_no_in_both_languages(
    typed: str, is_yes: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(typed.split("\n"))
    asked = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return next(answers)

    monkeypatch.setattr("click.termui.visible_prompt_func", answer)
    with using_language("ru"), nullcontext() if is_yes else pytest.raises(click.Abort):
        confirm("Отобрать?")
    assert "Отобрать? [д/Н]" in "".join(asked) + capsys.readouterr().out


def test_a_refusal_is_told_in_russian(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--language", "ru", "init", "магазин"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Рабочая папка создана: ")
    assert "откройте crm-lab.yml и maps/orders.yml" in told
    assert run(["--language", "ru", "init", "магазин"]) == 1
    assert capsys.readouterr().err == "Ошибка: магазин — уже рабочая папка.\n"


def test_a_new_workbench_is_russian_from_its_settings_to_its_notebooks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "магазин"
    assert run(["--language", "ru", "init", str(folder)]) == 0
    assert "language: ru" in (folder / "crm-lab.yml").read_text("utf-8")
    notebook = (folder / "notebooks" / "03_aa_calibration.ipynb").read_text("utf-8")
    assert r"language: Literal[\"en\", \"ru\"] = \"ru\"  # язык страницы" in notebook
    capsys.readouterr()
    with chdir(folder):
        assert run(["report", "params", "aa_calibration"]) == 0
    said = capsys.readouterr().out
    assert "длина окна" in said
    assert "control_share" in said  # names of parameters are typed, not read
