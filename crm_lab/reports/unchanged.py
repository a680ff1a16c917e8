"""Whether a report must run at all: its last good run may have had the same inputs."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crm_lab.cards import plain
from crm_lab.reports.manifest import MANIFEST_NAME, Manifest, read_manifest, run_hash
from crm_lab.reports.masking import Mask
from crm_lab.reports.notebooks import digest
from crm_lab.reports.provenance import code_stamp, package_versions
from crm_lab.reports.staging import RUNS_FOLDER


def last_good_run(
    reports_folder: Path,
    *,
    kind: str,
    title: str,
    parameters: Mapping[str, Any],
    mask: Mask,
) -> tuple[Path, Manifest] | None:
    """Give folder and manifest of the last good run of a report with these very parameters."""
    published = mask.data(plain(parameters))
    wanted = f"-{run_hash(kind, title, parameters)}"
    folders = [
        folder
        for folder in (reports_folder / RUNS_FOLDER / kind).glob(f"*{wanted}*")
        if folder.name.endswith(wanted) or folder.name.rpartition("-")[0].endswith(wanted)
    ]
    found = [(folder, read_manifest(folder / MANIFEST_NAME)) for folder in folders]
    good = [
        (folder, manifest)
        for folder, manifest in found
        if manifest is not None
        and manifest.status == "ok"
        and (manifest.kind, manifest.title) == (kind, title)
        and manifest.parameters == published
    ]
    return max(good, key=lambda item: item[1].started_at, default=None)


def is_unchanged(
    manifest: Manifest, *, notebook: Path, context: Mapping[str, Any], mask: Mask
) -> bool:
    """Say whether a run would read what an earlier one with the same parameters has read.

    Parameters
    ----------
    manifest : Manifest
        Of the earlier run.
    notebook : Path
        The notebook as it is now.
    context : mapping
        What the caller states now: hashes of the data and of everything else that is read.
    mask : Mask
        That of the workbench, for what it states is compared as it would be published.
    """
    code = code_stamp()
    return (
        manifest.notebook.sha256 == digest(notebook)
        and manifest.context == mask.data(plain(context))
        and (manifest.code.version, manifest.code.source_sha256)
        == (code.version, code.source_sha256)
        and manifest.packages == package_versions()
        and manifest.python == platform.python_version()
    )
