"""The clock is installed once however often it is asked for, and leaves nothing behind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from crm_lab.errors import ScheduleError
from crm_lab.schedule.installing import (
    Clock,
    read_crontab,
    remove_units,
    unit_folder,
    write_crontab,
    write_units,
)

OTHERS = "MAILTO=me\n# mine\n0 1 * * * backup\n"


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    folder = tmp_path / "my 100% shop's"
    folder.mkdir()
    return Clock(folder=folder, python=Path("/opt/a b/python"))


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crontab command that keeps its table in a file here."""
    table = tmp_path / "table"
    program = tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
if [ "$1" = -l ]; then
  if [ -f {table} ]; then exec cat {table}; fi
  echo "no crontab for somebody" >&2; exit 1
fi
[ -f {table}.refused ] && {{ echo "you may not" >&2; exit 1; }}
exec cat > {table}
""",
        "utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return table


def test_installing_twice_changes_nothing_and_removing_leaves_the_rest(clock):
    once = clock.in_crontab(OTHERS)
    assert once.startswith(OTHERS)
    assert clock.in_crontab(once) == once
    assert clock.out_of_crontab(once) == OTHERS
    assert clock.out_of_crontab(OTHERS) == OTHERS
    other = Clock(folder=clock.folder.parent)
    both = other.in_crontab(once)
    assert clock.out_of_crontab(other.out_of_crontab(both)) == OTHERS
    assert clock.in_crontab("0 1 * * * no-newline-at-the-end").count("\n") == 4


def test_the_line_survives_the_shell_and_cron(clock, tmp_path):
    line = clock.cron_block().splitlines()[1]
    minutes, command = line.split(" * * * * ", 1)
    assert minutes == "*/5"
    assert "%" not in command.replace(r"\%", "")
    shell = command.replace(r"\%", "%").split(" && ")
    shown = subprocess.run(
        ["/bin/sh", "-c", f"{shell[0]} && pwd"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == str(clock.folder)


def test_a_block_that_somebody_broke_is_not_guessed_at(clock):
    lines = clock.in_crontab(OTHERS).splitlines(keepends=True)
    for broken in (lines[:-1], [*lines, lines[-1]], [*lines[:3], lines[5], lines[4], lines[3]]):
        with pytest.raises(ScheduleError, match="crontab -e"):
            clock.in_crontab("".join(broken))


def test_the_users_crontab_is_read_and_written(clock, crontab):
    assert read_crontab() == ""
    write_crontab(clock.in_crontab(OTHERS))
    assert read_crontab() == clock.in_crontab(OTHERS)
    Path(f"{crontab}.refused").touch()
    with pytest.raises(ScheduleError, match="'crontab -' failed: you may not"):
        write_crontab("")


def test_a_machine_without_cron_says_what_else_there_is(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ScheduleError, match="schedule serve"):
        read_crontab()


def test_the_units_are_written_and_removed(clock, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    paths = write_units(clock)
    assert write_units(clock) == paths
    assert sorted(unit_folder().iterdir()) == sorted(paths)
    service, timer = (path.read_text("utf-8") for path in paths)
    assert "SuccessExitStatus=75" in service
    assert "my 100%% shop's" in service
    assert "Persistent=true" in timer
    assert remove_units(clock) == paths
    assert remove_units(clock) == ()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_itself_finds_no_fault_with_the_units(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "my 100% shop's"
    folder.mkdir()
    python = folder / "python"
    python.write_text("#!/bin/sh\n", "utf-8")
    python.chmod(0o755)
    paths = write_units(Clock(folder=folder, python=python))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in said.stderr.splitlines() if "crm-lab" in line]
    assert ours == []
