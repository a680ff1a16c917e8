"""The clock: a line of the crontab, or a systemd timer of the user, that calls ``run-due``.

Everything is written between markers or into files of its own, so that installing twice changes
nothing and uninstalling leaves the rest as it was.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from crm_lab.errors import ScheduleError
from crm_lab.language import say
from crm_lab.schedule.state import BUSY_CODE

EVERY_MINUTES = 5
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What is installed for one workbench.

    Attributes
    ----------
    folder : Path
        The workbench.
    python : Path
        The interpreter that has crm-lab.
    """

    folder: Path
    python: Path = Path(sys.executable)

    @property
    def name(self) -> str:
        """Name of the units, different for each workbench."""
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        slug = re.sub(r"[^a-z0-9]+", "-", self.folder.name.lower()).strip("-") or "workbench"
        return f"crm-lab-{slug}-{digest}"

    def cron_block(self) -> str:
        """Give the lines of the crontab, markers included."""
        begin, end = self._markers()
        log = self.folder / "data" / "schedule" / "cron.txt"
        command = (
            f"cd {shlex.quote(str(self.folder))} && "
            f"{shlex.join([str(self.python), '-m', 'crm_lab.schedule'])} "
            f">> {shlex.quote(str(log))} 2>&1"
        )
        line = f"*/{EVERY_MINUTES} * * * * {command}".replace("%", r"\%")
        return f"{begin}\n{line}\n{end}\n"

    def units(self) -> dict[str, str]:
        """Give the files of the systemd units by name."""
        folder, python = _unit_path(self.folder), _unit_word(self.python)
        return {
            f"{self.name}.service": (
                "[Unit]\n"
                f"Description=Reports that are due in {_unit_path(self.folder)}\n\n"
                "[Service]\n"
                "Type=oneshot\n"
                f"WorkingDirectory={folder}\n"
                f"ExecStart=/usr/bin/env {python} -m crm_lab.schedule\n"
                f"SuccessExitStatus={BUSY_CODE}\n"
                "KillMode=mixed\n"
                "TimeoutStopSec=30min\n"
                "Nice=5\n"
            ),
            f"{self.name}.timer": (
                "[Unit]\n"
                f"Description=Clock of the reports in {_unit_path(self.folder)}\n\n"
                "[Timer]\n"
                f"OnCalendar=*:0/{EVERY_MINUTES}\n"
                "Persistent=true\n"
                "AccuracySec=15s\n\n"
                "[Install]\n"
                "WantedBy=timers.target\n"
            ),
        }

    def _markers(self) -> tuple[str, str]:
        return (
            f"# >>> crm-lab schedule: {self.folder} >>>",
            f"# <<< crm-lab schedule: {self.folder} <<<",
        )

    def in_crontab(self, crontab: str) -> str:
        """Give a crontab with this block in it once."""
        rest = self.out_of_crontab(crontab)
        gap = "" if not rest or rest.endswith("\n") else "\n"
        return f"{rest}{gap}{self.cron_block()}"

    def out_of_crontab(self, crontab: str) -> str:
        """Give a crontab without this block.

        Raises
        ------
        ScheduleError
            One of the two markers is missing or stands twice: somebody edited between them.
        """
        begin, end = self._markers()
        lines = crontab.splitlines(keepends=True)
        words = [line.rstrip("\n") for line in lines]
        marks = [word for word in words if word in (begin, end)]
        if not marks:
            return crontab
        if marks != [begin, end]:
            raise ScheduleError(
                say("the markers of this schedule do not stand once and in order"),
                where="crontab",
                remedy=say("remove them and the line between them with: crontab -e"),
            )
        return "".join(lines[: words.index(begin)] + lines[words.index(end) + 1 :])


def read_crontab() -> str:
    """Give the user's crontab; empty where there is none."""
    done = _crontab("-l")
    if done.returncode == 0:
        return done.stdout
    if "no crontab" in done.stderr.lower():
        return ""
    raise _refused("crontab -l", done.stderr)


def write_crontab(text: str) -> None:
    """Replace the user's crontab."""
    done = _crontab("-", text)
    if done.returncode != 0:
        raise _refused("crontab -", done.stderr)


def unit_folder() -> Path:
    """Give the folder of the user's systemd units."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "systemd" / "user"


def write_units(clock: Clock) -> tuple[Path, ...]:
    """Write the units; those that are there already are replaced."""
    folder = unit_folder()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in clock.units().items():
        path = folder / name
        temporary = path.with_name(f".{name}.tmp")
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
        paths.append(path)
    return tuple(paths)


def remove_units(clock: Clock) -> tuple[Path, ...]:
    """Remove the units that are there."""
    paths = [unit_folder() / name for name in clock.units()]
    found = tuple(path for path in paths if path.exists())
    for path in found:
        path.unlink()
    return found


def _crontab(argument: str, text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["crontab", argument],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
            env=os.environ | {"LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise ScheduleError(
            say("there is no command crontab on this machine"),
            remedy=say("install cron, or use --systemd, or run: crm-lab schedule serve"),
        ) from None


def _refused(command: str, said: str) -> ScheduleError:
    return ScheduleError(say("'{command}' failed", command=command) + f": {said.strip()}")


def _unit_path(path: Path) -> str:
    return str(path).replace("%", "%%")


def _unit_word(path: Path) -> str:
    text = _unit_path(path).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"'
