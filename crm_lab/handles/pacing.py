"""The month of a workbench: its plan, its pace and its revisions."""

from __future__ import annotations

from datetime import datetime, timedelta

from crm_lab.experiments.epochs import open_epoch
from crm_lab.experiments.results import Money
from crm_lab.gateway import pacing
from crm_lab.handles.context import Context, Handle, now
from crm_lab.handles.league import League
from crm_lab.planning import plan_revisions
from crm_lab.planning.league import LeagueTable
from crm_lab.planning.pace import Pace
from crm_lab.planning.pacing import build_pace
from crm_lab.planning.plan_revisions import MonthlyPlan, PlanRevision


class Pacing(Handle):
    """The month that ``experiments/monthly_plan.yml`` plans.

    Parameters
    ----------
    workbench : Context
        Whose month.
    as_of : datetime, optional
        Moment it is looked at (UTC); by default now.
    alpha : float
        Two-sided error level of every interval.
    """

    def __init__(
        self, workbench: Context, *, as_of: datetime | None = None, alpha: float = 0.05
    ) -> None:
        self._workbench = workbench
        self.as_of = as_of or now()
        self.alpha = alpha

    def plan(self) -> MonthlyPlan:
        """Give the plan that counts: the file with its revisions until ``as_of``.

        Raises
        ------
        SpecError
            There is no plan, or its file is wrong: all faults at once.
        LedgerError
            A revision does not fit the file any more.
        """
        folder = self._workbench.settings.experiments_folder
        return plan_revisions.effective_plan(self._workbench.gateway, folder, until=self.as_of)

    def pace(self, *, levers: bool = True, seed: int = 1, progress: bool = False) -> Pace:
        """Say whether the month is on plan, and what the rest of it must bring.

        Parameters
        ----------
        levers : bool
            Whether past experiments are read out, to say what could close a gap.
        seed : int
            Seed of the permutations of the read-outs.
        progress : bool
            Whether to show a progress bar on standard error.
        """
        plan = self.plan()
        zone = self._workbench.settings.timezone
        with self._workbench.gateway.reader() as reader:
            daily = reader.frame(pacing.daily_sales(until=self.as_of, zone=zone))
        league: LeagueTable | None = None
        measured: dict[str, Money | None] = {}
        if levers and plan.spec.metric == "revenue":
            experiments = League(
                self._workbench,
                as_of=self.as_of,
                alpha=self.alpha,
                seed=seed,
                progress=progress,
            )
            league = experiments.table(measure="amount")
            measured = self._measured(plan, league)
        return build_pace(
            plan,
            daily,
            today=self._workbench.local_day(self.as_of),
            alpha=self.alpha,
            currency=self._workbench.settings.currency,
            league=league,
            reachable={} if league is None else self._reachable(league),
            measured=measured,
        )

    def revise(self, *, item: str, to: str, reason: str, by: str, report: str = "") -> PlanRevision:
        """Change one item of the plan; the ledger keeps it, the file stays as it is.

        Parameters
        ----------
        item : str
            ``target``, the name of an activity, or one of its keys as ``wave-2.expected``.
        to : str
            The new value as the file would have it; ``none`` takes an activity out.
        reason, by : str
            Why, and who.
        report : str
            The report it came from, by its run id.
        """
        after = self.plan().spec.last_day + timedelta(days=1)
        return plan_revisions.revise(
            self._workbench.gateway,
            self._workbench.settings.experiments_folder,
            item=item,
            to=to,
            reason=reason,
            by=by,
            at=self.as_of,
            ends_at=self._workbench.day_start(after),
            report=report,
        )

    def _measured(self, plan: MonthlyPlan, league: LeagueTable) -> dict[str, Money | None]:
        """Give what activities brought by their experiments; None where a window is not over."""
        readouts = {item.experiment: item for item in league.readouts}
        found: dict[str, Money | None] = {}
        for name, activity in plan.spec.activities.items():
            readout = readouts.get(activity.experiment)
            if readout is None:
                continue
            if self.as_of < readout.ends_at:
                found[name] = None
            elif not readout.why_not("amount"):
                found[name] = readout.total(self.alpha)
        return found

    def _reachable(self, league: LeagueTable) -> dict[str, int]:
        """Count who can be reached by each channel of the league, controls left out."""
        gateway = self._workbench.gateway
        names = {str(entry.payload["name"]) for entry in gateway.entries(kind="epoch_opened")}
        held = [epoch.scope for name in sorted(names) if (epoch := open_epoch(gateway, name))]
        channels = sorted({item.channel for item in league.readouts})
        with gateway.reader() as reader:
            return {
                channel: reader.integer(pacing.reachable_outside(channel, self.as_of, scopes=held))
                for channel in channels
            }
