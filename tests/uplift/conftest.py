"""A workbench of a shop whose customers a gift card treats differently, made once per run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench
from tests.uplift import targeting_shop


@pytest.fixture(scope="session")
def targeting() -> ModuleType:
    return targeting_shop


@pytest.fixture(scope="session")
def targeting_folder(
    targeting: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("targeting")
    targeting.build(folder, shop_workbench)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def targeting_workbench(targeting_folder: Path) -> Workbench:
    """For tests that only read."""
    return open_workbench(targeting_folder)


@pytest.fixture
def targeting_copy(targeting_folder: Path, tmp_path: Path) -> Callable[[], Workbench]:
    """Gives a fresh copy, for tests that change it."""

    def copy() -> Workbench:
        return open_workbench(shutil.copytree(targeting_folder, tmp_path / "copy"))

    return copy
