"""Several reports at once: on the machine's cores, from kernels that start warm."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from tqdm import tqdm

from crm_lab.errors import DesignError
from crm_lab.language import current_language, say, using_language
from crm_lab.publishing.requests import ReportRequest, RunOptions, run_request

if TYPE_CHECKING:
    from crm_lab.reports import RunBatch, RunRecord
    from crm_lab.reports.warm_kernels import WarmParent


def cores() -> int:
    """Give the number of cores that this process may use."""
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1


def run_batch(
    requests: Sequence[ReportRequest],
    *,
    jobs: int | None = None,
    options: RunOptions | None = None,
    is_warm: bool = True,
    progress: bool = False,
    on_done: Callable[[ReportRequest, RunRecord], None] | None = None,
) -> RunBatch:
    """Run several requests, some at a time, and publish a page for each.

    A run that fails does not stop the others. Kernels are forked from one parent that has
    imported what reports need and ends with the batch; where that is not to be had they start
    cold.

    Parameters
    ----------
    requests : sequence of ReportRequest
        From :func:`crm_lab.publishing.report_request`; they start in this order.
    jobs : int, optional
        How many run at once, at least 1; by default one more than there are cores, because a run
        also waits, for its kernel to start and to end.
    options : RunOptions, optional
        How each of them runs.
    is_warm : bool, default True
        Whether kernels are forked; a single run starts cold all the same.
    progress : bool, default False
        Whether to draw a progress bar over the runs.
    on_done : callable, optional
        Told of each run as soon as it has ended, in the order in which they end.

    Raises
    ------
    BusyError
        One of the reports has been running elsewhere with the same parameters for longer than its
        time limit allows; the batch is stopped.
    KeyboardInterrupt
        The user interrupted the batch: every kernel is ended, and only what was complete before
        is published.
    """
    from crm_lab.reports import RunBatch, rebuild_index
    from crm_lab.reports.kernels import warm_parent

    if jobs is not None and jobs < 1:
        raise DesignError(say("{count} runs at once", count=jobs), expected=say("at least 1"))
    workers = min(jobs or cores() + 1, max(len(requests), 1))
    begun = time.monotonic()
    runs: list[RunRecord] = []
    for (folder, reports_folder), group in groupby(
        requests, key=lambda request: (request.working_folder, request.reports_folder)
    ):
        chosen = list(group)
        with warm_parent(folder) if is_warm and len(chosen) > 1 else nullcontext() as parent:
            try:
                runs += _run_all(
                    chosen,
                    workers,
                    options or RunOptions(),
                    parent,
                    progress=progress,
                    on_done=on_done,
                )
            finally:
                rebuild_index(reports_folder)
    return RunBatch(
        runs=tuple(runs), duration_seconds=round(time.monotonic() - begun, 3), jobs=workers
    )


def _run_all(
    requests: Sequence[ReportRequest],
    workers: int,
    options: RunOptions,
    parent: WarmParent | None,
    *,
    progress: bool,
    on_done: Callable[[ReportRequest, RunRecord], None] | None,
) -> list[RunRecord]:
    stop = threading.Event()
    language = current_language()

    def run(request: ReportRequest) -> RunRecord:
        # A batch does not fail because somebody runs one of its reports: it waits for that run.
        patient = replace(options, wait_seconds=options.wait_seconds or request.timeout_seconds)
        with using_language(language):
            return run_request(request, options=patient, warm_parent=parent, stop=stop, index=False)

    with (
        tqdm(total=len(requests), unit=say("report"), disable=not progress) as bar,
        ThreadPoolExecutor(workers, thread_name_prefix="crm-lab-batch") as pool,
    ):
        futures = {pool.submit(run, request): request for request in requests}
        try:
            pending: set[Future[RunRecord]] = set(futures)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    record = future.result()
                    bar.set_postfix_str(f"{record.report_title}: {record.status}")
                    bar.update()
                    if on_done is not None:
                        on_done(futures[future], record)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [future.result() for future in futures]
