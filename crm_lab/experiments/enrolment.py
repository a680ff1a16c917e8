"""Enrolling: the plan is registered and the arms are drawn, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from crm_lab import formats
from crm_lab.errors import LedgerError
from crm_lab.experiments.assignment import experiment_rows
from crm_lab.experiments.control_group import newcomers_entry
from crm_lab.experiments.differences import Difference, plan_differences
from crm_lab.experiments.draws import prepare_newcomers
from crm_lab.experiments.epochs import Epoch, required_epoch
from crm_lab.experiments.fields import BUCKETS, CONTROL
from crm_lab.experiments.plan import Plan
from crm_lab.gateway import Gateway, LedgerEntry, Reader, operations
from crm_lab.language import say


def assign(gateway: Gateway, plan: Plan, *, as_of: datetime) -> dict[str, int]:
    """Register the plan and draw its arms, in one transaction; newcomers join the control group.

    Returns
    -------
    dict
        Customers per variant, the control group included.

    Raises
    ------
    LedgerError
        The control group was never drawn, the experiment was assigned before, or nobody is in
        its audience.
    BusyError
        Another process is writing.
    """
    epoch = required_epoch(gateway, plan.control_group)
    sizes: dict[str, int] = {}
    is_registered: list[bool] = []

    def check(reader: Reader) -> None:
        if gateway.entries(kind="arms_assigned", subject=plan.name):
            raise LedgerError(
                say("the experiment '{name}' was assigned before", name=plan.name),
                expected=say("a new name: arms that were drawn are never drawn again"),
            )
        frozen = registered_plan(gateway, plan.name, required=False)
        if frozen is not None and frozen.sha256 != plan.sha256:
            differences = plan_differences(frozen, plan)
            raise LedgerError(
                say(
                    "'{name}' is not the plan that was registered ({where})",
                    name=plan.name,
                    where=formats.listing(map(str, differences)),
                ),
                expected=say("the plan with the hash {digest}…", digest=frozen.sha256[:16]),
                where=", ".join(_files_of(differences, plan.name)),
                remedy=say(
                    "put this back as it was, or register the changed plan: {commands}",
                    commands=" && ".join(_registering(gateway, plan.name)),
                ),
            )
        is_registered.append(frozen is not None)
        _check_layer(gateway, plan)
        prepare_newcomers(reader, epoch, as_of)
        reader.temporary("drawn", drawn_arms(plan, epoch, as_of))
        sizes.update(reader.counts("drawn", "variant"))
        if not sizes:
            raise LedgerError(
                say("nobody is in the audience"),
                where=plan.name,
                remedy=say(
                    "look at the waterfall of: {command}",
                    command=f"crm-lab experiment plan {plan.name}",
                ),
            )

    def entries(reader: Reader, files: Mapping[str, str]) -> list[LedgerEntry]:
        sha = files["assignment"]
        written: list[LedgerEntry] = []
        if reader.count("newcomer"):
            written.append(newcomers_entry(reader, epoch, as_of, sha))
        payload = {"at": as_of.isoformat(), "arms": sizes, "epoch": epoch.epoch_id}
        if not is_registered[0]:
            frozen = {"sha256": plan.sha256, "plan": plan.to_payload(), "by": plan.owner}
            written.append(("plan_registered", plan.name, frozen))
        return [
            *written,
            ("arms_assigned", plan.name, {**payload, "file_sha256": sha}),
        ]

    gateway.append(
        {"assignment": "select * from newcomer union all select * from drawn"},
        reason=f"assignment of {plan.name}",
        entries=entries,
        check=check,
    )
    return sizes


def _files_of(differences: Sequence[Difference], name: str) -> list[str]:
    """Name the files that the differing keys of a plan come from."""
    files = {
        "control_group": "experiments/control_group.yml",
        "control_share": "experiments/control_group.yml",
        "definitions": "experiments/metrics.yml",
        "currency": "crm-lab.yml",
    }
    own = f"experiments/{name}.yml"
    keys = (difference.key.partition(".")[0].split()[0] for difference in differences)
    return list(dict.fromkeys(files.get(key, own) for key in keys))


def _registering(gateway: Gateway, name: str) -> list[str]:
    """Give the commands that register a changed plan; an approved one goes back to draft first."""
    changes = gateway.entries(kind="status_changed", subject=name)
    back = [f"crm-lab experiment status {name} --to draft --by NAME"]
    is_draft = not changes or changes[-1].payload["to"] == "draft"
    return [*([] if is_draft else back), f"crm-lab experiment register {name} --by NAME"]


def _check_layer(gateway: Gateway, plan: Plan) -> None:
    """Refuse a part of a layer that a running experiment holds in an overlapping window."""
    if not plan.layer:
        return
    for entry in gateway.entries(kind="arms_assigned"):
        other = registered_plan(gateway, entry.subject)
        if other is None or other.layer != plan.layer or other.name == plan.name:
            continue
        apart = other.ends_at <= plan.starts_at or plan.ends_at <= other.starts_at
        if apart or other.layer_to <= plan.layer_from or plan.layer_to <= other.layer_from:
            continue
        raise LedgerError(
            say(
                "the part {start} to {end} of the layer '{layer}' is held by '{other}'"
                " ({other_start} to {other_end}) until {until}",
                start=formats.separated(f"{plan.layer_from:g}"),
                end=formats.separated(f"{plan.layer_to:g}"),
                layer=plan.layer,
                other=other.name,
                other_start=formats.separated(f"{other.layer_from:g}"),
                other_end=formats.separated(f"{other.layer_to:g}"),
                until=formats.last_day(other.ends_at),
            ),
            expected=say("a part of the layer that is free, or another layer"),
            where=plan.name,
        )


def registered_plan(gateway: Gateway, name: str, *, required: bool = True) -> Plan | None:
    """Give the plan that the ledger holds for an experiment.

    Raises
    ------
    LedgerError
        There is none and it is required, or it does not fit its own hash.
    """
    found = gateway.entries(kind="plan_registered", subject=name)
    if not found:
        if required:
            raise LedgerError(
                say("the experiment '{name}' was never registered", name=name),
                remedy=say(
                    "register and draw it with: {command}",
                    command=f"crm-lab experiment assign {name}",
                ),
            )
        return None
    plan = Plan.from_payload(found[-1].payload["plan"])
    if plan.sha256 != found[-1].payload["sha256"]:
        raise LedgerError(say("the registered plan of '{name}' does not fit its hash", name=name))
    return plan


def assigned_at(gateway: Gateway, name: str) -> datetime:
    """Give the business time at which an experiment's arms were drawn (UTC, without zone).

    Raises
    ------
    LedgerError
        They were not drawn yet.
    """
    found = gateway.entries(kind="arms_assigned", subject=name)
    if not found:
        raise LedgerError(
            say("the experiment '{name}' was never assigned", name=name),
            remedy=say("assign it with: {command}", command=f"crm-lab experiment assign {name}"),
        )
    return datetime.fromisoformat(found[-1].payload["at"])


def audience_query(plan: Plan, as_of: datetime) -> str:
    """Write the SELECT that judges every customer for the plan's audience."""
    return operations.audience(
        plan.channel,
        as_of,
        bought_within_days=plan.bought_within_days,
        min_orders=plan.min_orders,
    )


def drawn_arms(plan: Plan, epoch: Epoch, as_of: datetime) -> str:
    """Everybody in the audience with an arm; needs the temporary table ``newcomer``.

    With a control of its own, the experiment draws it and the arms among those outside the global
    control group, who are left out of it altogether.
    """
    inside = "true"
    if plan.layer:
        bucket = operations.bucket_expression(f"layer:{plan.layer}", "m.unit_id")
        first, last = (round(edge * BUCKETS) for edge in (plan.layer_from, plan.layer_to))
        inside = f"{bucket} >= {first} and {bucket} < {last}"
    if plan.own_control_share:
        inside += f" and m.variant <> '{CONTROL}'"
    people = f"""
        select a.customer_id, m.unit_id, m.variant = '{CONTROL}' as is_control
        from ({audience_query(plan, as_of)}) as a
        join (
            select customer_id, unit_id, variant from ({operations.assigned(epoch.scope)}) as old
            union all select customer_id, unit_id, variant from newcomer
        ) as m on m.customer_id = a.customer_id
        where a.eligible and {inside}
    """
    return experiment_rows(people, plan.arm_sql(), scope=plan.scope, salt=plan.salt, at=as_of)
