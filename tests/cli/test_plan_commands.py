"""The commands about the month's plan: what they print, and one clear message for bad input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from crm_lab.cli import run
from crm_lab.workbench import Workbench

WorkbenchAt = Callable[[str], Workbench]
PLAN = (
    "month: 2024-05\ntarget: 5000000\nowner: Head of CRM\nactivities:\n"
    "  wave-1: {day: 2024-05-04, mechanic: reminder, recipients: 900, expected: 6000}\n"
    "  wave-2: {day: 2024-05-24, recipients: 1500, expected: 9000}\n"
)
BY = ("--reason", "wave 1 was weak", "--by", "Head of CRM", "--as-of", "2024-05-16")


@pytest.fixture(autouse=True)
def _in_the_shop(workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CRM_LAB_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    folder = workbench_at("drawn").settings.folder
    (folder / "experiments" / "monthly_plan.yml").write_text(PLAN, "utf-8")
    with chdir(folder):
        yield


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(arguments) == code
    out = capsys.readouterr()
    return " ".join((out.err if code else out.out).split())


def test_pacing_shows_forecast_activities_and_assumptions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = told(capsys, "plan", "pacing", "--as-of", "2024-05-01")
    assert "Is the month on plan?" in text
    assert "wave-2 (mechanic not named)" in text
    assert "The time of the year is not taken out." in text
    assert told(capsys, "plan", "pacing", "--no-levers", "--as-of", "2024-05-01")


def test_a_revision_is_written_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    done = told(capsys, "plan", "revise", "--item", "target", "--to", "4800000", *BY)
    assert "target from 5,000,000 to 4,800,000 (wave 1 was weak)" in done
    listed = told(capsys, "plan", "revisions")
    assert "Head of CRM" in listed
    assert "sound" in told(capsys, "control-group", "verify")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--item", "target", "--to", "x", *BY), "'target' cannot become x"),
        (("--item", "wave-5.day", "--to", "1", *BY), "no item 'wave-5.day'"),
        (("--item", "target", "--to", "1", "--report", "gone", *BY), "there is no report 'gone'"),
    ],
)
def test_a_wrong_revision_gives_one_message(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    text = told(capsys, "plan", "revise", *arguments, code=1)
    assert message in text
    assert text.count("Error:") == 1


def test_without_a_plan_the_command_says_what_to_write(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("experiments/monthly_plan.yml").unlink()
    assert "there is no plan of a month" in told(capsys, "plan", "pacing", code=1)
