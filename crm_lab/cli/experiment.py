"""Commands about experiments: list, plan, assign, export, ingest, analyze, loopback."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
import pandas as pd

from crm_lab.cli.options import ShareType, as_of_option, gateway_option, moment, opened
from crm_lab.cli.spoken import Group
from crm_lab.cli.workbench import show_import
from crm_lab.errors import FileError
from crm_lab.experiments.registry import Decision, Status
from crm_lab.formats import listing
from crm_lab.gateway.dialects import DIALECTS, Dialect
from crm_lab.language import message, say, say_many
from crm_lab.terminal import show, show_frame


@click.group(cls=Group)
def experiment() -> None:
    """Campaign experiments, from their file to their result."""


@experiment.command("list")
@gateway_option
def list_command(gateway: str | None) -> None:
    """List the experiments that have a file."""
    for name in opened(gateway).experiments():
        click.echo(name)


@experiment.command()
@click.argument("name")
@as_of_option
@gateway_option
def plan(name: str, as_of: datetime | None, gateway: str | None) -> None:
    """Print the resolved plan, what it can find, and every objection."""
    workbench = opened(gateway)
    show(workbench.experiment(name).plan(as_of=moment(workbench, as_of)))


@experiment.command()
@click.option(
    "--share", type=ShareType(), default="5%", show_default=True, help=message("Control share.")
)
@click.option("--weeks", type=click.IntRange(1, 104), default=4, show_default=True)
@click.option("--channel", default="email", show_default=True)
@click.option(
    "--looks", type=click.IntRange(1, 20), help=message("How often the result is looked at.")
)
@as_of_option
@gateway_option
def design(
    share: float,
    weeks: int,
    channel: str,
    looks: int | None,
    as_of: datetime | None,
    gateway: str | None,
) -> None:
    """Say what a control group of this base would see, and what to do where that is hopeless."""
    workbench = opened(gateway)
    made = workbench.design(
        control_share=share,
        weeks=weeks,
        channel=channel,
        looks=looks,
        as_of=moment(workbench, as_of),
        progress=True,
    )
    show(made)
    for line in made.advice:
        click.echo(f"- {line}")


@experiment.command()
@click.argument("name")
@click.option("--by", required=True, help=message("Who approves it."))
@as_of_option
@gateway_option
def register(name: str, by: str, as_of: datetime | None, gateway: str | None) -> None:
    """Freeze the plan by its hash and approve it, before anything is sent."""
    workbench = opened(gateway)
    digest = workbench.experiment(name).register(by=by, as_of=moment(workbench, as_of))
    click.echo(
        say(
            "{name}: registered and approved by {by}; sha256 {digest}",
            name=name,
            by=by,
            digest=digest,
        )
    )


@experiment.command()
@click.argument("name", required=False)
@click.option("--to", type=click.Choice(["draft", "approved", "running", "closed"]))
@click.option("--by", help=message("Who changes the status."))
@click.option("--note", default="", help=message("Why."))
@as_of_option
@gateway_option
def status(
    name: str | None,
    to: Status | None,
    by: str | None,
    note: str,
    as_of: datetime | None,
    gateway: str | None,
) -> None:
    """List experiments and those never evaluated; with --to, change the status of NAME."""
    workbench = opened(gateway)
    at = moment(workbench, as_of)
    if to is not None:
        if name is None or by is None:
            raise click.UsageError(say("--to needs the NAME of an experiment and --by"))
        workbench.experiment(name).change_status(to, by=by, note=note, as_of=at)
    show(workbench.registry(as_of=at))


@experiment.command()
@click.argument("name")
@click.option("--dialect", type=click.Choice(DIALECTS), default="postgresql", show_default=True)
@gateway_option
def sql(name: str, dialect: Dialect, gateway: str | None) -> None:
    """Print the draw of NAME as SQL for another engine (see docs/assignment-in-sql.md)."""
    click.echo(opened(gateway).experiment(name).sql(dialect))


@experiment.command()
@click.argument("name")
@click.argument("decision", type=click.Choice(["ship", "stop", "continue", "cannot conclude"]))
@click.option("--by", required=True, help=message("Who decides."))
@click.option("--note", default="", help=message("Why, and when to look again."))
@as_of_option
@gateway_option
def decide(
    name: str, decision: Decision, by: str, note: str, as_of: datetime | None, gateway: str | None
) -> None:
    """Write the decision on NAME into the ledger and close it."""
    workbench = opened(gateway)
    day = moment(workbench, as_of)
    workbench.experiment(name).decide(decision, by=by, note=note, as_of=day)
    show(workbench.registry(as_of=day))


@experiment.command()
@click.argument("name")
@as_of_option
@gateway_option
def assign(name: str, as_of: datetime | None, gateway: str | None) -> None:
    """Register the plan and draw the arms; this cannot be undone."""
    workbench = opened(gateway)
    sizes = workbench.experiment(name).assign(as_of=moment(workbench, as_of))
    frame = pd.DataFrame({"arm": list(sizes), "customers": list(sizes.values())})
    show_frame(frame, title=say("{name}: arms drawn and plan registered", name=name))


@experiment.command()
@click.argument("name")
@as_of_option
@gateway_option
def export(name: str, as_of: datetime | None, gateway: str | None) -> None:
    """Write the send lists; refuses to reach a control customer."""
    workbench = opened(gateway)
    exported = workbench.experiment(name).export(as_of=moment(workbench, as_of))
    show(exported)
    for arm, path in exported.files.items():
        rows = say_many("{count} rows", "{count} rows", exported.rows[arm])
        click.echo(f"{path}  {rows}  sha256 {exported.sha256[arm][:16]}…")


@experiment.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@gateway_option
def ingest(name: str, folder: Path, gateway: str | None) -> None:
    """Load what came back: every file of FOLDER through the map that fits its name."""
    for report in opened(gateway).experiment(name).ingest(folder, progress=True):
        show_import(report)


@experiment.command()
@click.argument("name")
@click.option(
    "--seed", type=int, default=1, show_default=True, help=message("Seed of the permutations.")
)
@gateway_option
def analyze(name: str, seed: int, gateway: str | None) -> None:
    """Print what the campaign brought, by the registered plan."""
    result = opened(gateway).experiment(name).analyze(seed=seed)
    show(result)
    show_frame(result.evidence_frame(), title=say("Evidence"))
    show_frame(result.four_numbers_frame(), title=say("One effect, four numbers"))
    if len(result.guardrails_frame()):
        show_frame(result.guardrails_frame(), title=say("Guardrails"))
    for reading in result.segments:
        show(reading)
    show_frame(result.lights_frame(), title=say("Can it be trusted?"))


@experiment.command()
@click.argument("name")
@click.argument("till_file", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--effect",
    "effects",
    multiple=True,
    metavar="ARM=SHARE",
    help=message(
        "Effect to plant, such as mail=0.4 for orders worth 40 % of what is spent anyway."
    ),
)
@click.option("--seed", type=int, default=1, show_default=True)
@gateway_option
def loopback(
    name: str,
    till_file: Path,
    folder: Path,
    effects: tuple[str, ...],
    seed: int,
    gateway: str | None,
) -> None:
    """Let a simulated sending service consume the lists and plant known effects.

    TILL_FILE holds the real orders of the window, as a till writes them (order_id, customer_id,
    store, ordered_at, total, discount). FOLDER gets what a sending service and a till would
    return, for ``experiment ingest``.
    """
    planted = (
        opened(gateway)
        .experiment(name)
        .loopback(
            read_till(till_file),
            effects=read_effects(effects),
            folder=folder,
            seed=seed,
        )
    )
    frame = pd.DataFrame(
        [
            {
                "arm": item.arm,
                "recipients": item.recipients,
                "planted orders": item.orders,
                "planted revenue": item.revenue,
            }
            for item in planted
        ]
    )
    show_frame(frame, title=say("Planted by the loopback service (not real)"))


def read_effect(text: str) -> tuple[str, float]:
    """Read ``ARM=SHARE``.

    Raises
    ------
    click.BadParameter
        It is not of this form.
    """
    arm, _, value = text.partition("=")
    try:
        return arm.strip(), float(value)
    except ValueError:
        raise click.BadParameter(say("'{text}' is not of the form ARM=SHARE", text=text)) from None


def read_effects(texts: Sequence[str]) -> dict[str, float]:
    """Read every ``ARM=SHARE``; an arm that is named twice is refused."""
    pairs = [read_effect(text) for text in texts]
    names = [arm for arm, _ in pairs]
    twice = sorted({arm for arm in names if names.count(arm) > 1})
    if twice:
        raise click.BadParameter(say("the arm {name} is named twice", name=listing(twice)))
    return dict(pairs)


def read_till(path: Path) -> pd.DataFrame:
    """Read a till's order file as the loopback service takes it, amounts in whole cents.

    Raises
    ------
    FileError
        The file is missing, empty, lacks a column, or a time or an amount cannot be read.
    """
    if not path.is_file():
        raise FileError(say("the file does not exist"), where=str(path))
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as problem:
        raise FileError(
            say("not a CSV file in UTF-8 ({problem})", problem=problem), where=str(path)
        ) from None
    wanted = ["order_id", "customer_id", "store", "ordered_at", "total", "discount"]
    missing = sorted(set(wanted) - set(frame.columns))
    if missing:
        raise FileError(
            say("the columns {names} are missing", names=", ".join(missing)), where=str(path)
        )
    return pd.DataFrame(
        {
            "order_id": frame["order_id"],
            "customer_id": frame["customer_id"],
            "store_id": frame["store"],
            "ordered_at": _times(frame["ordered_at"], path),
            "amount_cents": _cents(frame["total"], path),
            "discount_cents": _cents(frame["discount"], path),
        }
    )


def _times(texts: pd.Series[str], path: Path) -> pd.Series[pd.Timestamp]:
    times = pd.to_datetime(texts, format="%Y-%m-%d %H:%M:%S", errors="coerce")
    _refuse_wrong(texts, times.isna(), path, expected=say("times such as 2026-12-01 17:30:00"))
    return times


def _cents(texts: pd.Series[str], path: Path) -> pd.Series[int]:
    wrong = ~texts.str.fullmatch(r"[+-]?[0-9]{1,12}([.][0-9]{1,2})?")
    _refuse_wrong(texts, wrong, path, expected=say("amounts such as 1234.50"))
    return (texts.astype(float) * 100).round().astype("int64")


def _refuse_wrong(
    texts: pd.Series[str], wrong: pd.Series[bool], path: Path, *, expected: str
) -> None:
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise FileError(
            say_many(
                "'{text}' in the column '{name}', and {count} such cells in all",
                "'{text}' in the column '{name}', and {count} such cells in all",
                int(wrong.sum()),
                text=texts.iloc[row],
                name=texts.name,
            ),
            expected=expected,
            where=say("{path}, record {record}", path=path, record=row + 1),
        )
