"""Reports started from JupyterLab's own job screen, where jupyter-scheduler is installed.

The job screen is a front door: what it starts goes through the same runner as every report, with
its checks, limits, manifest and list. Parameters typed there are texts and never become code. The
clock is not there, since jobs of a server run only while the server does: see ``serving`` and
``installing``. Switched on with::

    jupyter lab --Scheduler.execution_manager_class=\
crm_lab.schedule.jupyter_jobs.ReportExecutionManager
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from crm_lab.errors import ReportError

try:
    from jupyter_scheduler.executors import (  # type: ignore[import-not-found]
        DefaultExecutionManager,
    )
except ModuleNotFoundError:  # without the extra 'scheduler' nobody asks for this class
    DefaultExecutionManager = object


class ReportExecutionManager(DefaultExecutionManager):  # type: ignore[misc]
    """Runs the notebook of a job as a report of the workbench that the server stands in."""

    def execute(self) -> None:
        """Run the job; its output files are the published page and the executed notebook.

        Raises
        ------
        CrmLabError
            There is no workbench, or the notebook or a parameter is refused; nothing ran.
        ReportError
            The report failed; its page is published all the same.
        """
        from crm_lab.publishing import report_request, run_request
        from crm_lab.reports.manifest import EXECUTED_NAME
        from crm_lab.workbench import open_workbench

        os.chdir(self.root_dir)  # this process is the job's own; the workbench is found from here
        job = self.model
        request = report_request(
            open_workbench(), self.staging_paths["input"], job.parameters or {}, as_text=True
        )
        record = run_request(request)
        made = {"html": record.html, "ipynb": record.folder / EXECUTED_NAME}
        for output_format in job.output_formats or ():
            target = Path(self.staging_paths[output_format])
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made[output_format], target)
        if not record.is_good:
            raise ReportError(record.error or record.sentence())
