"""Send lists: one file per arm, with a waterfall from the base to the list and a guard.

The guard is a second look with other code: before anything is written it compares every id and
every address of the list with those of the control group, and refuses the whole export on one
match. The list becomes visible only after the ledger holds its hash, and an export that is asked
for again gives the same file or an error.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo

import pandas as pd

from crm_lab.cards import Result
from crm_lab.errors import GuardError, LedgerError
from crm_lab.experiments.enrolment import assigned_at, audience_query
from crm_lab.experiments.epochs import epochs
from crm_lab.experiments.plan import Plan
from crm_lab.formats import last_day, listing, number
from crm_lab.gateway import Gateway, LedgerEntry, Reader, operations
from crm_lab.language import message, say, word

WAVE = 1
_WITHOUT = "without: "
COLUMNS = ("send_id", "customer_id", "address", "variant", "message", "scheduled_at")
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters of a cell that a spreadsheet would run as a formula."""
QUOTE = "'"
PHONE = re.compile(r"\+[0-9]{7,15}")
"""An international phone number: a spreadsheet reads it as a number, and a quote would break it."""
NO_PHONE = re.compile(r"[@_/]|[^\W\d]")
NO_DIGIT = re.compile("[^0-9]")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SendListExport(Result):
    """What was exported: files with their hashes, and how the base became the list.

    Attributes
    ----------
    campaign : str
        Experiment whose list it is.
    files : mapping
        Path of each file, by arm.
    rows, sha256 : mapping
        Rows and hash of each file, by arm.
    waterfall : tuple of (what, customers)
        From everybody assigned to the list: every exclusion with its reason.
    controls_protected : int
        Control customers that the guard compared the list with.
    was_exported : bool
        Whether the same list had been exported before.
    """

    title: ClassVar[str] = message("Send list")

    campaign: str
    files: Mapping[str, Path]
    rows: Mapping[str, int]
    sha256: Mapping[str, str]
    waterfall: tuple[tuple[str, int], ...]
    controls_protected: int
    was_exported: bool

    def sentence(self) -> str:
        """Say how many addresses go out and that no control is among them."""
        total = sum(self.rows.values())
        said = say(
            "{addresses} addresses in {files} files; 0 of {controls} control customers among them"
            " (ids and addresses compared).",
            addresses=number(total),
            files=len(self.files),
            controls=number(self.controls_protected),
        )
        if self.was_exported:
            said += " " + say("The same list had been exported before.")
        return said

    def to_frame(self) -> pd.DataFrame:
        """Give the waterfall, one row per step."""
        return pd.DataFrame(self.waterfall, columns=["step", "customers"])

    def card_frame(self) -> pd.DataFrame:
        """Give the waterfall as people read it."""
        return self.to_frame().assign(step=[_step_text(what) for what, _ in self.waterfall])


def export_send_list(
    gateway: Gateway, plan: Plan, *, folder: Path, as_of: datetime, timezone: str = "UTC"
) -> SendListExport:
    """Write the send list of an assigned experiment, one CSV file per arm.

    Parameters
    ----------
    gateway : Gateway
        Base and ledger.
    plan : Plan
        The registered plan.
    folder : pathlib.Path
        Gets one file per arm.
    as_of : datetime
        Business time of the export (UTC): consent and suppressions count as they are then.
    timezone : str
        IANA name of the company's zone: ``scheduled_at`` is written in it, with its offset.

    Raises
    ------
    GuardError
        The list would reach a control customer; nothing was written.
    LedgerError
        A list exported earlier cannot be given again as it was, the window is over, or the base
        changed while the list was made.
    """
    done = gateway.entries(kind="list_exported", subject=plan.name)
    if done:
        return _export_again(gateway, plan, folder, done[-1].payload)
    if as_of >= plan.ends_at:
        raise LedgerError(
            say(
                "the window of '{plan}' ended on {ends_at}",
                plan=plan.name,
                ends_at=last_day(plan.ends_at),
            ),
            expected=say("an export before its end: later messages cannot change what it measures"),
        )
    scopes = protected_scopes(gateway, plan)
    with gateway.reader() as reader:
        read_from = reader.snapshot
        judged = reader.frame(
            operations.recipients_of(plan.scope, plan.channel, as_of, protected=scopes)
        )
        protected = reader.frame(operations.control_contacts(scopes))
        audience = reader.frame(audience_query(plan, assigned_at(gateway, plan.name)))
    recipients = judged[judged["obstacle"].isna()].copy()
    guard(recipients, protected)
    recipients["send_id"] = plan.name + f"/{WAVE}/" + recipients["customer_id"]
    recipients["scheduled_at"] = max(as_of, plan.starts_at)
    contents = {arm: _content(plan, recipients, arm, timezone) for arm in plan.arms}
    hashes = {arm: hashlib.sha256(text.encode()).hexdigest() for arm, text in contents.items()}
    rows = {arm: int((recipients["variant"] == arm).sum()) for arm in plan.arms}
    waterfall = _waterfall(audience, judged)
    payload = {
        "wave": WAVE,
        "at": as_of.isoformat(),
        "timezone": timezone,
        "files": {arm: {"sha256": hashes[arm], "rows": rows[arm]} for arm in plan.arms},
        "waterfall": [list(step) for step in waterfall],
        "controls_protected": int(protected["customer_id"].nunique()),
    }

    def check(reader: Reader) -> None:
        if gateway.entries(kind="list_exported", subject=plan.name):
            raise LedgerError(
                say(
                    "the list of '{plan}' was exported in this moment by another process",
                    plan=plan.name,
                ),
                remedy=say("export again: it gives the same files"),
            )
        if reader.snapshot.digest != read_from.digest:
            raise LedgerError(
                say(
                    "the base changed while the list was made, or the list was made from an older "
                    "snapshot"
                ),
                expected=say("a list of the latest snapshot, with its control group and consents"),
                remedy=say("nothing was written; export again"),
            )

    def entries(reader: Reader, files: Mapping[str, str]) -> list[LedgerEntry]:
        return [("list_exported", plan.name, {**payload, "file_sha256": files["send"]})]

    gateway.append(
        {"campaign": _campaign_row(plan), "send": _send_rows(plan, recipients)},
        reason=f"send list of {plan.name}",
        entries=entries,
        check=check,
    )
    return SendListExport(
        campaign=plan.name,
        files=_write(folder, plan, contents),
        rows=rows,
        sha256=hashes,
        waterfall=waterfall,
        controls_protected=int(protected["customer_id"].nunique()),
        was_exported=False,
    )


def protected_scopes(gateway: Gateway, plan: Plan) -> tuple[str, ...]:
    """Name the scopes whose controls must not be reached: the plan's own, and every open epoch."""
    standing = [epoch.scope for epoch in epochs(gateway) if epoch.closed_at is None]
    return (plan.scope, *standing)


def guard(recipients: pd.DataFrame, protected: pd.DataFrame) -> None:
    """Refuse a list that holds a control customer, by id or by address.

    Parameters
    ----------
    recipients : pandas.DataFrame
        Columns customer_id, address.
    protected : pandas.DataFrame
        Columns customer_id, address: the control group. Addresses are compared by
        :func:`address_key`.

    Raises
    ------
    GuardError
        With the number of matches; ids are not printed.
    """
    ids = set(recipients["customer_id"]) & set(protected["customer_id"])
    addresses = _comparable(recipients["address"]) & _comparable(protected["address"])
    if ids or addresses:
        raise GuardError(
            say(
                "the list would reach control customers: {ids} by id, {addresses} by a shared "
                "address",
                ids=number(len(ids)),
                addresses=number(len(addresses)),
            ),
            expected=say("a list without anybody of the control group"),
            remedy=say("nothing was written; draw the arms anew under a new name"),
        )


def _export_again(
    gateway: Gateway, plan: Plan, folder: Path, payload: Mapping[str, object]
) -> SendListExport:
    with gateway.reader() as reader:
        sent = reader.frame(operations.sent_list(plan.name, WAVE))
        protected = reader.frame(operations.control_contacts(protected_scopes(gateway, plan)))
    zone = str(payload.get("timezone", ""))
    contents = {arm: _content(plan, sent, arm, zone) for arm in plan.arms}
    recorded = payload["files"]
    assert isinstance(recorded, Mapping)  # as this module wrote it
    changed = [
        arm
        for arm, text in contents.items()
        if hashlib.sha256(text.encode()).hexdigest() != recorded[arm]["sha256"]
    ]
    if changed:
        raise LedgerError(
            say(
                "the list of {changed} would differ from the one that was exported",
                changed=listing(changed),
            ),
            expected=say("the same addresses; some were changed since"),
            where=plan.name,
            remedy=say("use the files of the first export; a changed list would be a new wave"),
        )
    guard(sent, protected)
    steps = payload["waterfall"]
    assert isinstance(steps, list)
    return SendListExport(
        campaign=plan.name,
        files=_write(folder, plan, contents),
        rows={arm: int(recorded[arm]["rows"]) for arm in plan.arms},
        sha256={arm: str(recorded[arm]["sha256"]) for arm in plan.arms},
        waterfall=tuple((str(what), int(count)) for what, count in steps),
        controls_protected=int(str(payload["controls_protected"])),
        was_exported=True,
    )


def _content(plan: Plan, recipients: pd.DataFrame, arm: str, timezone: str) -> str:
    rows = recipients[recipients["variant"] == arm].sort_values("send_id")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    addresses = rows["address"].astype(str)
    if timezone:
        addresses = addresses.map(lambda address: _address(address, plan.channel))
    scheduled = rows["scheduled_at"].map(lambda moment: _scheduled(moment, timezone))
    for row in rows.assign(address=addresses, scheduled_at=scheduled).itertuples(index=False):
        cells = (
            row.send_id,
            row.customer_id,
            row.address,
            row.variant,
            plan.messages[arm],
            row.scheduled_at,
        )
        writer.writerow([inert(str(value)) for value in cells])
    return out.getvalue()


def _address(address: str, channel: str) -> str:
    """Write a phone number as sending services take it: + and digits; the rest as it is."""
    key = address_key(address)
    is_phone = channel in ("sms", "call") and key.isdigit() and len(key) > 10
    return f"+{key}" if is_phone else address


def _scheduled(moment: datetime, timezone: str) -> str:
    """Write a UTC moment as the company's local time with its offset.

    Lists exported before the zone was recorded (``timezone`` is empty) were written in UTC.
    """
    if not timezone:
        return f"{moment:%Y-%m-%d %H:%M:%S}"
    local = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(timezone))
    return local.isoformat(sep=" ", timespec="seconds")


def inert(text: str) -> str:
    """Put a quote before a cell that a spreadsheet would run; :func:`as_written` takes it off.

    Examples
    --------
    >>> inert("=HYPERLINK(1)"), inert("anna@example.org"), inert("+79161234567")
    ("'=HYPERLINK(1)", 'anna@example.org', '+79161234567')
    """
    if PHONE.fullmatch(text):
        return text
    return QUOTE + text if text.startswith((*DANGEROUS, QUOTE)) else text


def as_written(cell: str) -> str:
    """Give the text of a cell of a send list, without the quote of :func:`inert`."""
    return cell.removeprefix(QUOTE)


def address_key(address: str) -> str:
    """Give the key by which addresses are compared; the rule of the gateway, written again.

    Examples
    --------
    >>> address_key("+7 (900) 035-72-96"), address_key("8 900 035 72 96"), address_key(" A@B.ru")
    ('79000357296', '79000357296', 'a@b.ru')
    """
    digits = NO_DIGIT.sub("", address)
    if NO_PHONE.search(address) or not 10 <= len(digits) <= 15:
        return address.strip().lower()
    if address.strip().startswith("+"):
        return digits
    if len(digits) == 11 and digits[0] == "8":
        return "7" + digits[1:]
    return "7" + digits if len(digits) == 10 and digits[0] == "9" else digits


def _comparable(addresses: pd.Series[str]) -> set[str]:
    return {address_key(address) for address in addresses.dropna()}


def _write(folder: Path, plan: Plan, contents: Mapping[str, str]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for arm, text in contents.items():
        path = folder / f"{plan.name}_wave{WAVE}_{plan.channel}_{arm}.csv"
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        paths[arm] = path
    return paths


def _waterfall(audience: pd.DataFrame, judged: pd.DataFrame) -> tuple[tuple[str, int], ...]:
    """From the base to the list: every exclusion with its reason, all adding up."""
    steps: list[tuple[str, int]] = [("customers in the base", len(audience))]
    steps += _exclusions(audience["obstacle"])
    joined_later = len(judged) - int(audience["eligible"].sum())
    if joined_later:
        steps.append(("changed since the arms were drawn", joined_later))
    steps.append(("assigned", len(judged)))
    steps += _exclusions(judged["obstacle"])
    return (*steps, ("on the list", int(judged["obstacle"].isna().sum())))


def _exclusions(obstacles: pd.Series[str]) -> list[tuple[str, int]]:
    return [(f"{_WITHOUT}{name}", -int(n)) for name, n in obstacles.value_counts().items()]


def _step_text(step: str) -> str:
    """Write a step of the waterfall, which the ledger keeps in English, for people."""
    name = step.removeprefix(_WITHOUT)
    return word(step) if name == step else say("without: {obstacle}", obstacle=word(name))


def _campaign_row(plan: Plan) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "campaign_id": [plan.name],
            "name": [plan.title],
            "mechanic": [None],
            "kind": [None],
            "send_mode": ["manual"],
            "message_class": [plan.message_class],
            "starts_at": [plan.starts_at],
            "ends_at": [plan.ends_at],
            "is_randomised": [True],
        }
    )


def _send_rows(plan: Plan, recipients: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "send_id": recipients["send_id"],
            "campaign_id": plan.name,
            "wave_no": WAVE,
            "customer_id": recipients["customer_id"],
            "contact_point_id": recipients["contact_point_id"],
            "channel": plan.channel,
            "message_class": plan.message_class,
            "variant": recipients["variant"],
            "scheduled_at": recipients["scheduled_at"],
        }
    )
