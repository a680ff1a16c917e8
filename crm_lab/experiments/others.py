"""Other marketing beside an experiment: who of its arms got it, when its controls did not.

A standing control group gets no campaign at all. So campaigns beside an experiment are in its
effect, and campaigns before it are in the revenue of its pre-period: for the arms that revenue was
measured after they were drawn apart from the controls, and to adjust by it takes away part of the
effect. An experiment with a control of its own has neither trouble.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

OTHERS_LIMIT = 0.05
"""Share of customers, above that of controls, whom other campaigns may reach before they count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherMarketing:
    """What else was sent to the members of an experiment, and not to its controls.

    Attributes
    ----------
    in_window, before : float
        Share of the arms that was sent something else in the window, and in the pre-period, less
        the same share of the controls.
    """

    in_window: float = 0.0
    before: float = 0.0

    @classmethod
    def of(cls, counts: pd.DataFrame) -> OtherMarketing:
        """Take it from counts: is_control, members, in_window, before."""
        shares = {
            bool(row["is_control"]): (
                row["in_window"] / row["members"],
                row["before"] / row["members"],
            )
            for row in counts.to_dict("records")
        }
        arms, held = shares.get(False, (0.0, 0.0)), shares.get(True, (0.0, 0.0))
        return cls(in_window=arms[0] - held[0], before=arms[1] - held[1])

    @property
    def is_in_the_effect(self) -> bool:
        """Whether the effect is that of the experiment and other campaigns together."""
        return self.in_window > OTHERS_LIMIT

    @property
    def spoils_the_pre_period(self) -> bool:
        """Whether the pre-period is no covariate: the arms were treated in it already."""
        return self.before > OTHERS_LIMIT
