"""One pass over the schedule: whatever is due is run, in order, and what came of it is kept.

Every step is kept before and after it is taken, so that a pass that is killed at any moment is
taken up by the next one: a run that had begun is repeated, an alert that was due is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from crm_lab.schedule.alerts import Alert, Send
from crm_lab.schedule.due import Decision, decisions, slots_until
from crm_lab.schedule.journal import write_event
from crm_lab.schedule.plan import Entry, Item, Schedule
from crm_lab.schedule.slots import latest_slot
from crm_lab.schedule.state import (
    EntryState,
    ItemRecord,
    SlotRecord,
    StateFolder,
    stamp,
    utc_now,
)
from crm_lab.schedule.wording import alert_sentence

NOT_GOOD = 3
"""Exit code where something failed or is blocked."""
MAX_INTERRUPTIONS = 3
"""A slot whose process ended so often in the middle of it is given up as failed."""
CLOCK_BACK = timedelta(days=1)
"""What is remembered from further ahead than this is taken for the work of a wrong clock."""


class RunItems(Protocol):
    """What makes the runs of an entry and tells each when it is done."""

    def __call__(
        self, entry: Entry, items: Sequence[Item], done: Callable[[ItemRecord], None]
    ) -> None:
        """Make the runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a pass did about one slot.

    Attributes
    ----------
    entry : str
        Name of the entry.
    record : SlotRecord
        What became of the slot.
    """

    entry: str
    record: SlotRecord

    @property
    def is_good(self) -> bool:
        """Whether it was run and is good, or was left out as the schedule says."""
        return self.record.status in ("ok", "missed") and not self.record.alert_faults


def exit_code(done: Sequence[Done]) -> int:
    """Give the exit code of a command that did this: 0, or 3 where something is not good."""
    return 0 if all(item.is_good for item in done) else NOT_GOOD


def _never() -> bool:
    return False


@dataclass(kw_only=True)
class SchedulePass:
    """One pass over a schedule; the caller holds the lock of the folder.

    Attributes
    ----------
    schedule : Schedule
        The entries.
    folder : StateFolder
        What is remembered.
    run_items : RunItems
        What makes the runs.
    send : Send
        What delivers alerts.
    company : str
        Named in alerts.
    clock : callable
        Gives the present moment in UTC.
    should_stop : callable
        Whether this process was asked to end; asked between runs.
    """

    schedule: Schedule
    folder: StateFolder
    run_items: RunItems
    send: Send
    company: str = ""
    clock: Callable[[], datetime] = utc_now
    should_stop: Callable[[], bool] = _never
    states: dict[str, EntryState] = field(default_factory=dict)

    def run_due(self) -> tuple[Done, ...]:
        """Do everything that is due; also what becomes due meanwhile, once for each entry."""
        begun = self.clock()
        self._take_up(begun)
        finished: list[Done] = []
        taken: set[str] = set()
        while not self.should_stop():
            found = decisions(
                self.schedule, self.states, now=self.clock(), looking_since=begun, taken=taken
            )
            for item in found:
                if item.action == "wait":
                    self._see_waiting(item)
            left_out = [item for item in found if item.action in ("miss", "block")]
            for item in left_out:
                finished += self._give_up_older(item.entry, item.slot)
                finished.append(self._leave_out(item))
            if left_out:
                continue  # others may wait for what was left out
            decision = next((item for item in found if item.action == "run"), None)
            if decision is None:
                break
            if decision.slot > begun:
                taken.add(decision.entry)
            finished += self._give_up_older(decision.entry, decision.slot)
            done = self._run(
                decision.entry, decision.slot, decision.why, passed_over=decision.passed_over
            )
            if done is not None:
                finished.append(done)
        return tuple(finished)

    def run_now(self, name: str) -> Done | None:
        """Run one entry for its latest slot, whatever it waits for; None: asked to stop.

        With ``catch_up: all`` the slots before it stay to be made up for.
        """
        now = self.clock()
        entry = self.schedule.entry(name)
        self._take_up(now)
        slot = latest_slot(entry.timing, now) or now
        state = self.states[name]
        if entry.catch_up == "all" and entry.enabled:
            for missed in slots_until(entry, state.anchor, now):
                state = state.with_record(SlotRecord(slot=missed, status="retry"))
        # a new beginning for this slot
        self._keep(state.with_record(SlotRecord(slot=slot, status="retry")))
        self._give_up_older(name, slot)
        return self._run(name, slot, "by_hand", may_retry=False)

    def _take_up(self, now: datetime) -> None:
        """Read what is remembered and put right what a killed process or a wrong clock left."""
        for name, entry in self.schedule.entries.items():
            state = before = self.folder.read(name, since=now)
            if state.anchor > now + CLOCK_BACK:
                slots = tuple(record for record in state.slots if record.slot <= now)
                state = state.model_copy(update={"slots": slots, "since": now})
                self._log("clock_back", entry=name)
            if entry.enabled == state.is_off:
                update = {"is_off": not entry.enabled, "since": max(state.since, now)}
                state = self._without_unfinished(state.model_copy(update=update), now)
            record = next((item for item in state.slots if item.status == "running"), None)
            if record is None:
                if state is not before or state.since == now:
                    self._keep(state)
                self.states[name] = state
                continue
            interrupted = record.model_copy(
                update={
                    "status": "retry",
                    "reason": "interrupted",
                    "about": "",
                    "interruptions": record.interruptions + 1,
                    "not_before": None,
                }
            )
            self._log("interrupted", entry=name, slot=stamp(record.slot))
            if interrupted.interruptions >= MAX_INTERRUPTIONS:
                interrupted = interrupted.model_copy(
                    update={"status": "failed", "finished_at": now, "alert": "failure"}
                )
                state = state.model_copy(update={"is_failing": True})
            self._keep(state.with_record(interrupted))
        for name in self.states:
            self._alert(name)

    def _without_unfinished(self, state: EntryState, now: datetime) -> EntryState:
        """End what was to be tried again of an entry that is switched off or on; nobody is told."""
        for record in state.slots:
            if not record.is_over:
                ended = _given_up(record, now)
                state = state.with_record(ended)
                self._log("failed", entry=state.entry, slot=stamp(ended.slot), reason=ended.reason)
        return state

    def _see_waiting(self, decision: Decision) -> None:
        """Keep that a slot was seen in time: it waits for another entry and is not missed."""
        state = self.states[decision.entry]
        is_new = state.waiting_slot != decision.slot and decision.slot > state.anchor
        if is_new and self.schedule.entry(decision.entry).catch_up == "none":
            self._keep(state.model_copy(update={"waiting_slot": decision.slot}))

    def _give_up_older(self, name: str, slot: datetime) -> list[Done]:
        """End what was to be tried again for older slots as failed: a newer one takes its turn."""
        if self.schedule.entry(name).catch_up == "all":
            return []
        older = [item for item in self.states[name].slots if item.slot < slot and not item.is_over]
        given_up = []
        for record in older:
            ended = _given_up(record, self.clock())
            if record is older[-1]:  # told once
                ended = ended.model_copy(update={"alert": "failure"})
            state = self.states[name].model_copy(update={"is_failing": True})
            self._keep(state.with_record(ended))
            given_up.append(self._over(name, ended))
        return given_up

    def _leave_out(self, decision: Decision) -> Done:
        state = self.states[decision.entry]
        is_blocked = decision.action == "block"
        record = SlotRecord(
            slot=decision.slot,
            status="blocked" if is_blocked else "missed",
            finished_at=self.clock(),
            reason=decision.why,
            about=decision.about,
            alert="failure" if is_blocked else "",
        )
        if is_blocked:
            state = state.model_copy(update={"is_failing": True})
        self._keep(state.with_record(record))
        return self._over(decision.entry, record, passed_over=decision.passed_over)

    def _run(
        self,
        name: str,
        slot: datetime,
        why: str,
        *,
        passed_over: int = 0,
        may_retry: bool = True,
    ) -> Done | None:
        entry = self.schedule.entry(name)
        state = self.states[name]
        old = state.record_for(slot)
        if old is None or old.slot != slot:
            old = SlotRecord(slot=slot, status="retry")
        good = tuple(item for item in old.items if item.status != "failed")
        record = old.model_copy(
            update={
                "status": "running",
                "started_at": self.clock(),
                "finished_at": None,
                "items": good,
                "reason": "",
                "about": "",
            }
        )
        self._keep(state.with_record(record))
        self._log("started", entry=name, slot=stamp(slot), why=why, passed_over=passed_over or None)
        made = [*good]

        def done(item: ItemRecord) -> None:
            nonlocal record
            made.append(item)
            record = record.model_copy(update={"items": tuple(made)})
            self._keep(self.states[name].with_record(record))

        known = {item.key for item in good}
        items = [item for item in entry.items(slot) if item.key not in known]
        self.run_items(entry, items, done)
        failed = next((item for item in made if item.status == "failed"), None)
        if self.should_stop() and (failed is not None or len(made) < len(items) + len(good)):
            self._log("stopped", entry=name, slot=stamp(slot))
            return None  # it stays marked as running: the next process repeats it
        return self._ended(entry, record, failed, may_retry=may_retry)

    def _ended(
        self, entry: Entry, record: SlotRecord, failed: ItemRecord | None, *, may_retry: bool
    ) -> Done:
        state, now = self.states[entry.name], self.clock()
        tries = record.tries + 1
        update: dict[str, object] = {"tries": tries, "finished_at": now, "not_before": None}
        if failed is None:
            update |= {"status": "ok", "alert": "recovery" if state.is_failing else ""}
            state = state.model_copy(update={"is_failing": False})
        else:
            update |= {"reason": failed.reason, "about": failed.about}
            if may_retry and tries <= entry.retries and failed.reason != "refused":
                again = now + timedelta(seconds=entry.retry_delay_seconds)
                update |= {"status": "retry", "not_before": again}
            else:
                update |= {"status": "failed", "alert": "failure"}
                state = state.model_copy(update={"is_failing": True})
        record = record.model_copy(update=update)
        self._keep(state.with_record(record))
        return self._over(entry.name, record)

    def _over(self, name: str, record: SlotRecord, *, passed_over: int = 0) -> Done:
        self._log(
            record.status,
            entry=name,
            slot=stamp(record.slot),
            runs=[item.run_id for item in record.items if item.run_id],
            reason=record.reason,
            about=record.about,
            tries=record.tries or None,
            passed_over=passed_over or None,
        )
        self._alert(name)
        return Done(entry=name, record=self.states[name].record_for(record.slot) or record)

    def _alert(self, name: str) -> None:
        """Send what is still to be told about an entry; kept as told only afterwards."""
        for record in self.states[name].slots:
            if not record.alert:
                continue
            entry = self.schedule.entry(name)
            alert = Alert(
                event=record.alert,
                text=alert_sentence(self.company, entry, record),
                company=self.company,
                entry=name,
                report=entry.report,
                slot=stamp(record.slot),
                at=stamp(self.clock()),
                status=record.status,
                reason=record.reason,
                about=record.about,
                page=next((item.page for item in reversed(record.items) if item.page), ""),
            )
            faults = self.send(alert)
            told = record.model_copy(update={"alert": "", "alert_faults": faults})
            self._keep(self.states[name].with_record(told))
            for fault in faults:
                self._log("alert_failed", entry=name, fault=fault)

    def _keep(self, state: EntryState) -> None:
        self.folder.write(state)
        self.states[state.entry] = state

    def _log(self, event: str, **facts: object) -> None:
        write_event(self.folder.log_path, event, at=self.clock(), **facts)


def _given_up(record: SlotRecord, now: datetime) -> SlotRecord:
    return record.model_copy(
        update={
            "status": "failed",
            "reason": record.reason or "interrupted",
            "finished_at": record.finished_at or now,
            "not_before": None,
        }
    )
