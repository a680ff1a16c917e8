"""One experiment of a workbench, from its file to its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from crm_lab.campaigns.loopback import Planted, PlantedCheck, read_planted, run_loopback
from crm_lab.campaigns.send_lists import SendListExport, export_send_list
from crm_lab.cards import Results
from crm_lab.errors import DesignError
from crm_lab.experiments import registry
from crm_lab.experiments.analysis import analyze
from crm_lab.experiments.assignment import bucket_ends
from crm_lab.experiments.control_group_spec import load_control_group
from crm_lab.experiments.differences import Difference, plan_differences
from crm_lab.experiments.enrolment import assign, assigned_at, registered_plan
from crm_lab.experiments.epochs import required_epoch
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.metrics import load_metrics
from crm_lab.experiments.naming import check_experiment
from crm_lab.experiments.plan import Plan, resolve
from crm_lab.experiments.preview import PlanPreview, preview
from crm_lab.experiments.results import ExperimentResult
from crm_lab.experiments.spec import load_experiment
from crm_lab.experiments.tagging_rules import load_tagging_rules
from crm_lab.gateway import ImportReport
from crm_lab.gateway.dialects import Dialect, HashedArms, arm_sql
from crm_lab.handles.context import Context, Handle, import_folder, now
from crm_lab.handles.decisions import Decisions
from crm_lab.handles.lifetime_effect import lifetime_effect
from crm_lab.language import say
from crm_lab.ltv.contrast import DEFAULT_REFITS, LifetimeContrast


class Experiment(Handle):
    """One experiment of a workbench, from its file to its result.

    Parameters
    ----------
    workbench : Context
        Where it runs.
    name : str
        Name of its file.
    """

    def __init__(self, workbench: Context, name: str) -> None:
        self._workbench = workbench
        self.name = name
        folder = workbench.settings.experiments_folder
        self.spec = load_experiment(folder, name)
        self.file_plan = resolve(
            self.spec,
            load_control_group(folder),
            timezone=workbench.settings.timezone,
            currency=workbench.settings.currency,
            metrics=load_metrics(folder),
        )

    def plan(self, *, as_of: datetime | None = None) -> PlanPreview:
        """Say what would be done and found, with every objection; changes nothing."""
        made = preview(self._workbench.gateway, self.file_plan, as_of=as_of or now())
        rules = load_tagging_rules(self._workbench.settings.experiments_folder)
        named = tuple(str(fault) for fault in check_experiment(self.spec, rules))
        return replace(made, objections=(*made.objections, *named))

    def register(self, *, by: str, as_of: datetime | None = None) -> str:
        """Freeze the plan by its hash and approve it, before anything is sent; give the hash."""
        at = as_of or now()
        digest = registry.register_plan(self._workbench.gateway, self.file_plan, by=by, at=at)
        if registry.current_status(self._workbench.gateway, self.name) == "draft":
            registry.change_status(
                self._workbench.gateway, self.name, "approved", by=by, at=at, note="plan registered"
            )
        return digest

    def change_status(
        self, to: registry.Status, *, by: str, note: str = "", as_of: datetime | None = None
    ) -> registry.StatusChange:
        """Move the experiment to its next status, with who did it and when."""
        return registry.change_status(
            self._workbench.gateway, self.name, to, by=by, at=as_of or now(), note=note
        )

    def decide(
        self,
        decision: registry.Decision,
        *,
        by: str,
        note: str = "",
        as_of: datetime | None = None,
    ) -> None:
        """Write down what was decided, on which data, and close the experiment."""
        registry.record_decision(
            self._workbench.gateway,
            self.name,
            decision=decision,
            by=by,
            at=as_of or now(),
            note=note,
            snapshot=self._workbench.gateway.snapshot().label,
            close=True,
        )

    def decisions(self) -> pd.DataFrame:
        """List what was decided: day, decision, by whom, note; one row saying so where nothing."""
        return self.decision_block().to_frame()

    def decision_block(self) -> Decisions:
        """Give what was decided as a card that reports carry as data."""
        return Decisions.of(self._workbench.gateway, self.name, about=self.name)

    def differences(self) -> tuple[Difference, ...]:
        """Say where the file departs from the registered plan; empty when it does not."""
        return plan_differences(self.registered(), self.file_plan)

    def sql(self, dialect: Dialect) -> str:
        """Write the draw for another engine, over its table ``customer``.

        Raises
        ------
        LedgerError
            The control group was never drawn.
        DesignError
            The draw is more than one hash: a layer, factors, or a control of its own.
        """
        plan = self.file_plan
        if plan.layer or plan.factors or plan.own_control_share:
            raise DesignError(
                say(
                    "the draw of '{name}' has a layer, factors or a control of its own",
                    name=self.name,
                ),
                expected=say("arms of one hash"),
                remedy=say("put it together from the expressions in docs/assignment-in-sql.md"),
            )
        epoch = required_epoch(self._workbench.gateway, plan.control_group)
        return arm_sql(
            dialect,
            HashedArms(salt=plan.salt, ends=bucket_ends(plan.shares)),
            source="customer",
            control=HashedArms(salt=epoch.drawn_salt, ends=bucket_ends({CONTROL: epoch.share})),
        )

    def assign(self, *, as_of: datetime | None = None) -> dict[str, int]:
        """Register the plan and draw the arms; give customers per variant."""
        return assign(self._workbench.gateway, self.file_plan, as_of=as_of or now())

    def export(self, *, as_of: datetime | None = None) -> SendListExport:
        """Write the send lists into ``lists/NAME``."""
        return export_send_list(
            self._workbench.gateway,
            self.registered(),
            folder=self.lists_folder,
            as_of=as_of or now(),
            timezone=self._workbench.settings.timezone,
        )

    def ingest(self, folder: Path | str, *, progress: bool = False) -> Results[ImportReport]:
        """Load what came back: every file of a folder through the map that fits its name."""
        assigned_at(self._workbench.gateway, self.name)
        return import_folder(self._workbench, Path(folder), progress=progress)

    def analyze(self, *, seed: int = 1, snapshot_id: int | None = None) -> ExperimentResult:
        """Read out what it brought, by the registered plan."""
        assigned_at(self._workbench.gateway, self.name)
        return analyze(
            self._workbench.gateway,
            self.registered(),
            rng=np.random.default_rng(seed),
            snapshot_id=snapshot_id,
            file_plan=self.file_plan,
        )

    def lifetime_effect(
        self,
        *,
        weeks: float = 26,
        arm: str | None = None,
        refits: int = DEFAULT_REFITS,
        seed: int = 1,
        progress: bool = False,
    ) -> LifetimeContrast:
        """Say what an arm adds to the value of a customer, so far and ``weeks`` ahead.

        Parameters
        ----------
        weeks : float
            How far to look after the window of the plan, or after the data where they end before.
        arm : str, optional
            Which arm; by default the first of the plan.
        refits : int
            Bootstrap refits of each arm.
        seed : int
            Seed of the bootstrap.
        progress : bool
            Whether to show a progress bar.

        Raises
        ------
        LedgerError
            The arms were never drawn.
        DesignError
            There is no such arm, or there are no orders in the window.
        """
        plan = self.registered()
        return lifetime_effect(
            self._workbench,
            plan,
            assigned_at=assigned_at(self._workbench.gateway, self.name),
            arm=arm or plan.arms[0],
            weeks=weeks,
            refits=refits,
            seed=seed,
            progress=progress,
        )

    def loopback(
        self, till: pd.DataFrame, *, effects: Mapping[str, float], folder: Path, seed: int = 1
    ) -> list[Planted]:
        """Let the loopback service consume the exported lists (see :func:`run_loopback`)."""
        plan = self.registered()
        lists = self.export().files
        return run_loopback(
            lists,
            till,
            effects=effects,
            ends_at=plan.ends_at,
            folder=folder,
            rng=np.random.default_rng(seed),
            timezone=self._workbench.settings.timezone,
        )

    def planted_check(self, result: ExperimentResult, folder: Path | str) -> PlantedCheck | None:
        """Compare the read-out with what a loopback run planted; None where there was none."""
        planted = read_planted(self._workbench.settings.folder / folder)
        if planted is None:
            return None
        rows = []
        for item in planted:
            arm = result.arm(item.arm)
            money = arm.revenue_total
            n = arm.customers
            ends = (money.estimate, money.low, money.high)
            estimate, low, high = (end / n if n else float("nan") for end in ends)
            rows.append((item, estimate, low, high))
        return PlantedCheck(
            rows=tuple(rows),
            customers={arm.arm: arm.customers for arm in result.arms},
            currency=result.plan.currency,
        )

    def registered(self) -> Plan:
        """Give the plan that the ledger holds.

        Raises
        ------
        LedgerError
            The experiment was never assigned.
        """
        plan = registered_plan(self._workbench.gateway, self.name)
        assert plan is not None  # required=True raises instead
        return plan

    @property
    def lists_folder(self) -> Path:
        """Where its send lists are written."""
        return self._workbench.settings.lists_folder / self.name
