"""One treated arm against the arm that got nothing: what every evaluation of a rule needs.

The chance that a unit was treated is known from the draw. It is never estimated from the data of
a randomised test, and data that were not randomised are taken only with a chance for each unit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats import SampleRatio, sample_ratio_test
from crm_lab.stats.arguments import FloatArray, as_values

BoolArray = NDArray[np.bool_]
Evidence = Literal["randomised", "observational"]

SAME_CHANCE = 1e-12
"""Chances this close are one and the same chance."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """One outcome of one treatment and its control, unit by unit; read-only.

    Attributes
    ----------
    outcome : ndarray, shape (n,)
        One value per assigned unit, zeros included: 0 or 1, a count, or an amount.
    is_treated : ndarray of bool, shape (n,)
        Which units the draw assigned to the treatment.
    probability : ndarray, shape (n,)
        The known chance of each unit to be treated, strictly between 0 and 1; a single number
        where it is the same for everyone.
    unit_ids : ndarray of shape (n,) or None
        Names of the units.
    treatment, control : str
        Names of the arms.
    metric : str
        Name of the outcome.
    is_randomised : bool
        Whether a draw assigned the units. If not, ``probability`` holds propensities that somebody
        has estimated, and every result says "observational".

    Raises
    ------
    DesignError
        When an arm is empty, lengths differ, a value is missing or infinite, a chance is not
        between 0 and 1, a unit stands twice, or data that were not randomised come without a
        propensity for each unit.

    Examples
    --------
    >>> trial = Trial(outcome=[1, 0, 0, 1], is_treated=[True, True, False, False],
    ...               probability=0.5, treatment="mail", control="none", metric="visit")
    >>> trial.n, trial.n_treatment, trial.share, trial.evidence
    (4, 2, 0.5, 'randomised')
    """

    outcome: FloatArray
    is_treated: BoolArray
    probability: FloatArray
    unit_ids: NDArray[Any] | None = None
    treatment: str = "treatment"
    control: str = "control"
    metric: str = "outcome"
    is_randomised: bool = True

    def __post_init__(self) -> None:
        outcome = as_values(self.outcome, "outcome")
        if not np.all(np.isfinite(outcome)):
            raise DesignError(
                say(
                    "{metric}: {count} of {units} units have no finite value",
                    metric=self.metric,
                    count=formats.number(int((~np.isfinite(outcome)).sum())),
                    units=formats.number(outcome.size),
                ),
                expected=say("a value for everyone who was assigned, 0 for who did nothing"),
                remedy=say("fill in the zeros, or leave the metric out where it was not measured"),
            )
        is_treated = _flags(self.is_treated, outcome.size)
        probability = self._chances(outcome.size)
        for arm, units in ((self.treatment, is_treated), (self.control, ~is_treated)):
            if not units.any():
                raise DesignError(
                    say("arm {arm} has no unit", arm=arm),
                    expected=say("units in both arms"),
                    where=self.metric,
                )
        fields: dict[str, NDArray[Any]] = {
            "outcome": outcome,
            "is_treated": is_treated,
            "probability": probability,
        }
        if self.unit_ids is not None:
            fields["unit_ids"] = _names(self.unit_ids, is_treated)
        for name, array in fields.items():
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        arm_column: str,
        treatment: str,
        control: str,
        outcome: str,
        control_arms: Collection[str],
        shares: Mapping[str, float] | None = None,
        probability_column: str | None = None,
        unit_column: str | None = None,
        metric: str | None = None,
        is_randomised: bool = True,
    ) -> Trial:
        """Take exactly two arms of a table; every other arm is left out.

        Parameters
        ----------
        frame : pandas.DataFrame
            One row per assigned unit.
        arm_column : str
            Column with the name of the arm of each unit.
        treatment, control : str
            The two arms to compare.
        outcome : str
            Column of the outcome.
        control_arms : collection of str
            The arms that got nothing. ``control`` must be one of them: measured against another
            campaign an effect is smaller than it is, and nothing in the data shows it.
        shares : mapping of str to float, optional
            The planned share of each arm, as drawn. The chance to be treated is
            ``shares[treatment] / (shares[treatment] + shares[control])``.
        probability_column : str, optional
            Instead of ``shares``: a column with the chance of each unit to be in ``treatment``,
            given that it is in one of the two arms.
        unit_column : str, optional
            Column with the ids of the units; a unit in both arms is then refused.
        metric : str, optional
            Name of the outcome; the column name by default.
        is_randomised : bool
            Whether a draw assigned the units.

        Raises
        ------
        DesignError
            When a column or an arm is missing, the control is not declared to have got nothing,
            neither shares nor chances are given, or the units do not make a trial.

        Examples
        --------
        >>> frame = pd.DataFrame({"arm": ["mail", "none", "sms", "none"], "visit": [1, 0, 1, 1]})
        >>> Trial.from_frame(frame, arm_column="arm", treatment="mail", control="none",
        ...                  outcome="visit", control_arms=["none"],
        ...                  shares={"mail": 0.3, "sms": 0.4, "none": 0.3}).n
        3
        """
        columns = (arm_column, outcome, probability_column, unit_column)
        missing = [name for name in columns if name is not None and name not in frame.columns]
        if missing:
            raise DesignError(
                say("no column {name}", name=formats.listing(missing)),
                expected=say(
                    "one of {choices}", choices=formats.listing(map(str, frame.columns), limit=12)
                ),
            )
        check_control(treatment, control, control_arms=control_arms)
        arms = frame[arm_column]
        present = sorted(map(str, arms.dropna().unique()))
        for arm in (treatment, control):
            if arm not in present:
                raise DesignError(
                    say("no unit in arm {arm}", arm=arm),
                    expected=say("one of {choices}", choices=formats.listing(present, limit=12)),
                    where=say("column {arm_column}", arm_column=arm_column),
                )
        taken = frame[arms.isin([treatment, control])]
        chance: float | FloatArray
        if probability_column is not None:
            if shares is not None:
                raise DesignError(
                    say("shares and a column of chances"), expected=say("one of the two")
                )
            chance = as_values(taken[probability_column].to_numpy(), probability_column)
        elif shares is not None:
            chance = chance_of(treatment, control, shares=shares)
        else:
            raise _no_chances(is_randomised)
        return cls(
            outcome=taken[outcome].to_numpy(dtype=np.float64, na_value=np.nan),
            is_treated=(taken[arm_column] == treatment).to_numpy(dtype=bool),
            probability=chance,  # type: ignore[arg-type]
            unit_ids=None if unit_column is None else taken[unit_column].to_numpy(),
            treatment=treatment,
            control=control,
            metric=outcome if metric is None else metric,
            is_randomised=is_randomised,
        )

    @property
    def n(self) -> int:
        """Units of both arms."""
        return int(self.outcome.size)

    @property
    def n_treatment(self) -> int:
        """Units of the treated arm."""
        return int(self.is_treated.sum())

    @property
    def n_control(self) -> int:
        """Units of the control."""
        return self.n - self.n_treatment

    @property
    def share(self) -> float:
        """Share of the units that were treated, as found."""
        return self.n_treatment / self.n

    @property
    def control_share(self) -> float:
        """Share of the units in the control, as planned (the mean of ``1 - probability``)."""
        return float(1.0 - self.probability.mean())

    @property
    def has_one_chance(self) -> bool:
        """Whether every unit had the same chance to be treated."""
        return float(np.ptp(self.probability)) <= SAME_CHANCE

    @property
    def evidence(self) -> Evidence:
        """What a number made from these data is: randomised or observational."""
        return "randomised" if self.is_randomised else "observational"

    @property
    def is_binary(self) -> bool:
        """Whether the outcome is 0 or 1 for everyone."""
        return bool(np.all((self.outcome == 0.0) | (self.outcome == 1.0)))

    def subset(self, mask: ArrayLike) -> Trial:
        """Give the trial of some of the units; the mask may depend on what was known before.

        Raises
        ------
        DesignError
            When the mask is not one truth value per unit, or leaves an arm without units.
        """
        chosen = _flags(mask, self.n)
        return self._with(
            outcome=self.outcome[chosen],
            is_treated=self.is_treated[chosen],
            probability=self.probability[chosen],
            unit_ids=None if self.unit_ids is None else self.unit_ids[chosen],
        )

    def with_outcome(self, outcome: ArrayLike, *, metric: str) -> Trial:
        """Give the same units with another outcome, such as a margin made from revenue."""
        return self._with(outcome=as_values(outcome, "outcome"), metric=metric)

    def sample_ratio(self) -> SampleRatio:
        """Check whether the arms have the sizes that the draw promised.

        With chances that differ the check is made of the expected number of treated units.
        """
        planned = float(self.probability.mean())
        return sample_ratio_test(
            {self.treatment: self.n_treatment, self.control: self.n_control},
            {self.treatment: planned, self.control: 1.0 - planned},
        )

    def _with(self, **changes: Any) -> Trial:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__} | changes
        # Some of the units of a checked trial need no second check of their names.
        names = fields.pop("unit_ids")
        made = Trial(**fields)
        if names is not None:
            view = names.view()
            view.flags.writeable = False
            object.__setattr__(made, "unit_ids", view)
        return made

    def _chances(self, n: int) -> FloatArray:
        if self.probability is None:
            raise _no_chances(self.is_randomised)
        given = np.asarray(self.probability, dtype=np.float64)
        probability = np.full(n, float(given)) if given.ndim == 0 else as_values(given, "chances")
        if probability.size != n:
            raise DesignError(
                say("{n} outcomes but {size} chances to be treated", n=n, size=probability.size)
            )
        if not np.all((probability > 0.0) & (probability < 1.0)):
            raise DesignError(
                say("a chance to be treated is missing, 0 or less, or 1 or more"),
                expected=say(
                    "chances strictly between 0 and 1: who could not be in both arms tells"
                    " nothing about the effect"
                ),
                remedy=say(
                    "leave out the units that could not be treated or could not be left alone"
                ),
            )
        if n and not self.is_randomised and np.ptp(probability) <= SAME_CHANCE:
            raise _no_chances(is_randomised=False)
        return probability


def trials_of_arms(
    frame: pd.DataFrame,
    *,
    arm_column: str,
    control: str,
    outcome: str,
    control_arms: Collection[str],
    shares: Mapping[str, float],
    treatments: Sequence[str] | None = None,
    unit_column: str | None = None,
) -> dict[str, Trial]:
    """Give one trial per treatment, each against the same control.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per assigned unit.
    arm_column, control, outcome, control_arms, shares, unit_column
        As in `Trial.from_frame`.
    treatments : sequence of str, optional
        The treated arms; by default every arm of ``shares`` that is not in ``control_arms``.

    Raises
    ------
    DesignError
        As in `Trial.from_frame`.

    Examples
    --------
    >>> frame = pd.DataFrame({"arm": ["mail", "none", "sms", "none"], "visit": [1, 0, 1, 1]})
    >>> trials = trials_of_arms(frame, arm_column="arm", control="none", outcome="visit",
    ...                         control_arms=["none"],
    ...                         shares={"mail": 0.3, "sms": 0.4, "none": 0.3})
    >>> list(trials)
    ['mail', 'sms']
    """
    chosen = (
        [arm for arm in shares if arm not in control_arms] if treatments is None else treatments
    )
    return {
        arm: Trial.from_frame(
            frame,
            arm_column=arm_column,
            treatment=arm,
            control=control,
            outcome=outcome,
            control_arms=control_arms,
            shares=shares,
            unit_column=unit_column,
        )
        for arm in chosen
    }


def check_control(treatment: str, control: str, *, control_arms: Collection[str]) -> None:
    """Refuse a control that was not declared to have got nothing.

    Raises
    ------
    DesignError
        When ``control`` is not one of ``control_arms``, or ``treatment`` is one of them.
    """
    if isinstance(control_arms, str):
        raise DesignError(say("control_arms is a text"), expected=say("a list of arm names"))
    if control not in control_arms:
        raise DesignError(
            say(
                "arm {control} is named as the control but is not among the arms that got nothing"
                " ({control_arms})",
                control=control,
                control_arms=formats.listing(sorted(control_arms)) or say("none declared"),
            ),
            expected=say(
                "a control that got nothing: against another campaign's arm an effect looks"
                " smaller than it is"
            ),
            remedy=say("name the arm that got nothing"),
        )
    if treatment in control_arms:
        raise DesignError(
            say(
                "arm {treatment} is named as the treatment and among the arms that got nothing",
                treatment=treatment,
            )
        )


def chance_of(treatment: str, control: str, *, shares: Mapping[str, float]) -> float:
    """Give the chance to be treated of a unit that is in one of the two arms.

    Raises
    ------
    DesignError
        When the shares of the two arms are not given, not above 0, or come to more than 1.

    Examples
    --------
    >>> round(chance_of("mail", "none", shares={"mail": 0.3, "sms": 0.6, "none": 0.1}), 6)
    0.75
    """
    for arm in (treatment, control):
        if arm not in shares:
            raise DesignError(
                say("no share is given for arm {arm}", arm=arm),
                expected=say(
                    "one of {choices}", choices=formats.listing(sorted(shares)) or say("no arm")
                ),
            )
    if not all(share > 0 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        raise DesignError(
            say("shares {shares}", shares=dict(shares)),
            expected=say("planned shares above 0 that come to 1 at most"),
        )
    return shares[treatment] / (shares[treatment] + shares[control])


def _no_chances(is_randomised: bool) -> DesignError:
    if is_randomised:
        return DesignError(
            say("the chance to be treated is not given"),
            expected=say("the planned shares of the arms, or a chance for each unit"),
            remedy=say("take the shares from the plan; they are not estimated from the data"),
        )
    return DesignError(
        say("the data were not randomised and no propensity of each unit is given"),
        expected=say("a column of propensities that differ between units"),
        remedy=say("randomise, or estimate propensities; the result is then only observational"),
    )


def _flags(values: ArrayLike, n: int) -> BoolArray:
    flags = np.asarray(values)
    if flags.ndim != 1 or flags.size != n:
        raise DesignError(
            say("{n} units but an array of shape {shape} of truth values", n=n, shape=flags.shape)
        )
    if flags.dtype != np.bool_:
        as_number = np.asarray(pd.to_numeric(pd.Series(flags), errors="coerce"), dtype=np.float64)
        if not np.all((as_number == 0.0) | (as_number == 1.0)):
            raise DesignError(
                say("a truth value is missing or neither 0 nor 1"),
                expected=say("True or False per unit"),
            )
        flags = as_number == 1.0
    return flags


def _names(unit_ids: ArrayLike, is_treated: BoolArray) -> NDArray[Any]:
    names = np.asarray(unit_ids)
    if names.ndim != 1 or names.size != is_treated.size:
        raise DesignError(say("{units} units but {ids} ids", units=is_treated.size, ids=names.size))
    series = pd.Series(names)
    if bool(series.isna().any()):
        raise DesignError(
            say("{count} units have no id", count=formats.number(int(series.isna().sum())))
        )
    treated, control = series[is_treated], series[~is_treated]
    both = control[control.isin(treated)].unique()
    if both.size:
        raise DesignError(
            say(
                "{count} units are in both arms ({names})",
                count=formats.number(both.size),
                names=formats.listing(map(str, both), limit=3),
            ),
            expected=say("each unit in one arm"),
            remedy=say("find out which assignment was carried out; do not drop them unseen"),
        )
    if series.duplicated().any():
        raise DesignError(
            say(
                "{count} rows repeat a unit of the same arm",
                count=formats.number(int(series.duplicated().sum())),
            ),
            expected=say("one row per unit"),
            remedy=say("add up the outcome per unit first"),
        )
    return names
