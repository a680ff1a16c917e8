"""``python -m crm_lab.schedule``: the same as ``crm-lab schedule run-due``, quick to start.

The clock calls it every few minutes and mostly for nothing; the whole command takes seconds to
import.
"""

from __future__ import annotations

import sys

import click

from crm_lab.errors import CrmLabError
from crm_lab.language import language_of_environment, set_language
from crm_lab.schedule.keeper import ScheduleKeeper
from crm_lab.schedule.passes import NOT_GOOD, exit_code
from crm_lab.schedule.serving import stopping_on_signals
from crm_lab.settings import load_settings


def main() -> int:
    """Run what is due in the workbench around the current folder, and give the exit code."""
    try:
        settings = load_settings()
        set_language(language_of_environment() or settings.declared.language)
        with stopping_on_signals() as stopping:
            done = ScheduleKeeper(settings=settings, tell=click.echo).run_due(stopping=stopping)
    except CrmLabError as problem:
        for fault in problem.faults:
            click.echo(f"Error: {fault}", err=True)
        return problem.exit_code
    except KeyboardInterrupt:  # asked to stop twice; the run is repeated by the next call
        return NOT_GOOD
    return exit_code(done)


if __name__ == "__main__":
    sys.exit(main())
