"""Checks of what a caller passes in; every fault is a `DesignError` that names the argument."""

from __future__ import annotations

import math
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crm_lab.errors import DesignError
from crm_lab.language import say

FloatArray = NDArray[np.float64]
"""A numpy array of 64-bit floating point numbers."""


def as_given(name: str, value: object) -> str:
    """Say what was passed for an argument.

    Examples
    --------
    >>> as_given("alpha", 2)
    'alpha is 2'
    """
    return say("{name} is {value}", name=name, value=value)


def check_share(value: float, name: str) -> float:
    """Give ``value`` back when it lies strictly between 0 and 1.

    Raises
    ------
    DesignError
        When it does not.

    Examples
    --------
    >>> check_share(0.05, "alpha")
    0.05
    """
    if not 0.0 < value < 1.0:
        raise DesignError(
            as_given(name, value),
            expected=say("a number strictly between 0 and 1 for {name}", name=name),
        )
    return float(value)


def check_positive(value: float, name: str) -> float:
    """Give ``value`` back when it is finite and above 0.

    Raises
    ------
    DesignError
        When it is not.

    Examples
    --------
    >>> check_positive(12, "sd")
    12.0
    """
    if not (math.isfinite(value) and value > 0.0):
        raise DesignError(
            as_given(name, value),
            expected=say("a finite number above 0 for {name}", name=name),
        )
    return float(value)


def check_count(value: SupportsIndex, name: str, *, minimum: int = 0) -> int:
    """Give ``value`` back as an ``int`` when it is a whole number of at least ``minimum``.

    Raises
    ------
    DesignError
        When it is not a whole number or is too small.

    Examples
    --------
    >>> check_count(3, "n_control")
    3
    """
    try:
        count = value.__index__()
    except AttributeError:
        raise DesignError(
            as_given(name, repr(value)),
            expected=say(
                "a whole number of at least {minimum} for {name}", minimum=minimum, name=name
            ),
        ) from None
    if count < minimum:
        raise DesignError(
            as_given(name, count),
            expected=say(
                "a whole number of at least {minimum} for {name}", minimum=minimum, name=name
            ),
        )
    return count


def as_values(values: ArrayLike, name: str) -> FloatArray:
    """Give ``values`` as a one-dimensional array of floats; the input itself is not changed.

    Raises
    ------
    DesignError
        When the values are not numbers or have more than one dimension.

    Examples
    --------
    >>> as_values([1, 2], "treatment")
    array([1., 2.])
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DesignError(
            say("{name} holds something that is not a number: {error}", name=name, error=error)
        ) from error
    if array.ndim != 1:
        raise DesignError(
            say("{name} has {array} dimensions", name=name, array=array.ndim),
            expected=say("one value per unit, in one dimension"),
        )
    return array
