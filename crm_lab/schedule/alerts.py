"""Telling people that an entry failed, and that it works again.

An alert names the entry, the slot and what kind of thing went wrong; never the text of an error,
which may hold data of customers, and never an address that may hold a secret.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

from crm_lab.language import say
from crm_lab.schedule.declared import AlertDeclared, AlertEvent
from crm_lab.schedule.state import json_line

_VARIABLE_PREFIX = "CRM_LAB_ALERT_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What is told.

    Attributes
    ----------
    event : {"failure", "recovery"}
        Which of the two.
    text : str
        One sentence.
    company, entry, report : str
        Whose schedule, which entry, which kind of report.
    slot, at : str
        The slot and the present moment, in UTC.
    status, reason, about : str
        As the schedule remembers them.
    page : str
        Page of the run, relative to the workbench; empty where there is none.
    """

    event: Literal["failure", "recovery"]
    text: str
    company: str
    entry: str
    report: str
    slot: str
    at: str
    status: str
    reason: str = ""
    about: str = ""
    page: str = ""


Send = Callable[[Alert], tuple[str, ...]]


def send_alert(alert: Alert, ways: Sequence[AlertDeclared], *, folder: Path) -> tuple[str, ...]:
    """Tell everybody who wants to know; an alert that cannot be delivered never stops the others.

    Parameters
    ----------
    alert : Alert
        What is told.
    ways : sequence of AlertDeclared
        The ways, as declared.
    folder : Path
        The workbench.

    Returns
    -------
    tuple of str
        One sentence for each alert that could not be delivered.
    """
    faults = []
    for number, way in enumerate(ways, start=1):
        event: AlertEvent = alert.event
        if event not in way.on:
            continue
        fault = _send(alert, way, folder)
        if fault:
            faults.append(say("alert {number} ({way}): {fault}", number=number, **fault))
    return tuple(faults)


def _send(alert: Alert, way: AlertDeclared, folder: Path) -> dict[str, str]:
    if way.file is not None:
        return _named("file", _append(alert, folder / way.file))
    if way.command is not None:
        return _named("command", _run_command(alert, way.command, folder, way.timeout))
    address = way.webhook
    if way.webhook_variable is not None:
        address = os.environ.get(way.webhook_variable, "")
        if not address.startswith(("http://", "https://")):
            text = say("{name} holds no http(s) address", name=way.webhook_variable)
            return _named("webhook", text)
    return _named("webhook", _post(alert, str(address), way.timeout))


def _named(way: str, fault: str) -> dict[str, str]:
    return {"way": way, "fault": fault} if fault else {}


def _append(alert: Alert, path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json_line(asdict(alert)) if path.suffix == ".jsonl" else _line(alert))
    except (OSError, ValueError) as problem:  # a name with a NUL is a ValueError
        return _why(problem)
    return ""


def _line(alert: Alert) -> str:
    return f"{alert.at}  {alert.text}\n"


def _run_command(alert: Alert, command: Sequence[str], folder: Path, timeout: float) -> str:
    facts = {f"{_VARIABLE_PREFIX}{name.upper()}": value for name, value in asdict(alert).items()}
    try:
        process = subprocess.Popen(
            list(command),
            env=os.environ | facts,
            cwd=folder,
            text=True,
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as problem:  # an argument with a NUL is a ValueError
        return say("cannot be started ({why})", why=_why(problem))
    with process:
        try:
            process.communicate(alert.text + "\n", timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            return say("no end within {seconds} seconds", seconds=f"{timeout:g}")
        except BaseException:
            _kill(process)
            raise
    return say("exit code {code}", code=process.returncode) if process.returncode else ""


def _kill(process: subprocess.Popen[str]) -> None:
    """End a command with all that it has started."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _why(problem: OSError | ValueError) -> str:
    return str(getattr(problem, "strerror", None) or problem)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is a fault: what is posted goes to the declared address or nowhere."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None


def _post(alert: Alert, address: str, timeout: float) -> str:
    request = urllib.request.Request(  # an http(s) address, checked where it is declared
        address,
        data=json.dumps(asdict(alert), ensure_ascii=False).encode(),
        headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": "crm-lab"},
        method="POST",
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout):
            return ""
    except urllib.error.HTTPError as problem:
        with problem:
            return say("answered {code}", code=f"{problem.code} {_phrase(problem.code)}".strip())
    except TimeoutError:
        return say("no answer within {seconds} seconds", seconds=f"{timeout:g}")
    except urllib.error.URLError as problem:
        if isinstance(problem.reason, TimeoutError):
            return say("no answer within {seconds} seconds", seconds=f"{timeout:g}")
        return say("cannot be reached")
    except (OSError, HTTPException, ValueError):  # a broken answer, or an address that is none
        return say("cannot be reached")


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return ""
