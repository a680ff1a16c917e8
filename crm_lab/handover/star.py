"""Star-schema tables of a workbench for BI tools, with a dictionary of every column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from crm_lab.gateway import star
from crm_lab.gateway.star import FileFormat
from crm_lab.handover.folders import Handover, hand_over
from crm_lab.handover.star_dictionary import dictionary
from crm_lab.reports.manifest import MANIFEST_NAME, Manifest, read_manifest
from crm_lab.reports.masking import masking_key
from crm_lab.reports.staging import RUNS_FOLDER
from crm_lab.workbench import Workbench

DICTIONARY_NAME = "README.md"
EXPERIMENT_RESULT = "experiment_result"
StarFormat = Literal["parquet", "csv", "both"]


def write_star(
    workbench: Workbench, folder: Path, *, file_format: StarFormat = "both", replace: bool = False
) -> Handover:
    """Write dimensions and facts of a workbench as tables whose keys join.

    Customers stand there by the keyed hash that the pages of reports show; names, addresses and
    ids do not leave the gateway. Everything comes from one snapshot; effects of experiments come
    from their last complete reports.

    Parameters
    ----------
    workbench : Workbench
        The opened workbench.
    folder : Path
        The folder to make.
    file_format : {"parquet", "csv", "both"}
        Which files to write.
    replace : bool, default False
        Whether an earlier hand-over in this folder gives way.

    Raises
    ------
    ReportError
        The folder is there already.
    StoreError
        There is no gateway.
    """
    formats: tuple[FileFormat, ...] = (
        ("parquet", "csv") if file_format == "both" else (file_format,)
    )
    settings = workbench.settings
    snapshot = workbench.gateway.snapshot()
    facts: dict[str, Any] = {
        "company": settings.company,
        "currency": settings.currency,
        "snapshot_sha256": snapshot.digest,
    }

    def write(place: Path) -> None:
        with workbench.gateway.reader(snapshot.snapshot_id) as reader:
            star.build_star(
                reader,
                key=masking_key(settings.folder),
                zone=settings.timezone,
                results=experiment_effects(settings.reports_folder),
                team_pools=team_pools(workbench),
            )
            rows = star.write_star(reader, place, formats=formats)
        facts["rows"] = rows
        text = dictionary(rows, currency=settings.currency, zone=settings.timezone)
        (place / DICTIONARY_NAME).write_text(text, encoding="utf-8")

    return hand_over(
        folder, write, kind="star", source=snapshot.label, facts=facts, replace=replace
    )


def experiment_effects(reports_folder: Path) -> pd.DataFrame:
    """Give the effects of each experiment from its last complete report, one row each."""
    last: dict[str, Manifest] = {}
    for path in sorted((reports_folder / RUNS_FOLDER).glob(f"*/*/{MANIFEST_NAME}")):
        manifest = read_manifest(path)
        if manifest is None or manifest.status != "ok":
            continue
        for data in _experiment_results(manifest):
            name = str(data.get("plan", {}).get("name", ""))
            before = last.get(name)
            if name and (before is None or before.started_at < manifest.started_at):
                last[name] = manifest
    rows = [row for name, manifest in sorted(last.items()) for row in _effects(name, manifest)]
    return pd.DataFrame(rows, columns=list(star.RESULT_TYPES)).astype(object)


def team_pools(workbench: Workbench) -> pd.DataFrame:
    """Give who answers for each experiment, as its registered plan says."""
    owners = {
        entry.subject: str(entry.payload.get("plan", {}).get("owner", ""))
        for entry in workbench.gateway.entries(kind="plan_registered")
    }
    return pd.DataFrame(owners.items(), columns=list(star.POOL_TYPES)).astype(object)


def _experiment_results(manifest: Manifest) -> Iterator[Mapping[str, Any]]:
    for result in manifest.results:
        if result.get("kind") == EXPERIMENT_RESULT and isinstance(result.get("data"), Mapping):
            yield result["data"]


def _effects(name: str, manifest: Manifest) -> Iterator[dict[str, Any]]:
    for data in _experiment_results(manifest):
        if data.get("plan", {}).get("name") != name:
            continue
        for arm in data.get("arms", []):
            for comparison in arm.get("comparisons", []):
                for measure in ("absolute", "relative"):
                    effect = comparison.get(measure)
                    if isinstance(effect, Mapping):
                        yield {
                            "run_id": manifest.run_id,
                            "campaign_key": name,
                            "variant": arm.get("arm"),
                            "reported_on": manifest.finished_at.date(),
                            "metric": comparison.get("metric"),
                            "scale": comparison.get("scale"),
                            "measure": measure,
                            "verdict": arm.get("verdict"),
                            **{
                                key: effect.get(key)
                                for key in (
                                    "estimate",
                                    "low",
                                    "high",
                                    "p_value",
                                    "alpha",
                                    "n_treatment",
                                    "n_control",
                                )
                            },
                        }
