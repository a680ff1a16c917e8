"""What a workbench hands out: its control group, one experiment, lifetime value."""

from crm_lab.handles.context import Context, import_folder, now
from crm_lab.handles.control_group import ControlGroup
from crm_lab.handles.experiment import Experiment
from crm_lab.handles.lifetime import Lifetime

__all__ = ["Context", "ControlGroup", "Experiment", "Lifetime", "import_folder", "now"]
