"""The schedule as one process in the foreground, for containers and for those without cron.

It looks at the clock again and again rather than sleeping to a moment, so that a clock that
jumps, or a machine that slept, costs nothing: what has become due is found, once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType

from crm_lab.errors import CrmLabError
from crm_lab.schedule.due import next_moment
from crm_lab.schedule.journal import write_event
from crm_lab.schedule.plan import Schedule
from crm_lab.schedule.state import OverlapError, StateFolder, utc_now

LONGEST_SLEEP_SECONDS = 30.0


class Stopping:
    """Whether this process was asked to end: once it ends after this entry, twice at once."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def __call__(self) -> bool:
        """Whether the end was asked for."""
        return self._asked.is_set()

    def ask(self, *_signal: object) -> None:
        """Ask for the end; asked again, whatever runs is interrupted."""
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._asked.set()

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until the end is asked for."""
        self._asked.wait(seconds)


@contextmanager
def stopping_on_signals() -> Iterator[Stopping]:
    """Turn SIGTERM and Ctrl-C into the question whether to stop, as long as the block lasts."""
    stopping = Stopping()

    def ask(number: int, frame: FrameType | None) -> None:
        stopping.ask()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(kw_only=True)
class Server:
    """The loop of ``crm-lab schedule serve``.

    Attributes
    ----------
    folder : StateFolder
        What is remembered.
    path : Path
        The schedule file.
    load : callable
        Reads the schedule.
    make_pass : callable
        Makes one pass over a schedule, under its lock.
    tell : callable
        Takes a line for whoever reads along.
    stopping : Stopping
        Whether to end, and the sleep that an end cuts short.
    clock : callable
        Gives the present moment in UTC.
    """

    folder: StateFolder
    path: Path
    load: Callable[[], Schedule]
    make_pass: Callable[[Schedule], None]
    tell: Callable[[str], None]
    stopping: Stopping
    clock: Callable[[], datetime] = utc_now
    _schedule: Schedule | None = field(default=None, init=False)
    _read_at: int = field(default=0, init=False)

    def serve(self) -> None:
        """Make a pass whenever something is due, until the end is asked for.

        Raises
        ------
        OverlapError
            Another process serves this workbench already.
        CrmLabError
            The schedule is wrong at the start, or what is remembered cannot be read.
        """
        with self.folder.lock(name="serve"):
            self._read_at = self._changed_at()  # first: an edit while it is read is read next
            self._schedule = self.load()
            self._log("serving")
            while not self.stopping():
                schedule = self._current_schedule()
                try:
                    self.make_pass(schedule)
                except OverlapError as busy:  # a person runs something; the next look finds it
                    self.tell(str(busy))
                self.stopping.sleep(self._pause(schedule))
            self._log("served")

    def _current_schedule(self) -> Schedule:
        assert self._schedule is not None
        changed_at = self._changed_at()
        if changed_at != self._read_at:
            self._read_at = changed_at
            try:
                self._schedule = self.load()
                self._log("schedule_changed")
            except CrmLabError as problem:  # a slip of the pen must not end the night
                self.tell(str(problem))
                self._log("schedule_broken")
        return self._schedule

    def _pause(self, schedule: Schedule) -> float:
        now = self.clock()
        states = {name: self.folder.read(name, since=now) for name in schedule.entries}
        moment = next_moment(schedule, states, now=now)
        if moment is None:
            return LONGEST_SLEEP_SECONDS
        return min(max((moment - now).total_seconds(), 1.0), LONGEST_SLEEP_SECONDS)

    def _changed_at(self) -> int:
        return self.path.stat().st_mtime_ns if self.path.exists() else -1

    def _log(self, event: str) -> None:
        write_event(self.folder.log_path, event, at=self.clock())
