"""Every sentence about the schedule: codes that are kept become words when they are shown."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from crm_lab import formats
from crm_lab.language import message, say
from crm_lab.schedule.plan import Entry
from crm_lab.schedule.state import ItemRecord, SlotRecord

STATUSES = {
    "running": message("running"),
    "retry": message("to be tried again"),
    "ok": message("good"),
    "failed": message("failed"),
    "blocked": message("blocked"),
    "missed": message("missed"),
    "interrupted": message("interrupted"),
    "never": message("never run"),
    "off": message("switched off"),
}
"""Statuses as people read them."""

ACTIONS = {
    "run": message("run"),
    "miss": message("leave out"),
    "block": message("block"),
    "wait": message("wait"),
}
"""What is decided about a slot, as people read it."""

REASONS = {
    "time": message("its time has come"),
    "caught_up": message("its time passed while nothing looked; it is made up for"),
    "late": message("its time passed while nothing looked, and it is not made up for"),
    "again": message("it failed and is tried again"),
    "interrupted": message("its process ended in the middle of it"),
    "unblocked": message("what it waits for is good now"),
    "by_hand": message("started by hand"),
    "later": message("it failed and waits before it is tried again"),
    "dependency_pending": message("'{about}' has not ended yet"),
    "dependency_failed": message("'{about}', which it waits for, was not good"),
    "dependency_missing": message("'{about}', which it waits for, was not run for this slot"),
    "dependency_off": message("'{about}', which it waits for, is switched off"),
    "refused": message("it cannot be started as it is declared ({about})"),
    "unavailable": message("what it needs cannot be had ({about})"),
    "error": message("an error in the notebook ({about})"),
    "exit": message("the notebook ended itself"),
    "timeout": message("it took longer than its time limit"),
    "output": message("it wrote more than the limit of outputs"),
    "memory": message("it needed more memory than its limit"),
    "kernel died": message("its kernel died"),
    "not executed": message("not every cell was executed"),
}
"""Codes of reasons as people read them; ``about`` is the other entry or the kind of error."""

EVENTS = {
    **STATUSES,
    "started": message("started"),
    "stopped": message("stopped, to be repeated"),
    "clock_back": message("the clock was set back"),
    "alert_failed": message("an alert was not delivered"),
    "pruned": message("old runs removed"),
    "prune_failed": message("old runs could not be removed"),
    "serving": message("the process of the schedule began"),
    "served": message("the process of the schedule ended"),
    "schedule_broken": message("the schedule file is wrong; the old one goes on"),
    "schedule_changed": message("the schedule file was read anew"),
}
"""Events of the log as people read them."""


def reason_text(reason: str, about: str = "") -> str:
    """Say a reason; a code that is not known here is said as it is."""
    text = REASONS.get(reason)
    if text is None:
        return f"{reason} ({about})" if about else reason
    return say(text, about=about)


def event_text(event: str) -> str:
    """Say an event of the log."""
    return say(EVENTS[event]) if event in EVENTS else event


def local(moment: datetime | None, zone: ZoneInfo) -> str:
    """Write a moment to the minute on the clock of a zone; nothing where there is none."""
    return "" if moment is None else formats.minute(moment.astimezone(zone))


def alert_sentence(company: str, entry: Entry, record: SlotRecord) -> str:
    """Say in one sentence what an alert is about."""
    facts = {
        "company": company,
        "entry": entry.name,
        "slot": local(record.slot, entry.timing.zone),
        "zone": str(entry.timing.zone),
    }
    if record.status == "ok":
        return say("{company}: '{entry}' works again, for {slot} ({zone}).", **facts)
    facts["reason"] = reason_text(record.reason, record.about)
    if record.status == "blocked":
        return say(
            "{company}: '{entry}' was not run for {slot} ({zone}): {reason}.",
            **facts,
        )
    return say("{company}: '{entry}' failed for {slot} ({zone}): {reason}.", **facts)


def item_sentence(entry: str, item: ItemRecord) -> str:
    """Say in one line how one run ended: names, codes and where its page is, never an error."""
    name = f"{entry} ({item.key})" if item.key else entry
    status = (
        say("nothing has changed") if item.status == "unchanged" else say(STATUSES[item.status])
    )
    reason = reason_text(item.reason, item.about) if item.reason else ""
    return f"{name}: " + "; ".join(text for text in (status, reason, item.page) if text)


def done_sentence(entry: Entry, record: SlotRecord) -> str:
    """Say in one line what became of a slot, for the output of the command."""
    facts = {
        "entry": entry.name,
        "slot": local(record.slot, entry.timing.zone),
        "zone": str(entry.timing.zone),
        "status": say(STATUSES[record.status]),
    }
    if not record.reason:
        line = say("{entry}, {slot} ({zone}): {status}.", **facts)
    else:
        facts["reason"] = reason_text(record.reason, record.about)
        line = say("{entry}, {slot} ({zone}): {status}; {reason}.", **facts)
    return " ".join((line, *record.alert_faults))
