"""Which runs are kept: the last good ones, those a decision rests on, failures of late."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

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
from crm_lab.reports.notebooks import digest
from crm_lab.reports.staging import RUNS_FOLDER
from crm_lab.schedule.declared import RetentionDeclared

_GONE_PREFIX = ".pruned-"
_EPOCH_PREFIX = "epoch:"


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
class _Published:
    """One run as it lies there; without a manifest where that cannot be read."""

    folder: Path
    started_at: datetime
    manifest: Manifest | None

    @property
    def is_good(self) -> bool:
        return self.manifest is not None and self.manifest.status == "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """One decision of a ledger: about what, the how many-th about it, when, and resting on what."""

    about: str
    is_on_epoch: bool
    place: int
    moments: frozenset[datetime]
    words: frozenset[str]
    snapshot: str
    plan_sha256: str


def prune(
    reports_folder: Path,
    gateways: Sequence[Gateway],
    retention: RetentionDeclared,
    *,
    now: datetime,
    is_done: bool,
) -> Pruning:
    """Remove the runs that need not be kept, and make the list of runs anew.

    Kept are the last good runs of each report (kind and title), failed runs of late, and the runs
    that decisions and revisions of the ledger rest on: the one that is named, else of each report
    about the same experiment or epoch the last good run before the decision, else the first one. A
    run that shows decisions of which no ledger knows is kept, too.

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
    found = _found(reports_folder, gateways, retention, now)
    pruning = Pruning(runs=found, is_done=is_done)
    if is_done and pruning.removed:
        for run in pruning.removed:  # out of sight in one step each, deleted afterwards
            place = reports_folder / f"{_GONE_PREFIX}{run.folder.name}"
            run.folder.rename(place)
        rebuild_index(reports_folder)
    if is_done:
        for place in reports_folder.glob(f"{_GONE_PREFIX}*"):
            shutil.rmtree(place)
    return pruning


def _found(
    reports_folder: Path, gateways: Sequence[Gateway], retention: RetentionDeclared, now: datetime
) -> tuple[FoundRun, ...]:
    published = sorted(
        _published(reports_folder), key=lambda run: (run.started_at, run.folder.name), reverse=True
    )
    read = _read_for_decisions(published, gateways)
    good: defaultdict[tuple[str, str], int] = defaultdict(int)
    failures_from = now - timedelta(days=retention.keep_failed_days)
    runs = []
    for run in published:
        folder, manifest = run.folder, run.manifest
        report = (folder.parent.name, manifest.title if manifest else folder.name)
        if run.is_good:
            good[report] += 1
            is_kept = good[report] <= retention.keep_good
        else:
            is_kept = run.started_at >= failures_from
        runs.append(
            FoundRun(
                folder=folder,
                kind=report[0],
                report=report[1],
                status=manifest.status if manifest else "unreadable",
                started_at=run.started_at,
                size_bytes=sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()),
                is_kept=is_kept or folder in read,
            )
        )
    return tuple(runs)


def _published(reports_folder: Path) -> Iterator[_Published]:
    for folder in (reports_folder / RUNS_FOLDER).glob("*/*/"):
        manifest = read_manifest(folder / MANIFEST_NAME)
        changed_at = datetime.fromtimestamp(folder.stat().st_mtime, tz=UTC)
        started_at = changed_at if manifest is None else manifest.started_at
        yield _Published(folder=folder, started_at=started_at, manifest=manifest)


def _read_for_decisions(
    published: Sequence[_Published], gateways: Sequence[Gateway]
) -> frozenset[Path]:
    """Give the folders of the runs, newest first, that the ledgers' decisions rest on."""
    decisions, words = _ledger_of(gateways)
    named = _named(published, words)
    kept = {folder for folders in named.values() for folder in folders}
    shown = {run.folder for run in published if run.manifest and run.manifest.decisions}
    for taken in decisions:
        about = [(run, run.manifest) for run in published if run.manifest and _is_about(run, taken)]
        shown -= {run.folder for run, _ in about}
        if not any(word in named for word in taken.words):
            kept |= _read_before(taken, [pair for pair in about if pair[0].is_good])
    return frozenset(kept | shown)  # whose decisions no ledger holds: nobody knows what was read


def _read_before(taken: _Taken, about: Sequence[tuple[_Published, Manifest]]) -> frozenset[Path]:
    """Give of each report the last run that could be read for a decision, else the first one."""
    unaware = [pair for pair in about if _decisions_shown(pair[1], taken.about) <= taken.place]
    found: set[Path] = set()
    for moment in taken.moments:
        before = [pair for pair in unaware if pair[1].finished_at <= moment]
        on_snapshot = [pair for pair in before if pair[1].context.get("snapshot") == taken.snapshot]
        found |= _first_of_each(before) | _first_of_each(on_snapshot)
    return frozenset(found) or _first_of_each(about[::-1])


def _first_of_each(runs: Iterable[tuple[_Published, Manifest]]) -> frozenset[Path]:
    first: dict[tuple[str, ...], Path] = {}
    for run, manifest in runs:
        base = str(manifest.parameters.get("gateway"))
        report = (run.folder.parent.name, manifest.title, manifest.language, base)
        first.setdefault(report, run.folder)
    return frozenset(first.values())


def _ledger_of(gateways: Sequence[Gateway]) -> tuple[list[_Taken], frozenset[str]]:
    """Give the decisions of the ledgers, and every run or hash that their entries name."""
    decisions, words = [], set()
    for gateway in gateways:
        places: Counter[str] = Counter()
        for entry in gateway.entries():
            payload = entry.payload
            named = {str(payload[key]) for key in ("report", "result_sha256") if payload.get(key)}
            words |= named
            if entry.kind != "decision":
                continue
            decisions.append(
                _Taken(
                    about=entry.subject.removeprefix(_EPOCH_PREFIX),
                    is_on_epoch=entry.subject.startswith(_EPOCH_PREFIX),
                    place=places[entry.subject],
                    moments=_moments(entry.at, payload.get("at")),
                    words=frozenset(named),
                    snapshot=str(payload.get("snapshot") or ""),
                    plan_sha256=str(payload.get("plan_sha256") or ""),
                )
            )
            places[entry.subject] += 1
    return decisions, frozenset(words)


def _moments(written_at: datetime, taken_at: object) -> frozenset[datetime]:
    """Give when a decision was written down and when it was taken, where that was before."""
    written = written_at if written_at.tzinfo else written_at.replace(tzinfo=UTC)
    try:
        taken = datetime.fromisoformat(str(taken_at))
    except ValueError:
        return frozenset({written})
    return frozenset({written, min(written, taken if taken.tzinfo else taken.replace(tzinfo=UTC))})


def _named(published: Sequence[_Published], words: frozenset[str]) -> dict[str, list[Path]]:
    """Give the runs that the ledgers name, by their id or by the hash of one of their files."""
    named: defaultdict[str, list[Path]] = defaultdict(list)
    for run in published:
        if run.folder.name in words:
            named[run.folder.name].append(run.folder)
    if hashes := words - set(named):
        for run in published:
            files = (run.folder / name for name in (MANIFEST_NAME, PAGE_NAME, EXECUTED_NAME))
            for sha256 in {digest(file) for file in files if file.is_file()} & hashes:
                named[sha256].append(run.folder)
    return dict(named)


def _is_about(run: _Published, taken: _Taken) -> bool:
    manifest = run.manifest
    assert manifest is not None
    shown = {str(data.get("about")) for data in _decision_blocks(manifest)}
    if taken.about in shown or taken.about in map(str, manifest.parameters.values()):
        return True
    if taken.plan_sha256 and manifest.plan_sha256 == taken.plan_sha256:
        return True
    is_on_open_epoch = "epoch" in manifest.parameters and manifest.parameters["epoch"] is None
    return taken.is_on_epoch and is_on_open_epoch and not shown


def _decisions_shown(manifest: Manifest, about: str) -> int:
    """Count the decisions that a run shows; it shows all that there were, in their order."""
    for data in _decision_blocks(manifest):
        if data.get("about") == about:
            return len(data["decisions"])
    return len(manifest.decisions)


def _decision_blocks(manifest: Manifest) -> list[Mapping[str, Any]]:
    found = (payload.get("data") for payload in manifest.results)
    return [
        data
        for data in found
        if isinstance(data, Mapping) and isinstance(data.get("decisions"), list)
    ]
