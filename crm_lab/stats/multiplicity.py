"""Several tests at once: adjusted p-values.

References
----------
Holm, S. (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
Statistics 6. Benjamini, Y., Hochberg, Y. (1995), "Controlling the false discovery rate", Journal
of the Royal Statistical Society B 57.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray, as_given, as_values

AdjustmentMethod = Literal["holm", "benjamini-hochberg"]

_STATSMODELS_NAMES: dict[AdjustmentMethod, str] = {
    "holm": "holm",
    "benjamini-hochberg": "fdr_bh",
}


def adjust_p_values(p_values: ArrayLike, *, method: AdjustmentMethod = "holm") -> FloatArray:
    """Adjust p-values for having made several tests.

    Use Holm for the primary comparisons of one experiment (no false claim at all with probability
    ``1 - alpha``) and Benjamini-Hochberg for a long list of secondary ones (the share of false
    claims among all claims is ``alpha`` on average).

    Parameters
    ----------
    p_values : array-like, shape (k,)
        Raw p-values from 0 to 1. A NaN (a test that could not be made) stays NaN and does not
        count as a test.
    method : {"holm", "benjamini-hochberg"}
        The procedure.

    Returns
    -------
    ndarray, shape (k,)
        Adjusted p-values in the order given; compare them with alpha.

    Raises
    ------
    DesignError
        When a p-value is outside 0 to 1 or the method is not known.

    Notes
    -----
    Holm holds under any dependence between the tests; Benjamini-Hochberg holds for independent or
    positively dependent ones.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, float("nan"), 0.03], method="holm")
    array([0.03, 0.06,  nan, 0.06])
    """
    values = as_values(p_values, "p_values")
    if method not in _STATSMODELS_NAMES:
        raise DesignError(
            as_given("method", repr(method)), expected=say("'holm' or 'benjamini-hochberg'")
        )
    known = ~np.isnan(values)
    if not np.all((values[known] >= 0) & (values[known] <= 1)):
        raise DesignError(say("a p-value is outside 0 to 1"))
    adjusted = values.copy()
    if known.any():
        # Importing statsmodels takes about a second, so only those who adjust pay for it.
        from statsmodels.stats.multitest import multipletests

        adjusted[known] = multipletests(values[known], method=_STATSMODELS_NAMES[method])[1]
    return adjusted
