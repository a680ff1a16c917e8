"""The standing control group: drawn once, kept in the ledger, joined by newcomers at one rate.

A customer who may be contacted is either a control (receives no marketing) or open to treatment,
by the bucket of the id alone. The draw is written as an epoch: share, salt and rule stand in the
append-only ledger, the members in an append-only table whose file hash the ledger holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd

from crm_lab import formats
from crm_lab.errors import LedgerError
from crm_lab.experiments.assignment import TREATABLE, bucket_ends
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.experiments.control_group_status import ControlGroupStatus
from crm_lab.experiments.draws import ELIGIBILITY, NEWCOMER, prepare_newcomers
from crm_lab.experiments.epochs import (
    Epoch,
    changed_rule,
    epochs,
    next_epoch,
    open_epoch,
    required_epoch,
)
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.outlook import (
    ALPHA,
    POWER,
    count_obstacles,
    detectable_mean,
)
from crm_lab.gateway import Gateway, LedgerEntry, Reader, operations
from crm_lab.gateway.store import sql_text
from crm_lab.language import grouped, say, say_many
from crm_lab.stats import (
    sample_ratio_test,
)


class _NobodyJoinsError(LedgerError):
    """The newcomers that were there a moment ago have joined already: nothing is to be done."""


def draw(
    gateway: Gateway,
    spec: ControlGroupSpec,
    *,
    as_of: datetime,
    new_epoch: bool = False,
    uploaded: pd.Series[str] | None = None,
) -> ControlGroupStatus:
    """Draw the control group, or let newcomers join the one that stands.

    Parameters
    ----------
    gateway : Gateway
        Customers and ledger.
    spec : ControlGroupSpec
        The rule; it must be the rule of the open epoch, unless a new epoch is asked for.
    as_of : datetime
        Business time of the draw (UTC, without zone).
    new_epoch : bool
        Close the open epoch and draw a new one by the rule of ``spec``; the old stays readable.
    uploaded : pandas.Series of str, optional
        Ids of controls that somebody else has drawn; opens an epoch of its own.

    Raises
    ------
    LedgerError
        The rule differs from the open epoch's, nobody is eligible, the list of ids is wrong, or
        the epoch would overlap another; the ledger is unchanged.
    BusyError
        Another process is writing.
    """
    standing = open_epoch(gateway, spec.name)
    existing = None if new_epoch or uploaded is not None else standing
    if standing is not None and existing is None and not new_epoch:
        raise LedgerError(
            say("the epoch {epoch} is open", epoch=standing.epoch_id),
            remedy=say("an uploaded group is an epoch of its own: ask for a new epoch"),
        )
    if existing is not None:
        _same_rule(existing, spec)
        epoch = existing
    else:
        if standing is not None and uploaded is None and not changed_rule(standing, spec):
            raise LedgerError(
                say(
                    "the file says what {epoch} was drawn with, so the same customers would be"
                    " drawn",
                    epoch=standing.epoch_id,
                ),
                expected=say("a new salt (or another share, channel, unit) for a new epoch"),
                remedy=say("change 'salt' in control_group.yml"),
            )
        # the one that stands ends where the new one begins, so it cannot overlap it
        epoch = next_epoch(
            gateway, spec, as_of=as_of, draw="upload" if uploaded is not None else "hash"
        )
        epoch = _rerandomised(gateway, epoch, spec, as_of)
    joined: list[int] = []

    def check(reader: Reader) -> None:
        if open_epoch(gateway, spec.name) != standing:
            raise LedgerError(
                say(
                    "the control group '{name}' was drawn in this moment by another process",
                    name=spec.name,
                ),
                remedy=say("look at it with: crm-lab control-group status"),
            )
        prepare_newcomers(reader, epoch, as_of, uploaded=uploaded)
        joined.append(reader.count(NEWCOMER))
        if joined[0]:
            return
        if existing is not None:
            raise _NobodyJoinsError(say("another process has just let the newcomers join"))
        raise LedgerError(
            say("nobody may be contacted, so there is nobody to hold out"),
            expected=say(
                "customers with a working {channel} address and consent", channel=epoch.channel
            ),
            remedy=say(
                "load contact points and consents first; crm-lab status shows what is there"
            ),
        )

    def entries(reader: Reader, files: Mapping[str, str]) -> list[LedgerEntry]:
        written: list[LedgerEntry] = []
        if existing is None:
            if standing is not None:
                closing = {"closed_at": as_of.isoformat(), "replaced_by": epoch.epoch_id}
                written.append(("epoch_closed", standing.epoch_id, closing))
            written.append(("epoch_opened", epoch.epoch_id, epoch.to_payload()))
        return [*written, newcomers_entry(reader, epoch, as_of, files["assignment"])]

    if existing is None or _has_newcomers(gateway, epoch, as_of):
        with contextlib.suppress(_NobodyJoinsError):
            gateway.append(
                {
                    "assignment": f"select * from {NEWCOMER}",
                    "eligibility": f"select * from {ELIGIBILITY}",
                },
                reason=f"draw of {epoch.epoch_id}",
                entries=entries,
                check=check,
            )
    return status(gateway, spec.name, as_of=as_of, joined=joined[0] if joined else 0)


def newcomers_entry(reader: Reader, epoch: Epoch, as_of: datetime, sha256: str) -> LedgerEntry:
    """Give the ledger entry of the newcomers that are about to be written."""
    members = reader.counts(NEWCOMER, "variant")
    payload = {"at": as_of.isoformat(), "members": members, "file_sha256": sha256}
    return ("members_drawn", epoch.epoch_id, payload)


def verify(gateway: Gateway) -> list[str]:
    """Check ledger and files, and compute every hash draw again from its salt.

    Returns
    -------
    list of str
        What is wrong, in words; empty: sound. Whoever rebuilds the whole chain would still have to
        make the members agree with the salts.
    """
    wrong = gateway.verify()
    with gateway.reader() as reader:
        for epoch in epochs(gateway):
            bucket = operations.bucket_expression(epoch.drawn_salt, "unit_id")
            end = bucket_ends({CONTROL: epoch.share})[CONTROL]
            differing = reader.integer(
                f"select count(*) from assignment where scope = '{sql_text(epoch.scope)}'"
                f" and rule = 'hash' and (bucket <> {bucket} or variant <>"
                f" case when {bucket} < {end} then '{CONTROL}' else '{TREATABLE}' end)"
            )
            if differing:
                wrong.append(
                    say_many(
                        "{count} members of {epoch} are not where the salt puts them",
                        "{count} members of {epoch} are not where the salt puts them",
                        differing,
                        epoch=epoch.epoch_id,
                    )
                )
            entries = gateway.entries(kind="members_drawn", subject=epoch.epoch_id)
            drawn = sum(sum(entry.payload["members"].values()) for entry in entries)
            held = reader.integer(
                f"select count(*) from ({operations.assigned(epoch.scope)}) as members"
            )
            if drawn != held:
                wrong.append(
                    say_many(
                        "{epoch} holds {count} member, the ledger says {drawn}",
                        "{epoch} holds {count} members, the ledger says {drawn}",
                        held,
                        epoch=epoch.epoch_id,
                        drawn=grouped(drawn),
                    )
                )
    return wrong


def status(gateway: Gateway, name: str, *, as_of: datetime, joined: int = 0) -> ControlGroupStatus:
    """Describe the control group as it stands at ``as_of``.

    Raises
    ------
    LedgerError
        The group was never drawn.
    """
    epoch = required_epoch(gateway, name)
    with gateway.reader() as reader:
        members = reader.frame(operations.assigned(epoch.scope))
        judged = reader.frame(operations.reachability(epoch.channel, as_of))
        before = reader.frame(
            operations.outcomes(
                operations.assigned(epoch.scope),
                starts_at=epoch.opened_at,
                ends_at=epoch.opened_at,
                pre_starts_at=epoch.opened_at - pd.Timedelta(weeks=13).to_pytimedelta(),
            )
        )
    controls = int((members["variant"] == CONTROL).sum())
    treatable = len(members) - controls
    revenue = before["pre_revenue"]
    sight = detectable_mean(
        float(revenue.mean()),
        float(revenue.std()),
        n_treatment=treatable,
        n_control=controls,
        alpha=ALPHA,
        power=POWER,
    )
    return ControlGroupStatus(
        epoch=epoch,
        controls=controls,
        treatable=treatable,
        newcomers=int((members["assigned_at"] > epoch.opened_at).sum()),
        joined=joined,
        ratio=sample_ratio_test(
            {CONTROL: controls, TREATABLE: treatable},
            {CONTROL: epoch.share, TREATABLE: 1 - epoch.share},
        ),
        balance=balance_table(before),
        not_eligible=count_obstacles(judged),
        ledger_digest=gateway.ledger_head(),
        faults=tuple(verify(gateway)),
        smallest_change=sight.relative,
    )


def balance_table(before: pd.DataFrame) -> pd.DataFrame:
    """Compare controls and others before the draw: means and standardised differences.

    Parameters
    ----------
    before : pandas.DataFrame
        Columns variant, pre_revenue, pre_orders; one row per member.
    """
    frame = before.assign(pre_bought=(before["pre_orders"] > 0).astype(float))
    is_control = frame["variant"] == CONTROL
    rows = []
    for column, label in (
        ("pre_revenue", "revenue of 13 weeks"),
        ("pre_orders", "orders of 13 weeks"),
        ("pre_bought", "share who bought in 13 weeks"),
    ):
        ours, others = frame.loc[is_control, column], frame.loc[~is_control, column]
        spread = float(((ours.var() + others.var()) / 2) ** 0.5)
        difference = float(ours.mean() - others.mean())
        rows.append(
            {
                "covariate": label,
                "control": float(ours.mean()),
                "others": float(others.mean()),
                "standardised difference": _standardised(difference, spread),
            }
        )
    return pd.DataFrame(rows)


def _standardised(difference: float, spread: float) -> float:
    """Give a standardised difference; NaN where one group is too small or nothing varies."""
    if spread > 0:
        return difference / spread
    return 0.0 if difference == 0 and spread == 0 else float("nan")


def _has_newcomers(gateway: Gateway, epoch: Epoch, as_of: datetime) -> bool:
    with gateway.reader() as reader:
        prepare_newcomers(reader, epoch, as_of)
        return reader.count("newcomer") > 0


def _rerandomised(gateway: Gateway, epoch: Epoch, spec: ControlGroupSpec, as_of: datetime) -> Epoch:
    """Try salts until the groups were alike before, within the bound that the file names."""
    if spec.rerandomise is None or epoch.draw == "upload":
        return epoch
    before = as_of - timedelta(weeks=13)
    with gateway.reader() as reader:
        for attempt in range(1, spec.rerandomise.tries + 1):
            tried = replace(epoch, attempts=attempt)
            prepare_newcomers(reader, tried, as_of)
            frame = reader.frame(
                operations.outcomes(
                    f"select customer_id, variant from {NEWCOMER}",
                    starts_at=as_of,
                    ends_at=as_of,
                    pre_starts_at=before,
                )
            )
            worst = balance_table(frame)["standardised difference"].abs().max()
            if worst <= spec.rerandomise.limit:
                return tried
    raise LedgerError(
        say_many(
            "the one salt did not bring every standardised difference below {limit}",
            "none of {count} salts brought every standardised difference below {limit}",
            spec.rerandomise.tries,
            limit=formats.separated(str(spec.rerandomise.limit)),
        ),
        remedy=say("allow a larger limit, or draw within strata; nothing was written"),
    )


def _same_rule(epoch: Epoch, spec: ControlGroupSpec) -> None:
    differing = changed_rule(epoch, spec)
    if differing:
        raise LedgerError(
            say(
                "the epoch {epoch} is open with {rule}",
                epoch=epoch.epoch_id,
                rule=", ".join(differing),
            ),
            expected=say("the rule it was drawn with: a control group that changes is none"),
            remedy=say(
                "put the old values back into control_group.yml, or draw a new epoch with:"
                " crm-lab control-group draw --new-epoch"
            ),
        )
