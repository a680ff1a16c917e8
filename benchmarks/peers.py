"""Environments of their own for packages that a benchmark compares with.

They lie in ``.bench-peers/`` beside the project's environment and are made once; nothing that is
installed there can change what crm-lab is tested with.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".bench-peers"


def peer_python(
    name: str, packages: Sequence[str], *, versions: Sequence[str] = ("3.11", "3.12", "3.13")
) -> Path:
    """Give the interpreter of an environment that holds some packages; make it where needed.

    Parameters
    ----------
    name : str
        Name of the environment.
    packages : sequence of str
        What pip installs, with versions.
    versions : sequence of str
        Python versions that will do, the best first.

    Raises
    ------
    RuntimeError
        No such Python is here, or the packages cannot be installed; says which.
    """
    digest = hashlib.sha256("\n".join([*packages, *versions]).encode()).hexdigest()[:12]
    folder = FOLDER / f"{name}-{digest}"
    python = folder / "bin" / "python"
    if (folder / ".installed").exists():
        return python
    interpreter = next(filter(None, map(_interpreter, versions)), None)
    if interpreter is None:
        raise RuntimeError(f"the peer {name} needs Python {' or '.join(versions)}")
    shutil.rmtree(folder, ignore_errors=True)
    steps = (
        [interpreter, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise RuntimeError(f"the peer {name} could not be made: {done.stderr.strip()[-400:]}")
    (folder / ".installed").touch()
    return python


def _interpreter(version: str) -> str | None:
    """Find a Python of a version that really runs: on the path, or one of the project's own."""
    candidates = [
        sys.executable,
        shutil.which(f"python{version}"),
        FOLDER.with_name(f".venv-{version}") / "bin" / "python",
        *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")),
    ]
    question = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for candidate in candidates:
        if candidate is None or not Path(candidate).exists():
            continue
        answer = subprocess.run(
            [str(candidate), "-c", question], capture_output=True, text=True, check=False
        )
        if answer.stdout.strip() == version:
            return str(candidate)
    return None
