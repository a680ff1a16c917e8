"""What a workbench hands out: its control group, one experiment, lifetime value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from crm_lab.campaigns.loopback import Planted, PlantedCheck, read_planted, run_loopback
from crm_lab.campaigns.send_lists import SendListExport, export_send_list
from crm_lab.errors import DesignError, FileError, LedgerError
from crm_lab.experiments import control_group, registry
from crm_lab.experiments.analysis import analyze
from crm_lab.experiments.assignment import bucket_ends
from crm_lab.experiments.audit import ContaminationAudit, audit
from crm_lab.experiments.control_group import ControlGroupStatus
from crm_lab.experiments.differences import Difference, plan_differences
from crm_lab.experiments.enrolment import assign, assigned_at, registered_plan
from crm_lab.experiments.epochs import Epoch, epochs, required_epoch
from crm_lab.experiments.naming import check_experiment, load_tagging_rules
from crm_lab.experiments.outlook import HoldoutOutlook, outlook
from crm_lab.experiments.plan import Plan, resolve
from crm_lab.experiments.preview import PlanPreview, preview
from crm_lab.experiments.results import ExperimentResult
from crm_lab.experiments.rotation import (
    Independence,
    RotationAdvice,
    independence,
    rotation_advice,
)
from crm_lab.experiments.spec import (
    CONTROL,
    ControlGroupSpec,
    load_control_group,
    load_experiment,
)
from crm_lab.gateway import Gateway, ImportReport, load_maps, operations
from crm_lab.gateway.dialects import Dialect, HashedArms, arm_sql
from crm_lab.ltv import (
    LifetimeForecast,
    PurchaseHistory,
    Validation,
    forecast,
    history_from_summary,
    validate,
)
from crm_lab.settings import Settings


class Context:
    """One workbench folder with its gateway: what everything that is handed out needs.

    Parameters
    ----------
    settings : Settings
        Of the folder.
    snapshot : int, optional
        Snapshot that everything is read from; by default each read takes the latest.
    """

    def __init__(self, settings: Settings, *, snapshot: int | None = None) -> None:
        self.settings = settings
        self.gateway = Gateway(
            settings.gateway_folder,
            currency=settings.currency,
            threads=settings.declared.threads,
            snapshot_id=snapshot,
        )

    def day_start(self, day: date) -> datetime:
        """Give the moment (UTC, without zone) at which a day of the company's zone begins."""
        local = datetime.combine(day, time(), tzinfo=ZoneInfo(self.settings.timezone))
        return local.astimezone(UTC).replace(tzinfo=None)

    def last_day(self) -> date:
        """Give the last day with orders, in the company's zone.

        Raises
        ------
        FileError
            The gateway holds no orders.
        """
        with self.gateway.reader() as reader:
            last = reader.one(operations.imported_until())["last_order_at"]
        if not isinstance(last, datetime):
            raise FileError("the gateway holds no orders", remedy="import an order file first")
        return self.local_day(last)

    def local_day(self, moment: datetime) -> date:
        """Give the day of the company's zone in which a moment (UTC, without zone) lies."""
        zone = ZoneInfo(self.settings.timezone)
        return moment.replace(tzinfo=UTC).astimezone(zone).date()


class ControlGroup:
    """The standing control group of a workbench.

    Parameters
    ----------
    workbench : Context
        Where it stands.
    spec : ControlGroupSpec
        Its rule.
    """

    def __init__(self, workbench: Context, spec: ControlGroupSpec) -> None:
        self._workbench = workbench
        self.spec = spec

    def epoch(self) -> Epoch:
        """Give the open epoch as the ledger holds it.

        Raises
        ------
        LedgerError
            The group was never drawn.
        """
        return required_epoch(self._workbench.gateway, self.spec.name)

    def outlook(
        self, *, share: float | None = None, as_of: datetime | None = None
    ) -> HoldoutOutlook:
        """Say what the group would see and hold back, before it is drawn."""
        moment = as_of or now()
        with self._workbench.gateway.reader() as reader:
            last = reader.one(operations.imported_until())["last_order_at"]
        return outlook(
            self._workbench.gateway,
            share=share or self.spec.share,
            channel=self.spec.channel,
            as_of=moment,
            last_order_at=last if isinstance(last, datetime) else moment,
        )

    def draw(self, *, as_of: datetime | None = None, new_epoch: bool = False) -> ControlGroupStatus:
        """Draw the group, let newcomers join the one that stands, or draw it anew."""
        return control_group.draw(
            self._workbench.gateway, self.spec, as_of=as_of or now(), new_epoch=new_epoch
        )

    def upload(
        self, ids: pd.Series[str], *, as_of: datetime | None = None, new_epoch: bool = False
    ) -> ControlGroupStatus:
        """Take a list of controls that somebody else has drawn, as an epoch of its own."""
        return control_group.draw(
            self._workbench.gateway,
            self.spec,
            as_of=as_of or now(),
            new_epoch=new_epoch,
            uploaded=ids,
        )

    def verify(self) -> list[str]:
        """Check ledger, files and every hash draw; give what is wrong, in words."""
        return control_group.verify(self._workbench.gateway)

    def epochs(self) -> list[Epoch]:
        """Give every epoch of the group, closed ones included."""
        return epochs(self._workbench.gateway, self.spec.name)

    def audit(
        self, *, starts_at: datetime | None = None, ends_at: datetime | None = None
    ) -> ContaminationAudit:
        """Say which controls were touched, when and by what; by default since the draw."""
        epoch = self.epoch()
        return audit(
            self._workbench.gateway,
            epoch.scope,
            starts_at=starts_at or epoch.opened_at,
            ends_at=ends_at or now(),
            exempt_classes=epoch.exempt_classes,
        )

    def rotation(
        self, *, as_of: datetime | None = None, assumed_lift: float = 0.05
    ) -> RotationAdvice:
        """Say whether to draw the group anew, and what holding it costs."""
        return rotation_advice(
            self._workbench.gateway,
            self.epoch(),
            as_of=as_of or now(),
            assumed_lift=assumed_lift,
        )

    def independence(self) -> Independence:
        """Compare the last two epochs of the group.

        Raises
        ------
        LedgerError
            There are not two of them.
        """
        known = self.epochs()
        if len(known) < 2:
            raise LedgerError(f"'{self.spec.name}' has {len(known)} epochs", expected="two")
        return independence(self._workbench.gateway, known[-2], known[-1])

    def status(self, *, as_of: datetime | None = None) -> ControlGroupStatus:
        """Describe the group as it stands."""
        return control_group.status(self._workbench.gateway, self.spec.name, as_of=as_of or now())


class Experiment:
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
        found = self._workbench.gateway.entries(kind="decision", subject=self.name)
        rows = [
            {
                "day": str(entry.payload["at"])[:10],
                "decision": entry.payload["decision"],
                "by": entry.payload["by"],
                "note": entry.payload.get("note", ""),
            }
            for entry in found
        ]
        nothing = {"day": "", "decision": "not recorded yet", "by": "", "note": ""}
        return pd.DataFrame(rows or [nothing])

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
                f"the draw of '{self.name}' has a layer, factors or a control of its own",
                expected="arms of one hash",
                remedy="put it together from the expressions in docs/assignment-in-sql.md",
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
        )

    def ingest(self, folder: Path | str, *, progress: bool = False) -> list[ImportReport]:
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


class Lifetime:
    """Lifetime value of a workbench's base.

    Parameters
    ----------
    workbench : Context
        Whose base.
    as_of : datetime.date, optional
        Last day that is used; by default the last day with orders.
    unit_days : float
        Days in one unit of time.
    """

    def __init__(self, workbench: Context, *, as_of: date | None, unit_days: float) -> None:
        self._workbench = workbench
        self.unit_days = unit_days
        self.as_of = as_of or workbench.last_day()

    def history(self) -> PurchaseHistory:
        """Compute the purchase history in the database."""
        zone = self._workbench.settings.timezone
        until = self._workbench.day_start(self.as_of + timedelta(days=1))
        with self._workbench.gateway.reader() as reader:
            frame = reader.frame(operations.purchase_summary(until, zone=zone))
        first, last = pd.to_datetime(frame["first_day"]), pd.to_datetime(frame["last_day"])
        summary = frame.assign(
            recency=(last - first).dt.days / self.unit_days,
            age=(pd.Timestamp(self.as_of) - first).dt.days / self.unit_days,
        )
        return history_from_summary(
            summary,
            as_of=self.as_of,
            unit_days=self.unit_days,
            currency=self._workbench.settings.currency,
        )

    def purchases(self) -> pd.DataFrame:
        """Read the purchase days: customer_id, ordered_at, amount."""
        until = self._workbench.day_start(self.as_of + timedelta(days=1))
        with self._workbench.gateway.reader() as reader:
            return reader.frame(
                operations.purchase_log(until, zone=self._workbench.settings.timezone)
            )

    def validate(
        self,
        *,
        calibration_end: date | None = None,
        refits: int = 50,
        seed: int = 1,
        progress: bool = False,
    ) -> Validation:
        """Fit until ``calibration_end`` (by default half-way) and compare with the rest."""
        purchases = self.purchases()
        if calibration_end is None:
            first = pd.Timestamp(purchases["ordered_at"].min())
            calibration_end = (first + (pd.Timestamp(self.as_of) - first) / 2).date()
        return validate(
            purchases,
            calibration_end=calibration_end,
            as_of=self.as_of,
            unit_days=self.unit_days,
            currency=self._workbench.settings.currency,
            refits=refits,
            rng=np.random.default_rng(seed),
            progress=progress,
        )

    def forecast(
        self, *, periods: float, refits: int = 50, seed: int = 1, progress: bool = False
    ) -> LifetimeForecast:
        """Forecast orders and value of every customer over ``periods`` units."""
        return forecast(
            self.history(),
            periods=periods,
            refits=refits,
            rng=np.random.default_rng(seed),
            progress=progress,
        )


def import_folder(
    workbench: Context, folder: Path, *, progress: bool = False
) -> list[ImportReport]:
    """Load every CSV and Parquet file of a folder through the map that fits its name."""
    if not folder.is_dir():
        raise FileError("the folder does not exist", where=str(folder))
    files = sorted(path for path in folder.iterdir() if path.suffix in (".csv", ".parquet"))
    if not files:
        raise FileError("no CSV or Parquet file in it", where=str(folder))
    maps = load_maps(workbench.settings.maps_folder)
    chosen = []
    for file in files:
        fitting = [item for item in maps if item.reads(file)]
        if len(fitting) != 1:
            found = ", ".join(item.path.name for item in fitting) or "none"
            raise FileError(
                f"maps whose 'files' pattern fits: {found}",
                expected="exactly one map",
                where=str(file),
                remedy="nothing was loaded; correct the patterns or add a map",
            )
        chosen.append((maps.index(fitting[0]), file, fitting[0]))
    return [
        workbench.gateway.import_file(source, file, progress=progress)
        for _, file, source in sorted(chosen, key=lambda item: (item[0], item[1]))
    ]


def now() -> datetime:
    """Give the time now, in UTC and without zone, as the gateway keeps times."""
    return datetime.now(UTC).replace(tzinfo=None)
