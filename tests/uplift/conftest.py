"""A workbench of a shop whose customers a gift card treats differently, made once per run."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from crm_lab.workbench import Workbench, open_workbench

HERE = Path(__file__).resolve().parent


def load_module(name: str, path: Path) -> ModuleType:
    """Load a module of the tests once per run, under one name, whoever asks."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def targeting() -> ModuleType:
    return load_module("targeting_shop", HERE / "targeting_shop.py")


@pytest.fixture(scope="session")
def targeting_folder(
    targeting: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    shops = load_module("shop_workbench", HERE.parent / "experiments" / "shop_workbench.py")
    folder = tmp_path_factory.mktemp("targeting")
    targeting.build(folder, shops)
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
