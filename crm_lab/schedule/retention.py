"""Which runs are kept: the last good ones, those a decision rests on, failures of late."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.gateway import Gateway
from crm_lab.language import message, say, say_many
from crm_lab.reports.catalogue import rebuild_index
from crm_lab.reports.manifest import (
    EXECUTED_NAME,
    MANIFEST_NAME,
    PAGE_NAME,
    Manifest,
    read_manifest,
)
from crm_lab.reports.staging import RUNS_FOLDER
from crm_lab.schedule.declared import RetentionDeclared

_GONE_PREFIX = ".pruned-"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRun:
    """One published run and whether it is kept.

    Attributes
    ----------
    folder : Path
        Its folder.
    kind, report, status : str
        Which report, and how it ended; ``unreadable`` without a manifest that can be read.
    started_at : datetime
        When.
    size_bytes : int
        Of its files.
    is_kept : bool
        Whether it stays.
    """

    folder: Path
    kind: str
    report: str
    status: str
    started_at: datetime
    size_bytes: int
    is_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Pruning(Result):
    """What retention removes.

    Attributes
    ----------
    runs : tuple of FoundRun
        Every run, newest first.
    is_done : bool
        Whether it was removed, or would be.
    """

    title: ClassVar[str] = message("Runs that are not kept")

    runs: tuple[FoundRun, ...]
    is_done: bool

    @property
    def removed(self) -> tuple[FoundRun, ...]:
        """The runs that go."""
        return tuple(run for run in self.runs if not run.is_kept)

    def sentence(self) -> str:
        """Say how many runs go and stay."""
        megabytes = formats.number(sum(run.size_bytes for run in self.removed) / 1e6, decimals=1)
        gone = say_many("{count} run", "{count} runs", len(self.removed))
        stay = say_many("{count} run", "{count} runs", len(self.runs) - len(self.removed))
        if self.is_done:
            text = message("Removed {gone} ({size} MB); kept {stay}.")
        else:
            text = message("Would remove {gone} ({size} MB) and keep {stay}; do it with --yes.")
        return say(text, gone=gone, size=megabytes, stay=stay)

    def to_frame(self) -> pd.DataFrame:
        """Give the runs that go, one row each."""
        names = ["kind", "report", "status", "started_at", "run_id", "size_bytes"]
        rows = [
            (run.kind, run.report, run.status, run.started_at, run.folder.name, run.size_bytes)
            for run in self.removed
        ]
        return pd.DataFrame(rows, columns=names)

    def card_frame(self) -> pd.DataFrame:
        """Give how many go of each report."""
        counted = Counter((run.kind, run.report, run.status) for run in self.removed)
        return pd.DataFrame(
            [
                {"kind": kind, "report": report, "status": status, "runs": count}
                for (kind, report, status), count in sorted(counted.items())
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """What the ledger says decisions rest on."""

    words: frozenset[str]
    on_snapshots: frozenset[tuple[str, str]]


def prune(
    reports_folder: Path,
    gateways: Sequence[Gateway],
    retention: RetentionDeclared,
    *,
    now: datetime,
    is_done: bool,
) -> Pruning:
    """Remove the runs that need not be kept, and make the list of runs anew.

    Kept are the last good runs of each report (kind and title), every run that a decision of the
    ledger rests on or that shows one, and failed runs of late.

    Parameters
    ----------
    reports_folder : Path
        The folder that holds ``runs``.
    gateways : sequence of Gateway
        Those whose ledgers hold decisions.
    retention : RetentionDeclared
        How many and how long.
    now : datetime
        The time, aware.
    is_done : bool
        False only says what would be removed.
    """
    found = _found(reports_folder, _decided(gateways), retention, now)
    pruning = Pruning(runs=found, is_done=is_done)
    if is_done and pruning.removed:
        gone = []
        for run in pruning.removed:  # out of sight in one step each, deleted afterwards
            place = reports_folder / f"{_GONE_PREFIX}{run.folder.name}"
            run.folder.rename(place)
            gone.append(place)
        rebuild_index(reports_folder)
    if is_done:
        for place in reports_folder.glob(f"{_GONE_PREFIX}*"):
            shutil.rmtree(place)
    return pruning


def _decided(gateways: Sequence[Gateway]) -> _Decided:
    words, on_snapshots = set(), set()
    for gateway in gateways:
        for entry in gateway.entries():
            payload = entry.payload
            words |= {str(payload[key]) for key in ("report", "result_sha256") if payload.get(key)}
            if entry.kind == "decision" and payload.get("snapshot"):
                on_snapshots.add((entry.subject, str(payload["snapshot"])))
    return _Decided(words=frozenset(words), on_snapshots=frozenset(on_snapshots))


def _found(
    reports_folder: Path, decided: _Decided, retention: RetentionDeclared, now: datetime
) -> tuple[FoundRun, ...]:
    good: defaultdict[tuple[str, str], int] = defaultdict(int)
    failures_from = now - timedelta(days=retention.keep_failed_days)
    runs = []
    for started_at, folder, manifest in sorted(
        _published(reports_folder), key=lambda item: (item[0], item[1].name), reverse=True
    ):
        report = (folder.parent.name, manifest.title if manifest else folder.name)
        if manifest is not None and manifest.status == "ok":
            good[report] += 1
            is_kept = good[report] <= retention.keep_good
        else:
            is_kept = started_at >= failures_from
        runs.append(
            FoundRun(
                folder=folder,
                kind=report[0],
                report=report[1],
                status=manifest.status if manifest else "unreadable",
                started_at=started_at,
                size_bytes=sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()),
                is_kept=is_kept or _carries_a_decision(folder, manifest, decided),
            )
        )
    return tuple(runs)


def _published(reports_folder: Path) -> Iterator[tuple[datetime, Path, Manifest | None]]:
    for folder in (reports_folder / RUNS_FOLDER).glob("*/*/"):
        manifest = read_manifest(folder / MANIFEST_NAME)
        if manifest is None:
            yield datetime.fromtimestamp(folder.stat().st_mtime, tz=UTC), folder, None
        else:
            yield manifest.started_at, folder, manifest


def _carries_a_decision(folder: Path, manifest: Manifest | None, decided: _Decided) -> bool:
    if manifest is not None:
        if manifest.decisions:
            return True
        read = str(manifest.context.get("snapshot", ""))
        for value in manifest.parameters.values():
            if (str(value), read) in decided.on_snapshots:
                return True
    return folder.name in decided.words or any(
        _sha256(folder / name) in decided.words
        for name in (MANIFEST_NAME, PAGE_NAME, EXECUTED_NAME)
        if decided.words and (folder / name).is_file()
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
