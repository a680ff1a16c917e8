"""What the schedule remembers: one small file per entry, replaced in one step.

Everything lies in ``data/schedule`` of the workbench. A process that is killed at any moment
leaves the old file or the new one, never a part; a run that it had begun is still marked as
running, and whoever holds the lock next knows from that it was interrupted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, ValidationError

from crm_lab.errors import BusyError, ScheduleError
from crm_lab.language import message, say
from crm_lab.yaml_files import Declared

KEPT_SLOTS = 100
"""So many slots of each entry are remembered; the log goes further back."""

ItemStatus = Literal["ok", "unchanged", "failed"]
SlotStatus = Literal["running", "retry", "ok", "failed", "blocked", "missed"]
BUSY_CODE = 75
"""Exit code of a command that another process keeps from working (EX_TEMPFAIL of sysexits.h)."""

_REMEDY = message("move the file away; the entry then starts anew, from now on")


class OverlapError(BusyError):
    """Another process is at work on the same schedule."""

    exit_code = BUSY_CODE


class ItemRecord(Declared):
    """What became of one run of an entry.

    Attributes
    ----------
    key : str
        What tells it from the entry's other runs.
    status : {"ok", "unchanged", "failed"}
        How it ended; unchanged: nothing had changed since the last good run.
    run_id, page : str or None
        The run, and its page relative to the workbench.
    reason, about : str
        Code of what went wrong, and the kind of error; never its text, which may hold data.
    """

    key: str = ""
    status: ItemStatus
    run_id: str | None = None
    page: str | None = None
    reason: str = ""
    about: str = ""


class SlotRecord(Declared):
    """What became of one slot.

    Attributes
    ----------
    slot : datetime
        The moment the entry was due.
    status : str
        ``running``, ``retry`` (failed, to be tried again), ``ok``, ``failed``, ``blocked`` (an
        entry that it waits for was not good) or ``missed``.
    tries, interruptions : int
        Tries that came to an end, and tries that ended with their process.
    started_at, finished_at, not_before : datetime or None
        Of the last try; moment of the next one.
    reason, about : str
        As in :class:`ItemRecord`.
    items : tuple of ItemRecord
        What became of each run.
    alert : {"", "failure", "recovery"}
        What is still to be told.
    alert_faults : tuple of str
        Alerts that could not be delivered.
    """

    slot: AwareDatetime
    status: SlotStatus
    tries: int = 0
    interruptions: int = 0
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    not_before: AwareDatetime | None = None
    reason: str = ""
    about: str = ""
    items: tuple[ItemRecord, ...] = ()
    alert: Literal["", "failure", "recovery"] = ""
    alert_faults: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens for this slot by itself."""
        return self.status not in ("running", "retry")


class EntryState(Declared):
    """What the schedule remembers of one entry.

    Attributes
    ----------
    entry : str
        Its name.
    since : datetime
        Slots up to this moment do not count.
    slots : tuple of SlotRecord
        In the order of time.
    last_good : SlotRecord or None
        The last slot that was good.
    is_failing : bool
        Whether a failure was told and no recovery yet.
    is_off : bool
        Whether it was switched off when it was last looked at.
    waiting_slot : datetime or None
        The last slot that was seen in time and had to wait for another entry.
    """

    version: Literal[1] = 1
    entry: str
    since: AwareDatetime
    slots: tuple[SlotRecord, ...] = ()
    last_good: SlotRecord | None = None
    is_failing: bool = False
    is_off: bool = False
    waiting_slot: AwareDatetime | None = None

    @property
    def current(self) -> SlotRecord | None:
        """The newest slot."""
        return self.slots[-1] if self.slots else None

    @property
    def unfinished(self) -> SlotRecord | None:
        """The oldest slot of which something is still to come."""
        return next((record for record in self.slots if not record.is_over), None)

    @property
    def anchor(self) -> datetime:
        """The moment up to which every slot is dealt with or begun."""
        return max(self.since, self.slots[-1].slot) if self.slots else self.since

    def record_for(self, slot: datetime) -> SlotRecord | None:
        """Give what became of a slot; of the first later one where it had no turn of its own."""
        return next((record for record in self.slots if record.slot >= slot), None)

    def with_record(self, record: SlotRecord) -> EntryState:
        """Give the state with a record added, or in the place of the one for the same slot."""
        others = [item for item in self.slots if item.slot != record.slot]
        slots = sorted([*others, record], key=lambda item: item.slot)[-KEPT_SLOTS:]
        good = record if record.status == "ok" else self.last_good
        return self.model_copy(update={"slots": tuple(slots), "last_good": good})


class Heartbeat(Declared):
    """When somebody last looked at the schedule.

    Attributes
    ----------
    at : datetime
        The end of the last pass.
    by : str
        Which command it was.
    """

    at: AwareDatetime
    by: str


class StateFolder:
    """The folder of everything the schedule remembers.

    Parameters
    ----------
    folder : Path
        Usually ``data/schedule`` of the workbench; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_path = folder / "log.jsonl"

    def read(self, name: str, *, since: datetime) -> EntryState:
        """Read the state of an entry; one that has none begins at ``since``.

        Raises
        ------
        ScheduleError
            The file is broken or of another version.
        """
        path = self._path(name)
        try:
            return EntryState.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return EntryState(entry=name, since=since)
        except ValidationError as problem:
            raise ScheduleError(
                say("what the schedule remembers of '{name}' cannot be read", name=name)
                + f" ({problem.errors()[0]['msg']})",
                where=str(path),
                remedy=say(_REMEDY),
            ) from None

    def write(self, state: EntryState) -> None:
        """Keep the state of an entry."""
        self._replace(self._path(state.entry), state.model_dump_json(indent=1))

    def read_heartbeat(self) -> Heartbeat | None:
        """Give when somebody last looked; None: nobody ever."""
        path = self.folder / "heartbeat.json"
        try:
            return Heartbeat.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise ScheduleError(
                say("this file cannot be read"), where=str(path), remedy=say("remove it")
            ) from None

    def write_heartbeat(self, at: datetime, by: str) -> None:
        """Keep that somebody looked."""
        self._replace(self.folder / "heartbeat.json", Heartbeat(at=at, by=by).model_dump_json())

    @contextmanager
    def lock(self, *, wait_seconds: float = 0, name: str = "schedule") -> Iterator[None]:
        """Keep other processes from working on the schedule; freed by the system when one dies.

        Raises
        ------
        OverlapError
            Another process holds it and did not end within the wait.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.lock"
        try:
            with FileLock(path, timeout=wait_seconds):
                yield
        except Timeout:
            raise OverlapError(
                say("another process is at work on this schedule"),
                where=str(path),
                remedy=say("nothing was done; what is due is taken up by the next call"),
            ) from None

    def is_busy(self) -> bool:
        """Whether a process is at work on the schedule just now."""
        if not self.folder.is_dir():
            return False
        try:
            with self.lock():
                return False
        except OverlapError:
            return True

    def _path(self, name: str) -> Path:
        return self.folder / "entries" / f"{name}.json"

    @staticmethod
    def _replace(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def utc_now() -> datetime:
    """Give the present moment in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """Write a moment as files keep it: ``2026-11-22T05:43:14Z``."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def json_line(data: dict[str, object]) -> str:
    """Write one line of JSON."""
    return json.dumps(data, ensure_ascii=False) + "\n"
