"""Commands about the control group: draw, status, verify."""

from __future__ import annotations

from datetime import datetime

import click

from crm_lab.cli.options import ShareType, as_of_option, gateway_option, moment, opened
from crm_lab.errors import LedgerError, SpecError
from crm_lab.terminal import show


@click.group("control-group")
def control_group() -> None:
    """Hold out the customers who receive no marketing."""


@control_group.command()
@click.option("--share", type=ShareType(), help="Must be the share of control_group.yml.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_of_option
@gateway_option
def draw(share: float | None, yes: bool, as_of: datetime | None, gateway: str | None) -> None:
    """Show what the group will see, then draw it (or let newcomers join)."""
    workbench = opened(gateway)
    group = workbench.control_group()
    if share is not None and abs(share - group.spec.share) > 1e-9:
        raise SpecError(
            f"--share {share} is not the share of experiments/control_group.yml"
            f" ({group.spec.share})",
            expected="one place that says it",
            remedy="change the file; the command draws what the file says",
        )
    day = moment(workbench, as_of)
    show(group.outlook(as_of=day))
    if not yes:
        click.confirm("Draw the control group like this?", abort=True)
    show(group.draw(as_of=day))


@control_group.command()
@as_of_option
@gateway_option
def status(as_of: datetime | None, gateway: str | None) -> None:
    """Show the group as it stands: size, balance, ledger."""
    workbench = opened(gateway)
    show(workbench.control_group().status(as_of=moment(workbench, as_of)))


@control_group.command()
@gateway_option
def verify(gateway: str | None) -> None:
    """Recompute the ledger's chain and every file's hash."""
    workbench = opened(gateway)
    wrong = workbench.gateway.verify()
    if wrong:
        raise LedgerError("; ".join(wrong), expected="a ledger and files that nobody changed")
    click.echo(f"Ledger and files are sound. Head of the ledger: {workbench.gateway.ledger_head()}")
