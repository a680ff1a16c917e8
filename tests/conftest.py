"""What every test shares: where outside data lies, and how Hypothesis searches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from crm_lab.formats import using_timezone
from crm_lab.language import using_language

PROJECT = Path(__file__).resolve().parent.parent

# Figures are drawn into files here, whatever the machine's screen. Set before matplotlib is loaded.
os.environ.setdefault("MPLBACKEND", "Agg")

# "ci" finds the same examples everywhere; HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def outside_folder(variable: str, name: str) -> Path:
    """Folder named by the environment variable, else ``../shared/<name>``; skips where absent."""
    named = os.environ.get(variable)
    folder = Path(named) if named else PROJECT.parent / "shared" / name
    if not folder.is_dir():
        pytest.skip(
            f"{folder} is not here: {variable} names the folder of the shared {name}",
            allow_module_level=True,
        )
    return folder


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """Every test begins in English and in UTC, whatever another one opened."""
    with using_language("en"), using_timezone("UTC"):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real public data for tests that may not be copied into the project."""
    return outside_folder("CRM_LAB_TEST_DATA", "data")


@pytest.fixture(scope="session")
def reference() -> Path:
    """Reference numbers of other packages and of papers (``*_oracles.json``)."""
    return outside_folder("CRM_LAB_TEST_REFERENCE", "reference")
