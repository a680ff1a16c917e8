"""What can go wrong, said once and in the same form everywhere.

::

    CrmLabError
    ├── SettingsError      the workbench folder or its crm-lab.yml
    ├── FileError          a file of the company or a map cannot be read as declared
    ├── ImportRefusedError rows or money of an import do not add up, or too much was rejected
    ├── StoreError         the gateway's own files are missing or altered
    ├── BusyError          another process holds what this one needs
    ├── LedgerError        a request contradicts what the ledger already holds
    ├── SpecError          an experiment file is wrong
    ├── GuardError         a send list would reach somebody it must not reach
    ├── DesignError        a computation was asked for something impossible
    ├── ReportError        parameters of a report, or a run that failed
    └── ScheduleError      the schedule file is wrong, or its state cannot be read

A caller's mistake raises one of these. Data that cannot support an estimate never raises: the
result carries NaN and a ``reason``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crm_lab.language import say


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong: what was found, what was expected, where, and what to do.

    Attributes
    ----------
    found : str
        What was found, with the offending value.
    expected : str
        What would have been right; empty when ``found`` says it.
    where : str
        File, line, key or row; empty when there is no place to name.
    remedy : str
        What the reader does next; empty when it is obvious.
    """

    found: str
    expected: str = ""
    where: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.found}" if self.where else self.found]
        if self.expected:
            parts.append(say("Expected: {what}", what=self.expected))
        if self.remedy:
            parts.append(say("To do: {what}", what=self.remedy))
        ends = (part if part.endswith(("?", "!")) else part.rstrip(".") + "." for part in parts)
        return " ".join(ends)


class CrmLabError(Exception):
    """Root of every error that crm-lab raises on purpose; it carries one or more faults.

    Parameters
    ----------
    found : str or sequence of Fault
        What was found, or the faults themselves where several are reported at once.
    expected, where, remedy : str
        The other parts of the single fault; not used together with a sequence.
    """

    exit_code = 1

    def __init__(
        self,
        found: str | Sequence[Fault],
        *,
        expected: str = "",
        where: str = "",
        remedy: str = "",
    ) -> None:
        if isinstance(found, str):
            found = [Fault(found=found, expected=expected, where=where, remedy=remedy)]
        self.faults: tuple[Fault, ...] = tuple(found)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class SettingsError(CrmLabError):
    """The workbench folder or its settings file is missing or wrong."""


class FileError(CrmLabError):
    """A file of the company, or the map that describes it, cannot be read as declared."""


class ImportRefusedError(CrmLabError):
    """An import was refused whole: rows or money do not add up, or the map says to fail."""


class StoreError(CrmLabError):
    """The gateway's own files are missing, altered or of another version."""


class BusyError(CrmLabError):
    """Another process holds the lock that this one needs."""


class LedgerError(CrmLabError):
    """A request contradicts what the append-only ledger already holds."""


class SpecError(CrmLabError):
    """An experiment file is wrong; every fault of the file is reported at once."""


class GuardError(CrmLabError):
    """A send list would reach a control customer or somebody who may not be contacted."""


class DesignError(CrmLabError):
    """A computation was asked for something impossible, such as a share above 1."""


class ReportError(CrmLabError):
    """A report cannot run with these parameters, or its run failed."""


class ScheduleError(CrmLabError):
    """The schedule file is wrong, or what the schedule remembers cannot be read."""
