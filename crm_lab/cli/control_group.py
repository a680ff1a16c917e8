"""Commands about the control group: draw, status, verify."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
import pandas as pd

from crm_lab.cli.options import ShareType, as_of_option, gateway_option, moment, opened
from crm_lab.cli.spoken import Group, confirm
from crm_lab.errors import FileError, LedgerError, SpecError
from crm_lab.language import message, say, say_many
from crm_lab.terminal import show


@click.group("control-group", cls=Group)
def control_group() -> None:
    """Hold out the customers who receive no marketing."""


@control_group.command()
@click.option("--share", type=ShareType(), help=message("Must be the share of control_group.yml."))
@click.option("--yes", is_flag=True, help=message("Do not ask."))
@click.option(
    "--new-epoch",
    is_flag=True,
    help=message("Close the open epoch and draw anew by the file's rule."),
)
@as_of_option
@gateway_option
def draw(
    share: float | None,
    yes: bool,
    new_epoch: bool,
    as_of: datetime | None,
    gateway: str | None,
) -> None:
    """Show what the group will see, then draw it (or let newcomers join)."""
    workbench = opened(gateway)
    group = workbench.control_group()
    if share is not None and abs(share - group.spec.share) > 1e-9:
        raise SpecError(
            say(
                "--share {share} is not the share of experiments/control_group.yml ({written})",
                share=share,
                written=group.spec.share,
            ),
            expected=say("one place that says it"),
            remedy=say("change the file; the command draws what the file says"),
        )
    day = moment(workbench, as_of)
    show(group.outlook(as_of=day))
    if not yes:
        confirm(say("Draw the control group like this?"))
    show(group.draw(as_of=day, new_epoch=new_epoch))
    if new_epoch and len(group.epochs()) > 1:
        show(group.independence())


@control_group.command()
@as_of_option
@gateway_option
def status(as_of: datetime | None, gateway: str | None) -> None:
    """Show the group as it stands: size, balance, ledger."""
    workbench = opened(gateway)
    show(workbench.control_group().status(as_of=moment(workbench, as_of)))


@control_group.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--new-epoch", is_flag=True, help=message("Close the open epoch first."))
@as_of_option
@gateway_option
def upload(file: Path, new_epoch: bool, as_of: datetime | None, gateway: str | None) -> None:
    """Take the controls from FILE, one customer id per line under the heading customer_id."""
    workbench = opened(gateway)
    group = workbench.control_group()
    ids = read_ids(file)
    show(group.upload(ids, as_of=moment(workbench, as_of), new_epoch=new_epoch))


@control_group.command()
@gateway_option
def verify(gateway: str | None) -> None:
    """Recompute the ledger's chain, every file's hash and every draw from its salt."""
    workbench = opened(gateway)
    wrong = workbench.control_group().verify()
    if wrong:
        raise LedgerError("; ".join(wrong), expected=say("a ledger and files that nobody changed"))
    head = workbench.gateway.ledger_head()
    click.echo(say("Ledger and files are sound. Head of the ledger: {head}", head=head))


@control_group.command()
@click.option(
    "--from", "start", type=click.DateTime(["%Y-%m-%d"]), help=message("By default the draw.")
)
@click.option("--to", "end", type=click.DateTime(["%Y-%m-%d"]), help=message("By default today."))
@gateway_option
def audit(start: datetime | None, end: datetime | None, gateway: str | None) -> None:
    """Show which controls were touched after all, when and by what."""
    workbench = opened(gateway)
    found = workbench.control_group().audit(
        starts_at=moment(workbench, start), ends_at=moment(workbench, end)
    )
    show(found)


@control_group.command()
@click.option(
    "--assumed-lift",
    type=ShareType(),
    default="5%",
    show_default=True,
    help=message("What campaigns are assumed to bring, for the price of the group."),
)
@as_of_option
@gateway_option
def rotate(assumed_lift: float, as_of: datetime | None, gateway: str | None) -> None:
    """Say whether to draw the group anew, and what holding it costs; changes nothing."""
    workbench = opened(gateway)
    show(
        workbench.control_group().rotation(
            as_of=moment(workbench, as_of), assumed_lift=assumed_lift
        )
    )


def read_ids(file: Path) -> pd.Series[str]:
    """Read a list of customer ids.

    Raises
    ------
    FileError
        The file is missing or empty, or has no column customer_id.
    """
    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileError(say("the file does not exist"), where=str(file)) from None
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as problem:
        raise FileError(
            say("cannot be read as CSV ({problem})", problem=problem), where=str(file)
        ) from None
    if "customer_id" not in frame or frame.empty:
        raise FileError(
            say_many(
                "columns {names} and {count} row",
                "columns {names} and {count} rows",
                len(frame),
                names=", ".join(map(str, frame.columns)),
            ),
            expected=say("a column customer_id with one id per row"),
            where=str(file),
        )
    return frame["customer_id"].str.strip()
