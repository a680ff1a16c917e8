"""The door for people: one folder's base, control group, experiments and lifetime value.

It only connects: data come from the gateway, numbers from the subjects. Every step exists here
and as a command, and both call the same function.

>>> from crm_lab import open_workbench                  # doctest: +SKIP
>>> wb = open_workbench()                               # doctest: +SKIP
>>> plan = wb.experiment("winter-sale").plan()          # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result, Results, card
from crm_lab.customers import BaseOverview, describe_base
from crm_lab.errors import SettingsError
from crm_lab.experiments import calibration
from crm_lab.experiments.calibration_results import Calibration
from crm_lab.experiments.control_group_spec import load_control_group
from crm_lab.experiments.design import design
from crm_lab.experiments.design_results import Design
from crm_lab.experiments.epochs import open_epoch
from crm_lab.experiments.outlook import count_obstacles
from crm_lab.experiments.overview import Registry, build_registry
from crm_lab.experiments.spec import experiment_names
from crm_lab.gateway import ImportReport, Snapshot, load_map, operations
from crm_lab.handles import Context, ControlGroup, Experiment, Lifetime, import_folder, now
from crm_lab.handles.crm_effect import CrmEffect
from crm_lab.handles.funnels import Funnels
from crm_lab.handles.league import League
from crm_lab.handles.pacing import Pacing
from crm_lab.language import (
    LANGUAGES,
    Language,
    language_of_environment,
    message,
    say,
    say_many,
    set_language,
    word,
)
from crm_lab.settings import load_settings

if TYPE_CHECKING:
    from crm_lab.handles.uplift import Uplift

DESIGN_WEEKS = (4, 8, 13)
"""Window lengths of the curve over the horizon."""


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

    title: ClassVar[str] = message("Workbench")

    company: str
    folder: str
    facts: tuple[tuple[str, str], ...]

    def sentence(self) -> str:
        """Say whose workbench this is and what it holds."""
        return f"{self.company}: " + "; ".join(f"{what} {value}" for what, value in self.facts)

    def to_frame(self) -> pd.DataFrame:
        """Give the facts, one row each."""
        return pd.DataFrame(self.facts, columns=["what", "value"])

    def _repr_html_(self) -> str:
        return card(say(self.title), f"{self.company} ({self.folder})", self.card_frame())


class Workbench(Context):
    """One workbench folder, opened.

    Parameters
    ----------
    settings : Settings
        Of the folder.
    snapshot : int, optional
        Snapshot that everything is read from; by default each read takes the latest.
    """

    def import_file(
        self, map_path: Path | str, file: Path | str, *, progress: bool = False
    ) -> ImportReport:
        """Load one file through its map (see :func:`crm_lab.gateway.imports.import_file`)."""
        return self.gateway.import_file(load_map(Path(map_path)), Path(file), progress=progress)

    def import_folder(self, folder: Path | str, *, progress: bool = False) -> Results[ImportReport]:
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
                obstacles=count_obstacles(judged[main]) if main else {},
                repeaters=reader.integer(operations.repeaters()),
                chosen_campaigns=reader.frame(operations.campaigns_not_randomised()),
                imports=self.gateway.imports(),
                snapshot=reader.snapshot.label,
            )

    def control_group(self) -> ControlGroup:
        """Give the standing control group, as ``experiments/control_group.yml`` declares it."""
        return ControlGroup(self, load_control_group(self.settings.experiments_folder))

    def crm_effect(self, *, epoch: str | None = None) -> CrmEffect:
        """Give the comparison of everybody with the control group, by default the open epoch."""
        return CrmEffect(self, load_control_group(self.settings.experiments_folder), epoch=epoch)

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

    def funnels(self, *, as_of: date | None = None, alpha: float = 0.05) -> Funnels:
        """Give the way from the first form to a deal and what came after, until ``as_of``."""
        return Funnels(self, as_of=as_of, alpha=alpha)

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
            base=say_many(
                "{company}, {count} days from {day}",
                "{company}, {count} days from {day}",
                days,
                company=self.settings.company,
                day=formats.day(starts_on),
            ),
            population=operations.buyers_before(starts_at),
            starts_at=starts_at,
            ends_at=self.day_start(starts_on + timedelta(days=days)),
            pre_starts_at=self.day_start(starts_on - timedelta(days=pre_period_days)),
            control_share=control_share,
            rng=np.random.default_rng(seed),
            draws=draws,
            progress=progress,
        )

    def design(
        self,
        *,
        control_share: float = 0.05,
        weeks: int = 4,
        channel: str = "email",
        looks: int | None = None,
        as_of: datetime | None = None,
        seed: int = 1,
        progress: bool = False,
    ) -> Design:
        """Say what a control group of this base would see, by the base's own past weeks.

        Parameters
        ----------
        control_share : float
            Share to hold out.
        weeks : int
            Length of the experiment.
        channel : str
            Channel by which customers must be reachable.
        looks : int, optional
            How often the result will be looked at; by default once, at the end.
        as_of : datetime, optional
            Moment up to which history is used (UTC); by default the last day with orders.
        seed : int
            Seed of the simulation.
        progress : bool
            Whether to show a progress bar on standard error.
        """
        end = as_of or self.day_start(self.last_day() + timedelta(days=1))
        population = operations.reachable(channel, end)
        with self.gateway.reader() as reader:
            windows: dict[float, pd.DataFrame] = {
                length: reader.frame(
                    operations.outcomes(
                        population,
                        starts_at=end - timedelta(weeks=length),
                        ends_at=end,
                        pre_starts_at=end - timedelta(weeks=2 * length),
                    )
                )
                for length in sorted({weeks, *DESIGN_WEEKS})
            }
        return design(
            windows[weeks],
            control_share=control_share,
            weeks=weeks,
            pre_weeks=weeks,
            windows=windows,
            looks=looks,
            rng=np.random.default_rng(seed),
            currency=self.settings.currency,
            progress=progress,
        )

    def registry(self, *, as_of: datetime | None = None) -> Registry:
        """List every experiment with its status, and those that nobody evaluated."""
        known = {name: self.experiment(name) for name in self.experiments()}
        return build_registry(
            self.gateway,
            {name: item.spec for name, item in known.items()},
            as_of=as_of or now(),
            timezone=self.settings.timezone,
            file_plans={name: item.file_plan for name, item in known.items()},
        )

    def league(
        self, *, as_of: datetime | None = None, seed: int = 1, progress: bool = False
    ) -> League:
        """Give the league of mechanics and channels: all experiments read together."""
        return League(self, as_of=as_of, seed=seed, progress=progress)

    def pacing(self, *, as_of: datetime | None = None) -> Pacing:
        """Give the month under way: its plan, its pace, its revisions."""
        return Pacing(self, as_of=as_of)

    def uplift(
        self,
        name: str,
        *,
        arm: str | None = None,
        cost_per_message: float | None = None,
        margin_share: float | None = None,
        discount: float = 0.0,
        alpha: float = 0.05,
        folds: int = 5,
        repeats: int = 3,
        seed: int = 1,
        progress: bool = False,
    ) -> Uplift:
        """Say whom to contact by an arm of an experiment (see `crm_lab.handles.uplift.Uplift`)."""
        # scikit-learn makes every command slower that does not need it
        from crm_lab.handles.uplift import Uplift

        return Uplift(
            self,
            name,
            arm=arm,
            cost_per_message=cost_per_message,
            margin_share=margin_share,
            discount=discount,
            alpha=alpha,
            folds=folds,
            repeats=repeats,
            seed=seed,
            progress=progress,
        )

    def status(self) -> WorkbenchCard:
        """Say what the workbench holds."""
        if self.gateway.is_empty:
            nothing = say("nothing is loaded yet; begin with: crm-lab import MAP FILE")
            return WorkbenchCard(
                company=self.settings.company,
                folder=str(self.settings.folder),
                facts=((say("base"), nothing),),
            )
        facts: list[tuple[str, str]] = []
        facts.append((say("base"), self.base().sentence()))
        imports = self.gateway.imports()
        if len(imports):
            last = imports.iloc[0]
            rows = formats.number(last["rows_loaded"])
            facts.append(
                (say("last import"), f"{last['file_name']} ({word(last['status'])}, {rows})")
            )
        for name in self._control_group_names():
            epoch = open_epoch(self.gateway, name)
            if epoch is not None:
                facts.append(
                    (
                        say("control group"),
                        say(
                            "{epoch}, {share} since {day}",
                            epoch=epoch.epoch_id,
                            share=formats.percent(epoch.share),
                            day=formats.day(epoch.opened_at),
                        ),
                    )
                )
        facts.append((say("experiments"), ", ".join(self.experiments()) or say("none")))
        facts.append((say("snapshot"), self.snapshot().label))
        return WorkbenchCard(
            company=self.settings.company, folder=str(self.settings.folder), facts=tuple(facts)
        )

    def _untouched_until(self) -> date:
        drawn = [
            epoch.opened_at
            for name in self._control_group_names()
            if (epoch := open_epoch(self.gateway, name)) is not None
        ]
        after = self.last_day() + timedelta(days=1)
        return min([after, *(self.local_day(moment) for moment in drawn)])

    def _control_group_names(self) -> list[str]:
        return sorted(
            {str(entry.payload["name"]) for entry in self.gateway.entries(kind="epoch_opened")}
        )

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    def __repr__(self) -> str:
        return f"Workbench({self.settings.company!r}, {str(self.settings.folder)!r})"


def open_workbench(
    folder: Path | str | None = None,
    *,
    gateway: str | None = None,
    snapshot: int | None = None,
    language: Language | None = None,
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
    language : {"en", "ru"}, optional
        Language of everything shown from now on in this process; by default what the environment
        variable ``CRM_LAB_LANGUAGE`` says, else the settings of the workbench.

    Raises
    ------
    SettingsError
        There is no workbench, its settings are wrong, or the language is not known.
    """
    settings = load_settings(folder, gateway=gateway)
    chosen = language or language_of_environment() or settings.declared.language
    if chosen not in LANGUAGES:
        raise SettingsError(
            say("language {language!r} is not known", language=chosen),
            expected=say("one of {names}", names=", ".join(LANGUAGES)),
        )
    set_language(chosen)
    formats.set_timezone(settings.timezone)
    return Workbench(settings, snapshot=snapshot)
