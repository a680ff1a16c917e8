"""With what a run was computed: version and content of the code, versions of the packages."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import re
import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_DISTRIBUTION = "crm-lab"
_REQUIREMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_GIT_TIMEOUT_SECONDS = 10
_SOURCE_SUFFIXES = (".css", ".j2", ".js", ".po", ".py")


class CodeStamp(BaseModel):
    """Version of crm-lab; commit and state of its checkout where it is one.

    Attributes
    ----------
    version : str
        Of the package.
    commit : str or None
        Of the checkout.
    dirty : bool or None
        Whether the checkout held uncommitted changes.
    source_sha256 : str or None
        Over every source file of the package, so that any changed line shows.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    version: str
    commit: str | None = None
    dirty: bool | None = None
    source_sha256: str | None = None


def code_stamp() -> CodeStamp:
    """Give the version of crm-lab, with its commit where the package lies in its own checkout."""
    folder = Path(__file__).resolve().parents[1]
    # Asked for by name: the front of the package leads to everything, and reports may not.
    version: str = importlib.metadata.version(_DISTRIBUTION)
    source = source_sha256(folder)
    if not (folder.parent / ".git").exists():
        return CodeStamp(version=version, source_sha256=source)
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    return CodeStamp(
        version=version,
        commit=commit or None,
        dirty=None if changes is None else bool(changes),
        source_sha256=source,
    )


def source_sha256(folder: Path) -> str:
    """Give one SHA-256 over names and content of the source files under a folder."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in _SOURCE_SUFFIXES and path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.relative_to(folder).as_posix()}\n{content}\n".encode())
    return whole.hexdigest()


@functools.cache
def package_versions() -> dict[str, str]:
    """Give the installed versions of what crm-lab itself requires, by name."""
    try:
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    names = {
        match[0]
        for text in requirements
        if "extra ==" not in text and (match := _REQUIREMENT.match(text))
    }
    versions = {}
    for name in sorted(names, key=str.lower):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_SECONDS,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
