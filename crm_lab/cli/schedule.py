"""Commands about the schedule: which reports are made when, and the clock that starts them.

Exit code 0: done, everything good or nothing due. 1: refused with one clear message. 2: wrong
usage. 3: something failed or is blocked. 75: another process is at work, nothing was done.
"""

from __future__ import annotations

import importlib.resources

import click

from crm_lab.cli.spoken import Group
from crm_lab.errors import ScheduleError
from crm_lab.language import message, say
from crm_lab.schedule.installing import (
    Clock,
    read_crontab,
    remove_units,
    write_crontab,
    write_units,
)
from crm_lab.schedule.keeper import ScheduleKeeper
from crm_lab.schedule.passes import NOT_GOOD, exit_code
from crm_lab.schedule.plan import SCHEDULE_FILE
from crm_lab.schedule.serving import stopping_on_signals
from crm_lab.settings import load_settings
from crm_lab.terminal import show


def _keeper() -> ScheduleKeeper:
    return ScheduleKeeper(settings=load_settings(), tell=click.echo)


wait_option = click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help=message("How long to wait for another process that is at work."),
)


@click.group(cls=Group)
def schedule() -> None:
    """Make reports by themselves, as schedule.yml says.

    Exit codes: 0 good or nothing due, 1 refused, 2 wrong usage, 3 something failed or is blocked,
    75 another process is at work.
    """


@schedule.command()
def init() -> None:
    """Write a first schedule.yml into the workbench."""
    path = load_settings().folder / SCHEDULE_FILE
    if path.exists():
        raise ScheduleError(say("there is a schedule already"), where=str(path))
    example = importlib.resources.files("crm_lab.schedule") / "example.yml"
    path.write_text(example.read_text("utf-8"), "utf-8")
    click.echo(say("Written: {path}. Next: crm-lab schedule check", path=path))


@schedule.command()
def check() -> None:
    """Check schedule.yml and its reports and parameters; print the next five times of each."""
    show(_keeper().check())


@schedule.command("list")
def list_command() -> None:
    """List the entries and when each runs next."""
    show(_keeper().planned())


@schedule.command("next")
@click.option("-n", "count", type=click.IntRange(1, 100), default=10, show_default=True)
def next_command(count: int) -> None:
    """Print the next runs of all entries together."""
    for line in _keeper().planned(count=count).coming(count):
        click.echo(line)


@schedule.command()
def due() -> None:
    """Show what is due now and why; nothing is run."""
    show(_keeper().due())


@schedule.command("run-due")
@wait_option
def run_due(wait_seconds: float) -> int:
    """Run what is due; the one command that cron and systemd call."""
    with stopping_on_signals() as stopping:
        done = _keeper().run_due(stopping=stopping, wait_seconds=wait_seconds)
    return exit_code(done)


@schedule.command()
@click.argument("name")
@click.option(
    "--force",
    is_flag=True,
    help=message("Also where nothing has changed since the last good run."),
)
@wait_option
def run(name: str, force: bool, wait_seconds: float) -> int:
    """Run the entry NAME now, for its latest slot, whatever it waits for."""
    with stopping_on_signals() as stopping:
        done = _keeper().run_now(
            name, is_forced=force, stopping=stopping, wait_seconds=wait_seconds
        )
    return exit_code([done]) if done is not None else NOT_GOOD


@schedule.command()
@click.option(
    "--check", "is_check", is_flag=True, help=message("Exit code 3 where something is not well.")
)
def status(is_check: bool) -> int:
    """Show how every entry stands: last run, last good run, next run."""
    found = _keeper().status()
    show(found)
    return NOT_GOOD if is_check and not found.is_healthy else 0


@schedule.command()
@click.argument("name", required=False)
@click.option("-n", "count", type=click.IntRange(1, 10_000), default=20, show_default=True)
def history(name: str | None, count: int) -> None:
    """Show what the schedule did, newest first; of the entry NAME only, where given."""
    show(_keeper().history(name, count=count))


@schedule.command()
def serve() -> None:
    """Run what is due whenever it is due, until SIGTERM; for containers."""
    with stopping_on_signals() as stopping:
        _keeper().serve(stopping)


@schedule.command()
@click.option("--yes", is_flag=True, help=message("Remove them; without it they are only named."))
def prune(yes: bool) -> None:
    """Remove runs that need not be kept, as 'retention' in schedule.yml says."""
    show(_keeper().prune(is_done=yes))


@schedule.command()
@click.option("--cron", "way", flag_value="cron", help=message("A line of the crontab."))
@click.option(
    "--systemd", "way", flag_value="systemd", help=message("Service and timer of the user.")
)
@click.option("--print", "is_print", is_flag=True, help=message("Print what would be written."))
def install(way: str | None, is_print: bool) -> None:
    """Let cron or systemd call run-due every five minutes; installing twice changes nothing."""
    keeper = _keeper()
    keeper.load()
    clock = Clock(folder=keeper.settings.folder)
    if way is None:
        raise click.UsageError(say("--cron or --systemd is needed"))
    if way == "cron":
        _install_cron(clock, is_print=is_print)
    else:
        _install_systemd(clock, is_print=is_print)


@schedule.command()
def uninstall() -> None:
    """Remove what install wrote, from the crontab and from systemd's folder."""
    clock = Clock(folder=load_settings().folder)
    units = remove_units(clock)
    for path in units:
        click.echo(say("Removed: {path}", path=path))
    if units:
        click.echo(
            f"systemctl --user disable --now {clock.name}.timer; systemctl --user daemon-reload"
        )
    if _leave_crontab(clock):
        click.echo(say("Removed from the crontab."))


def _install_cron(clock: Clock, *, is_print: bool) -> None:
    if is_print:
        click.echo(clock.cron_block(), nl=False)
        return
    before = read_crontab()
    after = clock.in_crontab(before)
    (clock.folder / "data" / "schedule").mkdir(parents=True, exist_ok=True)
    if after == before:
        click.echo(say("The crontab has it already."))
        return
    write_crontab(after)
    click.echo(say("Written into the crontab:"))
    click.echo(clock.cron_block(), nl=False)


def _install_systemd(clock: Clock, *, is_print: bool) -> None:
    if is_print:
        for name, text in clock.units().items():
            click.echo(f"# {name}\n{text}")
        return
    for path in write_units(clock):
        click.echo(say("Written: {path}", path=path))
    click.echo(say("Switch it on with:"))
    click.echo("  systemctl --user daemon-reload")
    click.echo(f"  systemctl --user enable --now {clock.name}.timer")
    click.echo(say("To let it run while nobody is logged in:"))
    click.echo("  loginctl enable-linger")


def _leave_crontab(clock: Clock) -> bool:
    before = read_crontab()
    after = clock.out_of_crontab(before)
    if after != before:
        write_crontab(after)
    return after != before
