"""The schedule of one workbench: everything that the commands do, as methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from crm_lab.errors import CrmLabError
from crm_lab.language import say
from crm_lab.schedule.alerts import Alert, send_alert
from crm_lab.schedule.due import decisions
from crm_lab.schedule.journal import read_events, write_event
from crm_lab.schedule.passes import Done, RunItems, SchedulePass
from crm_lab.schedule.plan import SCHEDULE_FILE, Schedule, load_schedule
from crm_lab.schedule.runs import ReportRuns, check_reports
from crm_lab.schedule.serving import Server, Stopping
from crm_lab.schedule.state import EntryState, StateFolder, utc_now
from crm_lab.schedule.wording import done_sentence
from crm_lab.settings import Settings

if TYPE_CHECKING:
    from crm_lab.schedule.overview import DueNow, PlannedEntries, ScheduleHistory, ScheduleStatus
    from crm_lab.schedule.retention import Pruning

# Tables need pandas and retention the gateway: imported where they are used, since the clock
# calls run_due every few minutes and mostly for nothing.

_WAIT_SECONDS = 0.5
"""Long enough for a look of ``status``, far too short for a pass."""


def _silent(line: str) -> None:
    """Tell nobody."""


@dataclass(kw_only=True)
class ScheduleKeeper:
    """The schedule of one workbench.

    Attributes
    ----------
    settings : Settings
        Of the workbench.
    tell : callable
        Takes a line for whoever reads along.
    clock : callable
        Gives the present moment in UTC.
    run_items : RunItems, optional
        What makes the runs; by default reports of the workbench.
    """

    settings: Settings
    tell: Callable[[str], None] = _silent
    clock: Callable[[], datetime] = utc_now
    run_items: RunItems | None = None

    @property
    def folder(self) -> StateFolder:
        """What the schedule remembers."""
        return StateFolder(self.settings.folder / "data" / "schedule")

    def load(self) -> Schedule:
        """Read the schedule."""
        return load_schedule(self.settings.folder, timezone=self.settings.timezone)

    def check(self, *, count: int = 5) -> PlannedEntries:
        """Check the whole schedule against the notebooks, and give what runs next."""
        schedule = self.load()
        check_reports(schedule, self.settings.folder, now=self.clock())
        return self.planned(count=count)

    def planned(self, *, count: int = 1) -> PlannedEntries:
        """Give every entry with its next slots."""
        from crm_lab.schedule.overview import planned

        return planned(self.load(), now=self.clock(), count=count)

    def due(self) -> DueNow:
        """Give what is due now and why; nothing is changed."""
        from crm_lab.schedule.overview import DueNow

        schedule = self.load()
        now = self.clock()
        return DueNow(
            decisions=decisions(schedule, self._states(schedule, now), now=now),
            zones={name: entry.timing.zone for name, entry in schedule.entries.items()},
        )

    def run_due(
        self,
        *,
        schedule: Schedule | None = None,
        stopping: Callable[[], bool] | None = None,
        wait_seconds: float = _WAIT_SECONDS,
        by: str = "run-due",
    ) -> tuple[Done, ...]:
        """Run what is due.

        Parameters
        ----------
        schedule : Schedule, optional
            By default the one of the workbench, read now.
        stopping : callable, optional
            Whether this process was asked to end.
        wait_seconds : float
            How long to wait for another process that is at work.
        by : str
            Who looks, for the heartbeat.

        Raises
        ------
        OverlapError
            Another process is at work.
        ScheduleError
            The schedule is wrong, or what is remembered cannot be read.
        """
        chosen = schedule or self.load()
        with self.folder.lock(wait_seconds=wait_seconds):
            done = self._pass(chosen, stopping).run_due()
            for item in done:
                self.tell(done_sentence(chosen.entry(item.entry), item.record))
            self.folder.write_heartbeat(self.clock(), by)
            if chosen.retention.automatic and any(item.record.items for item in done):
                self._prune_after(chosen)
        return done

    def run_now(
        self,
        name: str,
        *,
        is_forced: bool = False,
        stopping: Callable[[], bool] | None = None,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> Done | None:
        """Run one entry for its latest slot, whatever it waits for; None: asked to stop.

        Parameters
        ----------
        name : str
            Its name.
        is_forced : bool
            Whether to run also where nothing has changed since the last good run.
        stopping : callable, optional
            Whether this process was asked to end.
        wait_seconds : float
            How long to wait for another process that is at work.

        Raises
        ------
        OverlapError
            Another process is at work.
        ScheduleError
            There is no such entry.
        """
        schedule = self.load()
        schedule.entry(name)
        with self.folder.lock(wait_seconds=wait_seconds):
            done = self._pass(schedule, stopping, is_forced=is_forced).run_now(name)
        if done is not None:
            self.tell(done_sentence(schedule.entry(name), done.record))
        return done

    def status(self) -> ScheduleStatus:
        """Give how every entry stands."""
        from crm_lab.schedule.overview import standing

        schedule = self.load()
        now = self.clock()
        return standing(
            schedule,
            self._states(schedule, now),
            now=now,
            heartbeat=self.folder.read_heartbeat(),
            is_busy=self.folder.is_busy(),
        )

    def history(self, name: str | None = None, *, count: int = 20) -> ScheduleHistory:
        """Give the newest events of the log, of one entry where it is named."""
        from crm_lab.schedule.overview import history

        if name is not None:
            self.load().entry(name)
        return history(read_events(self.folder.log_path), entry=name, count=count)

    def prune(self, *, schedule: Schedule | None = None, is_done: bool) -> Pruning:
        """Remove the runs that retention does not keep, or say which they are."""
        from crm_lab.schedule.retention import prune
        from crm_lab.workbench import open_workbench

        chosen = schedule or self.load()
        folder = self.settings.folder
        names = (None, *self.settings.declared.other_bases)
        bases = [open_workbench(folder, gateway=name) for name in names]
        pruning = prune(
            self.settings.reports_folder,
            # a base of which nothing was imported yet has no ledger
            [base.gateway for base in bases if base.settings.gateway_folder.is_dir()],
            chosen.retention,
            now=self.clock(),
            is_done=is_done,
        )
        if is_done and pruning.removed:
            runs = len(pruning.removed)
            write_event(self.folder.log_path, "pruned", at=self.clock(), removed=runs)
        return pruning

    def _prune_after(self, schedule: Schedule) -> None:
        """Remove old runs; where that cannot be done, what was run is not lost with it."""
        try:
            self.tell(self.prune(schedule=schedule, is_done=True).sentence())
        except (CrmLabError, OSError) as problem:
            self.tell(say("Old runs could not be removed: {why}", why=problem))
            fault = type(problem).__name__
            write_event(self.folder.log_path, "prune_failed", at=self.clock(), fault=fault)

    def serve(self, stopping: Stopping) -> None:
        """Run what is due, whenever it is due, until the end is asked for."""

        def make_pass(schedule: Schedule) -> None:
            self.run_due(schedule=schedule, stopping=stopping, by="serve")

        self.tell(say("Serving the schedule of {folder}.", folder=self.settings.folder))
        Server(
            folder=self.folder,
            path=self.settings.folder / SCHEDULE_FILE,
            load=self.load,
            make_pass=make_pass,
            tell=self.tell,
            stopping=stopping,
            clock=self.clock,
        ).serve()
        self.tell(say("Ended."))

    def _pass(
        self,
        schedule: Schedule,
        stopping: Callable[[], bool] | None,
        *,
        is_forced: bool = False,
    ) -> SchedulePass:
        def send(alert: Alert) -> tuple[str, ...]:
            return send_alert(alert, schedule.alerts, folder=self.settings.folder)

        made = SchedulePass(
            schedule=schedule,
            folder=self.folder,
            run_items=self.run_items
            or ReportRuns(
                folder=self.settings.folder,
                tell=self.tell,
                jobs=schedule.jobs,
                is_forced=is_forced,
            ),
            send=send,
            company=self.settings.company,
            clock=self.clock,
        )
        if stopping is not None:
            made.should_stop = stopping
        return made

    def _states(self, schedule: Schedule, now: datetime) -> dict[str, EntryState]:
        return {name: self.folder.read(name, since=now) for name in schedule.entries}
