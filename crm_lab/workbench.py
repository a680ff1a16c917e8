"""The door for people: one folder's base, control group, experiments and lifetime value.

It only connects: data come from the gateway, numbers from the subjects. Every step exists here
and as a command, and both call the same function.

>>> from crm_lab import open_workbench                  # doctest: +SKIP
>>> wb = open_workbench()                               # doctest: +SKIP
>>> plan = wb.experiment("winter-sale").plan()          # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.campaigns.loopback import Planted, PlantedCheck, read_planted, run_loopback
from crm_lab.campaigns.send_lists import SendListExport, export_send_list
from crm_lab.cards import Result
from crm_lab.customers import BaseOverview, describe_base
from crm_lab.errors import FileError
from crm_lab.experiments import calibration, control_group
from crm_lab.experiments import plan as plans
from crm_lab.experiments.analysis import ExperimentResult, analyze
from crm_lab.experiments.calibration import Calibration
from crm_lab.experiments.control_group import ControlGroupStatus, Epoch, HoldoutOutlook
from crm_lab.experiments.plan import Plan, PlanPreview
from crm_lab.experiments.spec import (
    ControlGroupSpec,
    experiment_names,
    load_control_group,
    load_experiment,
)
from crm_lab.gateway import Gateway, ImportReport, Snapshot, load_map, load_maps, operations
from crm_lab.ltv import (
    LifetimeForecast,
    PurchaseHistory,
    Validation,
    forecast,
    history_from_summary,
    validate,
)
from crm_lab.settings import Settings, load_settings


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkbenchCard(Result):
    """What a workbench holds, on one card.

    Attributes
    ----------
    company, folder : str
        Whose workbench and where.
    facts : tuple of (what, value)
        Base, period, snapshot, control group, experiments.
    """

    title: ClassVar[str] = "Workbench"

    company: str
    folder: str
    facts: tuple[tuple[str, str], ...]

    def sentence(self) -> str:
        """Say whose workbench this is and what it holds."""
        return f"{self.company}: " + "; ".join(f"{what} {value}" for what, value in self.facts)

    def to_frame(self) -> pd.DataFrame:
        """Give the facts, one row each."""
        return pd.DataFrame(self.facts, columns=["what", "value"])


class Workbench:
    """One workbench folder, opened.

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

    def import_file(
        self, map_path: Path | str, file: Path | str, *, progress: bool = False
    ) -> ImportReport:
        """Load one file through its map (see :func:`crm_lab.gateway.imports.import_file`)."""
        return self.gateway.import_file(load_map(Path(map_path)), Path(file), progress=progress)

    def import_folder(self, folder: Path | str, *, progress: bool = False) -> list[ImportReport]:
        """Load every CSV and Parquet file of a folder through the map that fits its name.

        Raises
        ------
        FileError
            A file fits no map or several, before anything is loaded.
        """
        return import_folder(self, Path(folder), progress=progress)

    def snapshot(self) -> Snapshot:
        """Give the latest snapshot of the gateway."""
        return self.gateway.snapshot()

    def base(self, *, as_of: datetime | None = None) -> BaseOverview:
        """Describe the customer base."""
        moment = as_of or now()
        with self.gateway.reader() as reader:
            channels = reader.counts("contact_point", "channel")
            judged = {
                name: reader.frame(operations.reachability(name, moment)) for name in channels
            }
            main = max(channels, key=lambda name: channels[name], default="")
            return describe_base(
                company=self.settings.company,
                currency=self.settings.currency,
                totals=reader.one(operations.base_totals()),
                monthly=reader.frame(operations.monthly_base(self.settings.timezone)),
                reach={name: int(frame["eligible"].sum()) for name, frame in judged.items()},
                obstacles=control_group.count_obstacles(judged[main]) if main else {},
                repeaters=reader.integer(operations.repeaters()),
                chosen_campaigns=reader.frame(operations.campaigns_not_randomised()),
                imports=self.gateway.imports(),
                snapshot=reader.snapshot.label,
            )

    def control_group(self) -> ControlGroup:
        """Give the standing control group, as ``experiments/control_group.yml`` declares it."""
        return ControlGroup(self, load_control_group(self.settings.experiments_folder))

    def experiment(self, name: str) -> Experiment:
        """Give one experiment by the name of its file.

        Raises
        ------
        SpecError
            There is no such file, or it is wrong: all faults at once.
        """
        return Experiment(self, name)

    def experiments(self) -> list[str]:
        """List the experiments that have a file."""
        return experiment_names(self.settings.experiments_folder)

    def ltv(self, *, as_of: date | None = None, unit_days: float = 7) -> Lifetime:
        """Give lifetime value of this base, until ``as_of`` (its last day with orders)."""
        return Lifetime(self, as_of=as_of, unit_days=unit_days)

    def calibrate(
        self,
        *,
        starts_on: date | None = None,
        days: int = 28,
        pre_period_days: int = 28,
        control_share: float = 0.05,
        draws: int = 1_000,
        seed: int = 1,
        progress: bool = False,
    ) -> Calibration:
        """Run the A/A calibration on a past window of this base (all who bought before it).

        By default the window ends where the first control group was drawn, or with the last day
        that has orders: after that, something may have been done to customers.
        """
        if starts_on is None:
            starts_on = self._untouched_until() - timedelta(days=days)
        starts_at = self.day_start(starts_on)
        return calibration.calibrate(
            self.gateway,
            base=f"{self.settings.company}, {days} days from {starts_on}",
            population=operations.buyers_before(starts_at),
            starts_at=starts_at,
            ends_at=self.day_start(starts_on + timedelta(days=days)),
            pre_starts_at=self.day_start(starts_on - timedelta(days=pre_period_days)),
            control_share=control_share,
            rng=np.random.default_rng(seed),
            draws=draws,
            progress=progress,
        )

    def status(self) -> WorkbenchCard:
        """Say what the workbench holds."""
        facts: list[tuple[str, str]] = []
        facts.append(("base", self.base().sentence()))
        imports = self.gateway.imports()
        if len(imports):
            last = imports.iloc[0]
            facts.append(
                ("last import", f"{last['file_name']} ({last['status']}, {last['rows_loaded']:,})")
            )
        for name in self._control_group_names():
            epoch = control_group.open_epoch(self.gateway, name)
            if epoch is not None:
                facts.append(
                    (
                        "control group",
                        f"{epoch.epoch_id}, {formats.percent(epoch.share)} since"
                        f" {formats.day(epoch.opened_at)}",
                    )
                )
        facts.append(("experiments", ", ".join(self.experiments()) or "none"))
        facts.append(("snapshot", self.snapshot().label))
        return WorkbenchCard(
            company=self.settings.company, folder=str(self.settings.folder), facts=tuple(facts)
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
        return self._local_day(last)

    def _untouched_until(self) -> date:
        drawn = [
            epoch.opened_at
            for name in self._control_group_names()
            if (epoch := control_group.open_epoch(self.gateway, name)) is not None
        ]
        after = self.last_day() + timedelta(days=1)
        return min([after, *(self._local_day(moment) for moment in drawn)])

    def _local_day(self, moment: datetime) -> date:
        zone = ZoneInfo(self.settings.timezone)
        return moment.replace(tzinfo=UTC).astimezone(zone).date()

    def _control_group_names(self) -> list[str]:
        return sorted(
            {str(entry.payload["name"]) for entry in self.gateway.entries(kind="epoch_opened")}
        )

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    def __repr__(self) -> str:
        return f"Workbench({self.settings.company!r}, {str(self.settings.folder)!r})"


class ControlGroup:
    """The standing control group of a workbench.

    Parameters
    ----------
    workbench : Workbench
        Where it stands.
    spec : ControlGroupSpec
        Its rule.
    """

    def __init__(self, workbench: Workbench, spec: ControlGroupSpec) -> None:
        self._workbench = workbench
        self.spec = spec

    def epoch(self) -> Epoch:
        """Give the open epoch as the ledger holds it.

        Raises
        ------
        LedgerError
            The group was never drawn.
        """
        return control_group.required_epoch(self._workbench.gateway, self.spec.name)

    def outlook(
        self, *, share: float | None = None, as_of: datetime | None = None
    ) -> HoldoutOutlook:
        """Say what the group would see and hold back, before it is drawn."""
        moment = as_of or now()
        with self._workbench.gateway.reader() as reader:
            last = reader.one(operations.imported_until())["last_order_at"]
        return control_group.outlook(
            self._workbench.gateway,
            share=share or self.spec.share,
            channel=self.spec.channel,
            as_of=moment,
            last_order_at=last if isinstance(last, datetime) else moment,
        )

    def draw(self, *, as_of: datetime | None = None) -> ControlGroupStatus:
        """Draw the group, or let newcomers join the one that stands."""
        return control_group.draw(self._workbench.gateway, self.spec, as_of=as_of or now())

    def status(self, *, as_of: datetime | None = None) -> ControlGroupStatus:
        """Describe the group as it stands."""
        return control_group.status(self._workbench.gateway, self.spec.name, as_of=as_of or now())


class Experiment:
    """One experiment of a workbench, from its file to its result.

    Parameters
    ----------
    workbench : Workbench
        Where it runs.
    name : str
        Name of its file.
    """

    def __init__(self, workbench: Workbench, name: str) -> None:
        self._workbench = workbench
        self.name = name
        folder = workbench.settings.experiments_folder
        self.spec = load_experiment(folder, name)
        self._file_plan = plans.resolve(
            self.spec,
            load_control_group(folder),
            timezone=workbench.settings.timezone,
            currency=workbench.settings.currency,
        )

    def plan(self, *, as_of: datetime | None = None) -> PlanPreview:
        """Say what would be done and found, with every objection; changes nothing."""
        return plans.preview(self._workbench.gateway, self._file_plan, as_of=as_of or now())

    def assign(self, *, as_of: datetime | None = None) -> dict[str, int]:
        """Register the plan and draw the arms; give customers per variant."""
        return plans.assign(self._workbench.gateway, self._file_plan, as_of=as_of or now())

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
        self.registered()
        return import_folder(self._workbench, Path(folder), progress=progress)

    def analyze(self, *, seed: int = 1, snapshot_id: int | None = None) -> ExperimentResult:
        """Read out what it brought, by the registered plan."""
        return analyze(
            self._workbench.gateway,
            self.registered(),
            rng=np.random.default_rng(seed),
            snapshot_id=snapshot_id,
            file_plan=self._file_plan,
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
            rows.append((item, money.estimate / n, money.low / n, money.high / n))
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
        plan = plans.registered_plan(self._workbench.gateway, self.name)
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
    workbench : Workbench
        Whose base.
    as_of : datetime.date, optional
        Last day that is used; by default the last day with orders.
    unit_days : float
        Days in one unit of time.
    """

    def __init__(self, workbench: Workbench, *, as_of: date | None, unit_days: float) -> None:
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
        """Fit on the part until ``calibration_end`` (half of the time) and compare with the rest."""
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


def open_workbench(
    folder: Path | str | None = None, *, gateway: str | None = None, snapshot: int | None = None
) -> Workbench:
    """Open the workbench of a folder, by default the one around the current folder.

    Parameters
    ----------
    folder : path, optional
        The workbench folder (see :func:`crm_lab.settings.load_settings`).
    gateway : str, optional
        Another gateway folder than the declared one, relative to the workbench.
    snapshot : int, optional
        Snapshot that everything is read from; by default each read takes the latest.

    Raises
    ------
    SettingsError
        There is no workbench, or its settings are wrong.
    """
    return Workbench(load_settings(folder, gateway=gateway), snapshot=snapshot)


def import_folder(
    workbench: Workbench, folder: Path, *, progress: bool = False
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
