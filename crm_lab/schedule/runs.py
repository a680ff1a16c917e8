"""From an entry of the schedule to published pages, and the check that it can be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crm_lab.errors import BusyError, CrmLabError, Fault, ReportError, ScheduleError
from crm_lab.schedule.plan import Entry, Item, Schedule
from crm_lab.schedule.slots import slots_after
from crm_lab.schedule.state import ItemRecord
from crm_lab.schedule.wording import item_sentence
from crm_lab.yaml_files import place

if TYPE_CHECKING:
    from crm_lab.publishing import ReportRequest, RunOptions
    from crm_lab.reports import RunRecord
    from crm_lab.workbench import Workbench

Tell = Callable[[str], None]
_SHORT_WAIT = 1.0
"""Seconds for a report that had been waited for already."""

# The workbench and papermill take seconds to import, and most passes find nothing to run: they
# are imported where they are used.


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRuns:
    """Makes the runs of an entry as reports of a workbench.

    Attributes
    ----------
    folder : Path
        The workbench.
    tell : callable
        Takes a line for whoever reads along.
    jobs : int
        Runs at the same time.
    is_forced : bool
        Whether to run also where nothing has changed since the last good run.
    """

    folder: Path
    tell: Tell
    jobs: int = 1
    is_forced: bool = False

    def __call__(
        self, entry: Entry, items: Sequence[Item], done: Callable[[ItemRecord], None]
    ) -> None:
        """Make the runs, one page each, and tell of each how it ended."""
        from crm_lab.publishing import RunOptions, run_batch
        from crm_lab.workbench import open_workbench

        # a run of the same report that a person has started is waited for
        options = RunOptions(wait_seconds=entry.timeout_seconds, is_forced=self.is_forced)
        accepted: list[tuple[Item, ReportRequest]] = []
        left = {item.key: item for item in items}

        def end(record: ItemRecord) -> None:
            del left[record.key]
            self.tell(item_sentence(entry.name, record))
            done(record)

        try:
            workbench = open_workbench(self.folder, gateway=entry.gateway)
            for item in items:
                try:
                    accepted.append((item, _request(workbench, entry, item)))
                except ReportError as problem:  # the other runs of the entry are made
                    self.tell(f"{entry.name}: {problem}")
                    end(_refusal(item, "refused", problem))
            items_of = {id(request): item for item, request in accepted}
            try:
                run_batch(
                    [request for _, request in accepted],
                    jobs=self.jobs,
                    options=options,
                    on_done=lambda request, record: end(
                        _item_record(items_of[id(request)], record, self.folder)
                    ),
                )
            except BusyError:  # of one run; the others are made without it
                open_still = [pair for pair in accepted if pair[0].key in left]
                self._run_each(open_still, replace(options, wait_seconds=_SHORT_WAIT), end)
        except CrmLabError as problem:  # what this entry needs; the others have their turn
            self.tell(f"{entry.name}: {problem}")
            for item in list(left.values()):
                end(_refusal(item, "unavailable", problem))

    def _run_each(
        self,
        accepted: Sequence[tuple[Item, ReportRequest]],
        options: RunOptions,
        end: Callable[[ItemRecord], None],
    ) -> None:
        """Make the runs one after another: one that cannot be had stops no other."""
        from crm_lab.publishing import run_batch

        for item, request in accepted:
            try:
                batch = run_batch([request], jobs=1, options=options)
            except BusyError as problem:
                end(_refusal(item, "unavailable", problem))
            else:
                end(_item_record(item, batch.runs[0], self.folder))


def check_reports(schedule: Schedule, folder: Path, *, now: datetime) -> None:
    """Check every entry against the notebooks: the report exists and takes these parameters.

    Parameters
    ----------
    schedule : Schedule
        The entries; days in words are those of each entry's next slot.
    folder : Path
        The workbench.
    now : datetime
        The time.

    Raises
    ------
    ScheduleError
        With every fault of every entry, each with its line and key.
    """
    from crm_lab.publishing import find_notebook
    from crm_lab.reports import check_parameters, declared_parameters
    from crm_lab.workbench import open_workbench

    faults: dict[Fault, None] = {}
    for entry in schedule.entries.values():
        key = "report"
        try:
            workbench = open_workbench(folder, gateway=entry.gateway)
            declared = declared_parameters(find_notebook(workbench, entry.report))
            key = "parameters" if entry.parameters or not entry.each else "each"
            for item in entry.items(next(slots_after(entry.timing, now), now)):
                check_parameters(declared, item.parameters)
        except ReportError as problem:
            where = place(schedule.path, schedule.data, ("entries", entry.name, key))
            for fault in problem.faults:
                faults[replace(fault, where=where)] = None
    if faults:
        raise ScheduleError(list(faults))


def _request(workbench: Workbench, entry: Entry, item: Item) -> ReportRequest:
    from crm_lab.publishing import report_request

    return report_request(
        workbench,
        entry.report,
        item.parameters,
        title=item.title,
        title_parts=[item.key] if item.key and item.title is None else (),
        gateway=entry.gateway,
        timeout_seconds=entry.timeout_seconds,
    )


def _refusal(item: Item, reason: str, problem: CrmLabError) -> ItemRecord:
    return ItemRecord(key=item.key, status="failed", reason=reason, about=type(problem).__name__)


def _item_record(item: Item, record: RunRecord, folder: Path) -> ItemRecord:
    from crm_lab.reports.manifest import MANIFEST_NAME, read_manifest

    manifest = read_manifest(record.folder / MANIFEST_NAME)
    error = manifest.error if manifest else None
    return ItemRecord(
        key=item.key,
        status=record.status,
        run_id=record.run_id,
        page=record.html.relative_to(folder).as_posix(),
        reason="" if record.is_good else error.reason if error else "error",
        about="" if record.is_good or error is None else error.type,
    )
