"""The synthetic shop and its workbench, for requests of real reports."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_shop_workbench() -> ModuleType:
    """Load the module beside this file once per run, under one name, whoever asks."""
    name = "shop_workbench"
    if name not in sys.modules:
        path = Path(__file__).resolve().parent.parent / "experiments" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


globals().update(load_shop_workbench().fixtures())
