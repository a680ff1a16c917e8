"""The league of a workbench: every experiment that can be read, against all others."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from crm_lab.experiments.analysis import analyze
from crm_lab.experiments.enrolment import registered_plan
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.tagging_rules import load_tagging_rules, tags_of
from crm_lab.gateway import pacing
from crm_lab.handles.context import Context, Handle, now
from crm_lab.language import say
from crm_lab.planning import league_wording as wording
from crm_lab.planning.league import Dimension, LeagueTable, build_league
from crm_lab.planning.league_forecast import (
    ForecastScore,
    NextCampaign,
    next_campaign,
    score_forecasts,
)
from crm_lab.planning.readouts import Measure, Readout, readout_of
from crm_lab.planning.unevaluated import NeverEvaluated, never_evaluated


class League(Handle):
    """The league of a workbench: mechanics and channels, by what experiments found.

    Each experiment is read out once, when it is first asked for; one instance sees one state of
    the data.

    Parameters
    ----------
    workbench : Context
        Whose experiments.
    as_of : datetime, optional
        Moment up to which campaigns count as sent and experiments as over (UTC); by default now.
    alpha : float
        Two-sided error level.
    seed : int
        Seed of the permutations of each read-out, the same as for a single experiment.
    progress : bool
        Whether to show a progress bar on standard error.
    """

    def __init__(
        self,
        workbench: Context,
        *,
        as_of: datetime | None = None,
        alpha: float = 0.05,
        seed: int = 1,
        progress: bool = False,
    ) -> None:
        self._workbench = workbench
        self.as_of = as_of or now()
        self.alpha = alpha
        self.seed = seed
        self._progress = progress
        self._readouts: tuple[Readout, ...] | None = None
        self._sent: pd.DataFrame | None = None

    def names(self) -> list[str]:
        """List the experiments whose arms were drawn."""
        entries = self._workbench.gateway.entries(kind="arms_assigned")
        return sorted({entry.subject for entry in entries})

    def readouts(self) -> tuple[Readout, ...]:
        """Read out every experiment whose arms were drawn, in one batch."""
        if self._readouts is None:
            names = self.names()
            bar = tqdm(
                names,
                desc=say(wording.PROGRESS),
                unit="experiment",
                disable=not (self._progress and names),
                leave=False,
            )
            self._readouts = tuple(self._readout(name) for name in bar)
        return self._readouts

    def table(
        self, *, dimension: Dimension = "mechanic", measure: Measure = "relative"
    ) -> LeagueTable:
        """Give the league of mechanics, channels or ways of sending."""
        return build_league(
            self.readouts(),
            dimension=dimension,
            measure=measure,
            alpha=self.alpha,
            currency=self._workbench.settings.currency,
            unevaluated=self.never_evaluated().campaigns,
        )

    def never_evaluated(self) -> NeverEvaluated:
        """List campaigns that were sent and of which nobody can say what they brought."""
        return never_evaluated(
            self._campaigns(), {item.experiment: item.reason for item in self.readouts()}
        )

    def expect(
        self, name: str, *, measure: Measure = "relative", customers: int = 0
    ) -> NextCampaign:
        """Foresee the next campaign of a mechanic."""
        return next_campaign(self.table(measure=measure), name, customers=customers)

    def score(self, *, measure: Measure = "relative") -> ForecastScore:
        """Compare earlier forecasts, made again from what was known then, with the facts."""
        return score_forecasts(
            self.readouts(),
            measure=measure,
            alpha=self.alpha,
            currency=self._workbench.settings.currency,
        )

    def decisions(self) -> pd.DataFrame:
        """List every decision with what the experiment had found: the log of decisions."""
        rows = [
            {
                "experiment": entry.subject,
                "day": str(entry.payload["at"])[:10],
                "decision": str(entry.payload["decision"]),
                "by": str(entry.payload["by"]),
                "note": str(entry.payload.get("note", "")),
            }
            for entry in self._workbench.gateway.entries(kind="decision")
        ]
        return pd.DataFrame(rows, columns=["experiment", "day", "decision", "by", "note"])

    def _readout(self, name: str) -> Readout:
        plan = registered_plan(self._workbench.gateway, name)
        assert plan is not None  # required=True raises instead
        result = analyze(self._workbench.gateway, plan, rng=np.random.default_rng(self.seed))
        decided = self._workbench.gateway.entries(kind="decision", subject=name)
        found = readout_of(
            result,
            mechanic=self._mechanic(plan),
            send_mode=self._known(name, "send_mode"),
            decision=str(decided[-1].payload["decision"]) if decided else "",
        )
        is_later = plan.ends_at > self.as_of and not found.reason
        return replace(found, reason=say(wording.OPEN)) if is_later else found

    def _mechanic(self, plan: Plan) -> str:
        """Take the mechanic from the plan, else from the campaign table, else from the name."""
        rules = load_tagging_rules(self._workbench.settings.experiments_folder)
        found = plan.mechanic or self._known(plan.name, "mechanic")
        return found or tags_of(plan.name, rules).get("mechanic", "")

    def _known(self, name: str, column: str) -> str:
        """Give what the campaign table says of a campaign; empty where it says nothing."""
        sent = self._campaigns()
        found = sent.loc[sent["campaign_id"] == name, column]
        return str(found.iloc[0]) if len(found) else ""

    def _campaigns(self) -> pd.DataFrame:
        if self._sent is None:
            with self._workbench.gateway.reader() as reader:
                self._sent = reader.frame(pacing.campaigns_sent(until=self.as_of))
        return self._sent
