"""crm-lab: a Jupyter-centred workbench for CRM campaign experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_lab.workbench import open_workbench

__all__ = ["open_workbench"]


def __getattr__(name: str) -> Any:
    """Load the workbench when it is asked for, so that importing the package does nothing."""
    if name == "open_workbench":
        from crm_lab.workbench import open_workbench

        return open_workbench
    if name == "__version__":
        from importlib.metadata import version

        return version("crm-lab")
    raise AttributeError(f"module 'crm_lab' has no attribute '{name}'")
