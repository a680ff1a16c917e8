"""The leave-alone list as a file, with the plan of the test that shows whether it stays right.

The list goes into ``lists/NAME/`` and its hash into the ledger. Beside it the file of its test is
written: half of the list, drawn by the hash of the new experiment, is contacted all the same and
compared with the other half. It is drawn in the next epoch, among the customers of the list only,
and then stands among the experiments and is read out like every one; "ship" there means that the
customers are worth a contact after all. Until it is drawn it does not stand among the experiments,
where it could be drawn for the whole audience by mistake.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.campaigns.send_lists import as_written, inert
from crm_lab.cards import Result
from crm_lab.errors import LedgerError
from crm_lab.experiments.assignment import experiment_rows
from crm_lab.experiments.control_group import newcomers_entry
from crm_lab.experiments.control_group_spec import load_control_group
from crm_lab.experiments.draws import prepare_newcomers
from crm_lab.experiments.enrolment import audience_query
from crm_lab.experiments.epochs import required_epoch
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.plan import Plan, resolve
from crm_lab.experiments.spec import load_experiment
from crm_lab.gateway import Gateway, LedgerEntry, Reader, operations
from crm_lab.handles.context import Context
from crm_lab.language import message, say, say_many

COLUMNS = ("customer_id", "expected_margin", "expected_profit")
HELD_OUT = 0.5
"""Share of the list that stays alone in the test; the rest is contacted to check it."""
TEST_DAYS = 28
PLAN_FILE = """\
# The test of a leave-alone list: {held:.0%} stay alone, the others are contacted all the same.
# Draw it, among the customers of the list only, when the next epoch begins:
#   workbench.uplift("{source}").draw_leave_alone_test("{name}")
# "ship" means: they are worth a contact after all, stop leaving them alone.
name: {name}
title: "Are they right to be left alone? List of {source}"
hypothesis: "A contact brings these customers less than it costs."
owner: {owner}
channel: {channel}
starts_on: {starts_on}
ends_on: {ends_on}
own_control_share: {held}
arms:
  contacted: {{share: 1.0, message: {message}}}
metrics: {{primary: revenue_per_customer, secondary: [conversion]}}
decision: {decision}
costs: {costs}
"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LeaveAloneList(Result):
    """A leave-alone list that was written.

    Attributes
    ----------
    name : str
        Name of the list and of the experiment that tests it.
    file, plan_file : pathlib.Path
        The list, and the experiment file.
    customers : int
        Customers on it.
    sha256 : str
        Hash of the list; the ledger holds it.
    starts_on : datetime.date
        First day of the test.
    """

    title: ClassVar[str] = message("Leave-alone list")

    name: str
    file: Path
    plan_file: Path
    customers: int
    sha256: str
    starts_on: date

    def sentence(self) -> str:
        """Say where the list is, and how it will be tested."""
        return say_many(
            "{count} customer to leave alone, in {file}. The experiment {name}, from {day},"
            " contacts {share} of them to see whether they are worth it after all.",
            "{count} customers to leave alone, in {file}. The experiment {name}, from {day},"
            " contacts {share} of them to see whether they are worth it after all.",
            self.customers,
            file=self.file.name,
            name=self.name,
            day=formats.day(self.starts_on),
            share=formats.percent(1 - HELD_OUT, decimals=0),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row: name, files, customers, hash, first day of the test."""
        return pd.DataFrame(
            [
                {
                    "list": self.name,
                    "file": self.file.name,
                    "customers": self.customers,
                    "sha256": self.sha256,
                    "test": self.plan_file.name,
                    "test_starts_on": self.starts_on,
                }
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give file, customers, test and its first day."""
        return pd.DataFrame(
            {
                "what": ["list", "customers", "test", "first day of the test"],
                "value": [
                    self.file.name,
                    formats.number(self.customers),
                    self.plan_file.name,
                    formats.day(self.starts_on),
                ],
            }
        )


def write_list(
    workbench: Context,
    plan: Plan,
    scored: pd.DataFrame,
    *,
    arm: str,
    cost: float,
    margin_share: float | None,
    as_of: datetime,
    starts_on: date,
    by: str,
) -> LeaveAloneList:
    """Write the list and the file of its test, and its hash into the ledger.

    Parameters
    ----------
    workbench : Context
        Whose list.
    plan : Plan
        Plan of the experiment that it was learned from.
    scored : pandas.DataFrame
        customer_id, expected_margin, expected_profit, contact.
    arm : str
        The arm that they are not sent.
    cost : float
        Cost of a contact.
    margin_share : float or None
        Margin as a part of revenue.
    as_of : datetime
        Business time (UTC, without zone).
    starts_on : datetime.date
        First day of the test.
    by : str
        Who writes it.

    Raises
    ------
    LedgerError
        Nobody is on the list, or a list of that day was written with other customers.
    """
    name = f"leave-alone-{as_of:%Y%m%d}-{plan.name}"[:64].rstrip("-")
    listed = scored.loc[~scored["contact"]].sort_values("customer_id")
    if listed.empty:
        raise LedgerError(
            say("nobody is to be left alone"),
            where=name,
            remedy=say("contact everybody; nothing to test"),
        )
    text = _content(listed)
    digest = hashlib.sha256(text.encode()).hexdigest()
    done = workbench.gateway.entries(kind="list_exported", subject=_subject(name))
    if done and done[-1].payload["sha256"] != digest:
        raise LedgerError(
            say("another list of this day was written before"),
            where=name,
            remedy=say("use the list that was written, or write a new one tomorrow"),
        )
    file = workbench.settings.lists_folder / name / f"{name}.csv"
    plan_file = file.with_suffix(".yml")
    if not done:
        payload = {
            "at": as_of.isoformat(),
            "by": by,
            "purpose": "leave alone",
            "learned_from": plan.name,
            "arm": arm,
            "rows": len(listed),
            "sha256": digest,
        }
        workbench.gateway.record("list_exported", _subject(name), payload)
    _write(file, text)
    if not plan_file.exists():
        _write(plan_file, _plan_text(plan, name, arm, cost, margin_share, starts_on))
    return LeaveAloneList(
        name=name,
        file=file,
        plan_file=plan_file,
        customers=len(listed),
        sha256=digest,
        starts_on=starts_on,
    )


def draw_test(workbench: Context, name: str, *, as_of: datetime) -> dict[str, int]:
    """Register the plan of a list's test and draw its arms among the customers of the list.

    Customers who can no longer be contacted, and those of the standing control group, are left
    out. From then on the experiment is exported and read out like every other.

    Parameters
    ----------
    workbench : Context
        Whose list.
    name : str
        Name of the list.
    as_of : datetime
        Business time (UTC, without zone).

    Returns
    -------
    dict
        Customers per variant.

    Raises
    ------
    LedgerError
        There is no such list, its file was changed, or the test was drawn before.
    SpecError
        The file of the test is wrong.
    """
    gateway = workbench.gateway
    listed = read_list(workbench, name)
    folder = workbench.settings.lists_folder / name
    plan = resolve(
        load_experiment(folder, name),
        load_control_group(workbench.settings.experiments_folder),
        timezone=workbench.settings.timezone,
        currency=workbench.settings.currency,
    )
    epoch = required_epoch(gateway, plan.control_group)
    sizes: dict[str, int] = {}

    def check(reader: Reader) -> None:
        if gateway.entries(kind="arms_assigned", subject=plan.name):
            raise LedgerError(
                say("the test '{name}' was drawn before", name=plan.name),
                expected=say("a list that was not tested yet"),
            )
        prepare_newcomers(reader, epoch, as_of)
        reader.temporary_frame("listed", listed[["customer_id"]], {"customer_id": "VARCHAR"})
        people = f"""
            select a.customer_id, m.unit_id, false as is_control
            from ({audience_query(plan, as_of)}) as a
            join (
                select customer_id, unit_id, variant from ({operations.assigned(epoch.scope)}) as o
                union all select customer_id, unit_id, variant from newcomer
            ) as m on m.customer_id = a.customer_id
            join listed as l on l.customer_id = a.customer_id
            where a.eligible and m.variant <> '{CONTROL}'
        """
        drawn = experiment_rows(people, plan.arm_sql(), scope=plan.scope, salt=plan.salt, at=as_of)
        reader.temporary("drawn", drawn)
        sizes.update(reader.counts("drawn", "variant"))
        if not sizes:
            raise LedgerError(say("nobody of the list may be contacted now"), where=plan.name)

    def entries(reader: Reader, files: Mapping[str, str]) -> list[LedgerEntry]:
        sha = files["assignment"]
        written: list[LedgerEntry] = []
        if reader.count("newcomer"):
            written.append(newcomers_entry(reader, epoch, as_of, sha))
        frozen = {"sha256": plan.sha256, "plan": plan.to_payload(), "by": plan.owner}
        drawn = {"at": as_of.isoformat(), "arms": sizes, "epoch": epoch.epoch_id}
        return [
            *written,
            ("plan_registered", plan.name, frozen),
            ("arms_assigned", plan.name, {**drawn, "file_sha256": sha}),
        ]

    gateway.append(
        {"assignment": "select * from newcomer union all select * from drawn"},
        reason=f"test of {plan.name}",
        entries=entries,
        check=check,
    )
    text = (folder / f"{name}.yml").read_text("utf-8")
    _write(workbench.settings.experiments_folder / f"{name}.yml", text)
    return sizes


def read_list(workbench: Context, name: str) -> pd.DataFrame:
    """Read a list back and check it against the ledger.

    Raises
    ------
    LedgerError
        There is no such list, or its file is not the one that was written.
    """
    done = _list_entries(workbench.gateway, name)
    file = workbench.settings.lists_folder / name / f"{name}.csv"
    text = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(text).hexdigest() != done["sha256"]:
        raise LedgerError(
            say("the list is gone or is not the one that was written"),
            expected=say("a file with the hash {digest}…", digest=str(done["sha256"])[:16]),
            where=str(file),
        )
    frame = pd.read_csv(io.BytesIO(text), dtype={"customer_id": str})
    return frame.assign(customer_id=frame["customer_id"].map(as_written))


def _subject(name: str) -> str:
    """Name a list in the ledger apart from the send list of the experiment of the same name."""
    return f"segment:{name}"


def _list_entries(gateway: Gateway, name: str) -> Mapping[str, object]:
    done = gateway.entries(kind="list_exported", subject=_subject(name))
    if not done:
        raise LedgerError(
            say("there is no leave-alone list '{name}'", name=name),
            remedy=say(
                "write one with: {command}",
                command="workbench.uplift(EXPERIMENT).write_leave_alone(by=...)",
            ),
        )
    payload: Mapping[str, object] = done[-1].payload
    return payload


def _content(listed: pd.DataFrame) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in listed.itertuples(index=False):
        amounts = (f"{row.expected_margin:.4f}", f"{row.expected_profit:.4f}")
        writer.writerow([inert(str(row.customer_id)), *amounts])
    return out.getvalue()


def _plan_text(
    plan: Plan, name: str, arm: str, cost: float, margin_share: float | None, starts_on: date
) -> str:
    # a contact is worth it where the revenue that it brings pays for it
    worth = cost / margin_share if margin_share else cost
    decision = (
        f"{{rule: interval_above_minimum, minimum: {worth:.2f}}}"
        if round(worth, 2) > 0
        else "{rule: interval_above_zero}"
    )
    costs = f"{{per_message: {cost:g}}}"
    if margin_share:
        costs = f"{{per_message: {cost:g}, margin_share: {margin_share:g}}}"
    return PLAN_FILE.format(
        name=name,
        source=plan.name,
        owner=plan.owner,
        channel=plan.channel,
        starts_on=starts_on,
        ends_on=starts_on + timedelta(days=TEST_DAYS - 1),
        held=HELD_OUT,
        message=plan.messages[arm],
        decision=decision,
        costs=costs,
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
