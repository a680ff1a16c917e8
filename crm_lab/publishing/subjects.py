"""The experiment that a report is about: it must be there before a kernel starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from crm_lab import formats
from crm_lab.errors import Fault, ReportError
from crm_lab.language import say
from crm_lab.publishing.notebooks import find_notebook
from crm_lab.workbench import Workbench

EXPERIMENT = "experiment"
"""The parameter that names the experiment a report is about."""


def with_experiment(
    workbench: Workbench, name: str, given: Mapping[str, object]
) -> dict[str, object]:
    """Check the experiment that a report is about; where none is named, take the only one.

    Parameters
    ----------
    workbench : Workbench
        Its experiments have a file, or stand in the ledger.
    name : str
        Name of the report. One without a parameter ``experiment`` is left as it is, and so is the
        default of the notebook where there is an experiment of that name.
    given : mapping
        Values by parameter.

    Raises
    ------
    ReportError
        There is no experiment of that name, or none is named and there are several, or none.
    """
    from crm_lab.reports import declared_parameters

    declared = {
        parameter.name: parameter
        for parameter in declared_parameters(find_notebook(workbench, name))
    }
    values = dict(given)
    if EXPERIMENT not in declared:
        return values
    assigned = {entry.subject for entry in workbench.gateway.entries(kind="arms_assigned")}
    registered = {entry.subject for entry in workbench.gateway.entries(kind="plan_registered")}
    known = sorted({*workbench.experiments(), *registered, *assigned})
    asked = values.get(EXPERIMENT, declared[EXPERIMENT].default)
    if asked in ("", None, *known):
        return values
    if EXPERIMENT in values:
        raise ReportError([_no_experiment(str(asked), known)])
    if len(assigned) != 1:
        raise ReportError(
            say("the report is about one experiment, and none is named"),
            expected=formats.listing(sorted(assigned) or known)
            or say("an experiment with a file in experiments/"),
            remedy=say("name it: {command}", command=f"-p {EXPERIMENT} NAME"),
        )
    return values | {EXPERIMENT: assigned.pop()}


def _no_experiment(text: str, known: Sequence[str]) -> Fault:
    close = get_close_matches(text, known, n=1)
    return Fault(
        found=say(
            "there is no experiment '{name}' (did you mean '{other}'?)", name=text, other=close[0]
        )
        if close
        else say("there is no experiment '{name}'", name=text),
        expected=formats.listing(known) or say("an experiment with a file in experiments/"),
    )
