"""What became of runs: the record of one, and of several that ran together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.language import message, say, say_many
from crm_lab.reports import wording

RunStatus = Literal["ok", "failed", "unchanged"]

_UNCHANGED = message(
    "{title} was not run: nothing has changed since its last good run (--force runs it all the"
    " same). Its page: {page}"
)
_MEMORY = message("The kernel held at most {size} MB.")
_ATTEMPTS = message("{count} kernels were needed, because one died.")
_FAILED = message("{title} failed: {error}")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunRecord(Result):
    """What became of one run of a report.

    Attributes
    ----------
    run_id : str
        Unique id, also the name of its folder; of the last good run where nothing has changed.
    kind, report_title : str
        Which report it was.
    status : str
        ``ok``, ``failed``, or ``unchanged`` where the run was left out because its last good run
        had the same inputs.
    folder : Path
        The published folder with page, executed notebook and manifest.
    html : Path
        The page.
    duration_seconds : float
        Wall-clock time of the execution; 0 where nothing ran.
    verdict : str or None
        The verdict word, where the report gave one.
    headline : str
        The sentence of the verdict, of the first result, or of the failure.
    error : str or None
        Why it failed.
    peak_memory_bytes : int or None
        Most memory that the kernel held.
    attempts : int
        How many kernels the run took; 0 where nothing ran.
    """

    title: ClassVar[str] = message("Report run")

    run_id: str
    kind: str
    report_title: str
    status: RunStatus
    folder: Path
    html: Path
    duration_seconds: float
    verdict: str | None = None
    headline: str = ""
    error: str | None = None
    peak_memory_bytes: int | None = None
    attempts: int = 1

    @property
    def is_good(self) -> bool:
        """Whether a good page of these inputs is there."""
        return self.status != "failed"

    def sentence(self) -> str:
        """Say how the run ended and where its page is."""
        if self.status == "unchanged":
            return say(_UNCHANGED, title=self.report_title, page=str(self.html))
        said = wording.run_sentence(
            title=self.report_title,
            seconds=self.duration_seconds,
            page=str(self.html),
            verdict=self.verdict,
            error=self.error,
        )
        notes = []
        if self.attempts > 1:
            notes.append(say(_ATTEMPTS, count=formats.number(self.attempts)))
        if self.peak_memory_bytes is not None:
            notes.append(say(_MEMORY, size=formats.number(self.peak_memory_bytes / 1e6)))
        return " ".join([said, *notes])

    def to_frame(self) -> pd.DataFrame:
        """Give the record as one row."""
        return pd.DataFrame([self.to_dict()])

    def card_frame(self) -> pd.DataFrame:
        """Give the three facts that the sentence does not say."""
        status = say(wording.STATUS_WORDS[self.status])
        return self.to_frame()[["run_id", "kind"]].assign(status=status)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunBatch(Result):
    """What became of several runs.

    Attributes
    ----------
    runs : tuple of RunRecord
        In the order in which they were asked for.
    duration_seconds : float
        Wall-clock time of all together.
    jobs : int
        How many ran at once.
    """

    title: ClassVar[str] = message("Report runs")

    runs: tuple[RunRecord, ...]
    duration_seconds: float
    jobs: int

    @property
    def is_good(self) -> bool:
        """Whether no run failed."""
        return all(run.is_good for run in self.runs)

    @property
    def failed(self) -> tuple[RunRecord, ...]:
        """The runs that failed."""
        return tuple(run for run in self.runs if not run.is_good)

    def sentence(self) -> str:
        """Say how many were published, unchanged and failed, and why the first one failed."""
        count = Counter(run.status for run in self.runs)
        parts = [
            say_many(
                "{count} report was published.", "{count} reports were published.", count["ok"]
            )
        ]
        if count["unchanged"]:
            parts.append(
                say_many(
                    "{count} was not run, because nothing has changed.",
                    "{count} were not run, because nothing has changed.",
                    count["unchanged"],
                )
            )
        if count["failed"]:
            parts.append(say_many("{count} failed.", "{count} failed.", count["failed"]))
            first = self.failed[0]
            parts.append(say(_FAILED, title=first.report_title, error=first.error or ""))
        took = wording.duration(self.duration_seconds)
        parts.append(
            say_many(
                "It took {time}, one at a time.",
                "It took {time}, {count} at a time.",
                self.jobs,
                time=took,
            )
        )
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per run."""
        columns = list(RunRecord.__dataclass_fields__)
        return pd.DataFrame([run.to_dict() for run in self.runs], columns=columns)

    def card_frame(self) -> pd.DataFrame:
        """Give one line per run: what, how it ended, how long it took, what it held."""
        return pd.DataFrame(
            {
                "report": [run.report_title for run in self.runs],
                "status": [say(wording.STATUS_WORDS[run.status]) for run in self.runs],
                "seconds": [round(run.duration_seconds, 1) for run in self.runs],
                "memory_mb": [round((run.peak_memory_bytes or 0) / 1e6) for run in self.runs],
                "result": [run.error or _said(run.verdict) for run in self.runs],
            }
        )


def _said(verdict: str | None) -> str:
    return say(wording.verdict_look(verdict).word) if verdict else ""
