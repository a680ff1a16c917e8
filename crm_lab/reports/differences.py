"""What differs between two runs of a report: parameters, data, plan, code, numbers.

The same comparison stands on every page ("what changed since the last run") and behind
``crm-lab report diff``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result, plain
from crm_lab.errors import ReportError
from crm_lab.headlines import verdict_look
from crm_lab.language import label, message, say, say_many, using_language, word
from crm_lab.reports.manifest import (
    MANIFEST_NAME,
    Change,
    ChangeKind,
    Manifest,
    read_manifest,
)
from crm_lab.reports.numbers import (
    INTERVAL_KEYS,
    estimated_numbers,
    is_same,
    main_result,
    shown_numbers,
)
from crm_lab.reports.staging import RUNS_FOLDER, slug

SUBJECT_PARAMETERS = ("gateway", "experiment", "campaign", "epoch", "month")
"""Parameters that say what a report is about: runs that differ in one are not compared."""
LATEST, PREVIOUS = "latest", "previous"
MAX_NUMBERS_ON_PAGE = 12
MAX_NUMBERS_IN_DIFF = 200
DIGEST_SHOWN = 12

KIND_WORDS: dict[ChangeKind, str] = {
    "parameter": message("parameters"),
    "data": message("data"),
    "plan": message("plan"),
    "notebook": message("notebook"),
    "code": message("code"),
    "package": message("packages"),
    "language": message("language"),
    "verdict": message("verdict"),
    "number": message("numbers"),
}
"""Kinds of change as a sentence lists them."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunDifferences(Result):
    """What differs between two runs.

    Attributes
    ----------
    before, after : str
        Their run ids.
    report_title : str
        Title of the later one.
    changes : tuple of Change
        In the order parameters, data, plan, notebook, code, packages, verdict, numbers.
    numbers_compared : int
        How many headline numbers both runs have.
    """

    title: ClassVar[str] = message("What differs between two runs")

    before: str
    after: str
    report_title: str
    changes: tuple[Change, ...]
    numbers_compared: int

    def sentence(self) -> str:
        """Say which kinds of things differ, and how many of the numbers."""
        if not self.changes:
            return say("The two runs agree in everything that is compared.")
        kinds = _listed_kinds(self.changes)
        said = say("Between the two runs differ: {kinds}.", kinds=kinds)
        if not self.numbers_compared:
            return said
        moved = [change for change in self.changes if change.kind == "number"]
        both = sum(change.before is not None and change.after is not None for change in moved)
        counted = say_many(
            "Of {count} headline number that both have, {moved} moved.",
            "Of {count} headline numbers that both have, {moved} moved.",
            self.numbers_compared,
            moved=formats.number(both),
        )
        return f"{said} {counted}"

    def to_dict(self) -> dict[str, Any]:
        """Give the comparison as data."""
        return {
            "before": self.before,
            "after": self.after,
            "report_title": self.report_title,
            "changes": [change.model_dump(mode="json") for change in self.changes],
            "numbers_compared": self.numbers_compared,
        }

    def to_frame(self) -> pd.DataFrame:
        """Give one row per difference: kind, what, before, after."""
        rows = [
            {
                "kind": change.kind,
                "what": change.what,
                "before": plain_text(change.before),
                "after": plain_text(change.after),
            }
            for change in self.changes
        ]
        return pd.DataFrame(rows, columns=["kind", "what", "before", "after"])

    def card_frame(self) -> pd.DataFrame:
        """Give the differences as people read them."""
        rows = [(say(KIND_WORDS[change.kind]), *change_text(change)) for change in self.changes]
        return pd.DataFrame(rows, columns=["kind", "what", "before", "after"])


def compare_runs(before: Manifest, after: Manifest) -> RunDifferences:
    """Compare two runs by their manifests."""
    changes, compared = _changes(before, after, on_page=False)
    return RunDifferences(
        before=before.run_id,
        after=after.run_id,
        report_title=after.title,
        changes=tuple(changes),
        numbers_compared=compared,
    )


def with_changes(manifest: Manifest, previous: Manifest | None) -> Manifest:
    """Give the manifest with what changed since the last good run of the same report.

    Parameters
    ----------
    manifest : Manifest
        Of the run that has just ended.
    previous : Manifest or None
        From :func:`previous_run`.
    """
    with using_language(manifest.language):
        if previous is None:
            sentence = say("This is the first run of this report.")
            return manifest.model_copy(update={"changes_sentence": sentence})
        changes, _ = _changes(previous, manifest, on_page=True)
        return manifest.model_copy(
            update={
                "previous_run_id": previous.run_id,
                "changes": changes,
                "changes_sentence": _sentence(previous, changes),
            }
        )


def previous_run(
    reports_folder: Path, *, kind: str, title: str, parameters: Mapping[str, Any]
) -> Manifest | None:
    """Give the last complete run of the same report about the same thing, or None.

    Parameters
    ----------
    reports_folder : Path
        The folder that holds ``runs``.
    kind, title : str
        Which report.
    parameters : mapping
        Of the present run; runs about another experiment, epoch or base are passed over.
    """
    asked = plain(parameters)
    folder = reports_folder / RUNS_FOLDER / kind
    stem = f"-{slug(title, default=kind)}-"
    for path in sorted(folder.glob("*"), key=lambda found: found.name, reverse=True):
        if stem not in path.name:
            continue
        found = read_manifest(path / MANIFEST_NAME)
        if (
            found is not None
            and found.status == "ok"
            and found.title == title
            and all(found.parameters.get(name) == asked.get(name) for name in SUBJECT_PARAMETERS)
        ):
            return found
    return None


def find_run(reports_folder: Path, name: str, *, of: str | None = None) -> Path:
    """Find the folder of a run.

    Parameters
    ----------
    reports_folder : Path
        The folder that holds ``runs``.
    name : str
        A run id or its unique beginning or part; or ``latest`` or ``previous``: the last or the
        last but one complete run.
    of : str, optional
        Title or kind of the report that ``latest`` and ``previous`` are about.

    Raises
    ------
    ReportError
        No run fits, or several.
    """
    folders = sorted(
        (path for path in (reports_folder / RUNS_FOLDER).glob("*/*") if path.is_dir()),
        key=lambda path: path.name,
    )
    if name in (LATEST, PREVIOUS):
        return _recent(folders, name, of)
    exact = [path for path in folders if path.name == name]
    fitting = (
        exact
        or [path for path in folders if path.name.startswith(name)]
        or [path for path in folders if name in path.name]
    )
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ReportError(
            say("{count} runs fit '{name}'", count=formats.number(len(fitting)), name=name),
            expected=say(
                "one of {runs}",
                runs=formats.listing([path.name for path in reversed(fitting)], limit=10),
            ),
        )
    raise ReportError(
        say("no run fits '{name}'", name=name),
        expected=say("a run id as on the page or in the list of reports, or a part of one"),
        where=str(reports_folder),
    )


def manifest_of(run_folder: Path) -> Manifest:
    """Read the manifest of a run.

    Raises
    ------
    ReportError
        It is missing or cannot be read.
    """
    manifest = read_manifest(run_folder / MANIFEST_NAME)
    if manifest is None:
        raise ReportError(
            say("the manifest of this run is missing or cannot be read"),
            where=str(run_folder / MANIFEST_NAME),
        )
    return manifest


def change_text(change: Change) -> tuple[str, str, str]:
    """Give what changed, and both values, as people read them in the current language."""
    sides = change.before, change.after
    is_shown = any(isinstance(side, Mapping) and side.get("text") for side in sides)
    what = change.what if is_shown else what_text(change.what)
    before, after = (
        _verdict_text(side) if change.kind == "verdict" else value_text(side) for side in sides
    )
    return what, before, after


def _verdict_text(code: Any) -> str:
    """Write a verdict with the words that stand at the top of a page."""
    return verdict_look(str(code)).word if code else say("none")


def what_text(what: str) -> str:
    """Give the name of a number or an input as people read it.

    Examples
    --------
    >>> what_text("experiment_result.arms[reminder].primary.absolute")
    'experiment result, arms: reminder, primary, absolute'
    """
    parts = []
    for part in what.replace("]", "").split("."):
        name, _, row = part.partition("[")
        parts.append(f"{label(name)}: {label(row)}" if row else label(name))
    return ", ".join(parts)


def value_text(value: Any) -> str:
    """Give a value of a change as people read it; an estimate with its interval."""
    if value is None:
        return say("none")
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, (int, float)):
        return formats.number(value, decimals=0 if value == int(value) else _places(value))
    if isinstance(value, Mapping):
        if value.get("text"):
            return str(value["text"])
        estimate, low, high = (value.get(key) for key in INTERVAL_KEYS)
        if estimate is None or low is None or high is None:
            return value_text(estimate)
        return formats.number_interval(estimate, low, high)
    if isinstance(value, list):
        return ", ".join(value_text(item) for item in value) or say("none")
    return word(str(value))


def plain_text(value: Any) -> str:
    """Give a value of a change for a table that machines read."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        estimate, low, high = (value.get(key) for key in INTERVAL_KEYS)
        if estimate is None:
            return str(value.get("text", ""))
        return f"{estimate} ({low} to {high})"
    return str(value)


def _places(value: float) -> int:
    return 2 if abs(value) >= 10 else 4


def _changes(before: Manifest, after: Manifest, *, on_page: bool) -> tuple[list[Change], int]:
    old, new = _headlines(before, after, on_page=on_page)
    numbers = [
        Change(what=name, kind="number", before=old.get(name), after=new.get(name))
        for name in _names(old, new)
        if not _is_same(old.get(name), new.get(name))
    ]
    most = MAX_NUMBERS_ON_PAGE if on_page else MAX_NUMBERS_IN_DIFF
    changes = [*_inputs(before, after), *_verdict(before, after), *numbers[:most]]
    return changes, len(old.keys() & new.keys())


def _headlines(
    before: Manifest, after: Manifest, *, on_page: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the headline numbers of both: those shown, where both show them in one language."""
    shown = _shown(before), _shown(after)
    if before.language != after.language or not all(shown):
        return estimated_numbers(before.results), estimated_numbers(after.results)
    if on_page:
        return shown
    more = estimated_numbers(before.results), estimated_numbers(after.results)
    return shown[0] | more[0], shown[1] | more[1]


def _shown(run: Manifest) -> dict[str, Any]:
    """Give the numbers at the top of the page; of a result that writes one as text, that text."""
    main = main_result(run.results)
    name = str(main[1].get("number_label", "")) if main else ""
    as_text = {name: {"text": main[1].get("number", "")}} if main and name else {}
    return shown_numbers(run.results) or as_text


def _inputs(before: Manifest, after: Manifest) -> Iterator[Change]:
    for name in _names(before.parameters, after.parameters):
        pair = before.parameters.get(name), after.parameters.get(name)
        if pair[0] != pair[1] and name not in ("snapshot", "language"):
            yield Change(what=name, kind="parameter", before=pair[0], after=pair[1])
    yield from _pairs(
        "data",
        data_from=(before.context.get("data_from"), after.context.get("data_from")),
        data_to=(before.context.get("data_to"), after.context.get("data_to")),
        snapshot=_snapshots(before, after),
    )
    yield from _pairs(
        "plan", registered_plan=(_short(before.plan_sha256), _short(after.plan_sha256))
    )
    yield from _pairs(
        "notebook",
        notebook=(
            f"{before.notebook.name} {_short(before.notebook.sha256)}",
            f"{after.notebook.name} {_short(after.notebook.sha256)}",
        ),
    )
    yield from _pairs("code", **_code(before, after))
    yield from _pairs("package", Python=(before.python, after.python))
    packages = _names(before.packages, after.packages)
    for name in packages:
        pair = before.packages.get(name), after.packages.get(name)
        if pair[0] != pair[1]:
            yield Change(what=name, kind="package", before=pair[0], after=pair[1])
    yield from _pairs("language", language=(before.language, after.language))


def _pairs(kind: ChangeKind, **pairs: tuple[Any, Any]) -> Iterator[Change]:
    for what, (before, after) in pairs.items():
        if before != after:
            yield Change(what=what, kind=kind, before=before, after=after)


def _snapshots(before: Manifest, after: Manifest) -> tuple[Any, Any]:
    """Give both snapshots, told apart by content: a new number over the same data is no change."""
    digests = [run.context.get("snapshot_sha256") for run in (before, after)]
    if digests[0] is not None and digests[0] == digests[1]:
        return None, None
    return before.context.get("snapshot"), after.context.get("snapshot")


def _code(before: Manifest, after: Manifest) -> dict[str, tuple[Any, Any]]:
    sources = before.code.source_sha256, after.code.source_sha256
    if None not in sources:
        if sources[0] == sources[1]:
            return {}
        versions = [
            f"{run.code.version} {_short(run.code.source_sha256)}" for run in (before, after)
        ]
    else:
        versions = [f"{run.code.version} {_short(run.code.commit)}" for run in (before, after)]
    return {"code_version": (versions[0], versions[1])}


def _verdict(before: Manifest, after: Manifest) -> Iterator[Change]:
    words = [run.verdict.word if run.verdict else None for run in (before, after)]
    if words[0] != words[1]:
        yield Change(what="verdict", kind="verdict", before=words[0], after=words[1])


def _is_same(before: Any, after: Any) -> bool:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = INTERVAL_KEYS if "estimate" in before else ("text",)
        return all(is_same(before.get(key), after.get(key)) for key in keys)
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        return False
    return is_same(before, after)


def _sentence(previous: Manifest, changes: list[Change]) -> str:
    when = formats.minute(previous.started_at)
    if not changes:
        return say("Nothing has changed since the run of {when} UTC.", when=when)
    kinds = _listed_kinds(change for change in changes if change.kind not in ("number", "verdict"))
    moved = sum(change.kind == "number" for change in changes)
    verdict = next((change for change in changes if change.kind == "verdict"), None)
    parts = [
        say("Since the run of {when} UTC changed: {kinds}.", when=when, kinds=kinds)
        if kinds
        else say("Nothing that goes in has changed since the run of {when} UTC.", when=when)
    ]
    if verdict is not None:
        parts.append(
            say(
                "The verdict was “{before}” and is “{after}”.",
                before=_verdict_text(verdict.before),
                after=_verdict_text(verdict.after),
            )
        )
    parts.append(
        say_many("{count} headline number moved.", "{count} headline numbers moved.", moved)
        if moved
        else say("The headline numbers are the same.")
    )
    return " ".join(parts)


def _listed_kinds(changes: Iterable[Change]) -> str:
    kinds = {change.kind for change in changes}
    return ", ".join(say(text) for kind, text in KIND_WORDS.items() if kind in kinds)


def _names(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*before, *after]))


def _short(digest: str | None) -> str:
    return digest[:DIGEST_SHOWN] if digest else ""


def _recent(folders: list[Path], name: str, of: str | None) -> Path:
    if of is None:
        raise ReportError(
            say("'{name}' of which report?", name=name),
            expected=say("its title or its kind with --of"),
        )
    good = [
        path
        for path in folders
        if (found := read_manifest(path / MANIFEST_NAME)) is not None
        and found.status == "ok"
        and of in (found.title, found.kind)
    ]
    place = 1 if name == LATEST else 2
    if len(good) < place:
        raise ReportError(
            say("{count} complete runs of '{report}'", count=formats.number(len(good)), report=of),
            expected=say("at least {count}", count=formats.number(place)),
        )
    return good[-place]
