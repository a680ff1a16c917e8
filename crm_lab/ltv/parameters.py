"""The parameters of every lifetime model, each a small frozen record.

The order of the fields is the order in which vectors and covariance matrices hold them. A field
may also be an array with one value per customer, as covariates give it; the closed forms
broadcast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

PurchaseModel = Literal["bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BGNBDParameters:
    """The four parameters of BG/NBD.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma distribution of purchase rates; ``alpha`` is in time units.
    a, b : float
        The beta distribution of the probability to drop out after a repeat purchase.
    """

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MBGNBDParameters:
    """The four parameters of MBG/NBD, in which one may also drop out after the first purchase.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma distribution of purchase rates; ``alpha`` is in time units.
    a, b : float
        The beta distribution of the probability to drop out after a purchase, the first included.
    """

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoNBDParameters:
    """The four parameters of Pareto/NBD, in which one may leave at any moment.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma distribution of purchase rates; ``alpha`` is in time units.
    s, beta : float
        Shape and rate of the gamma distribution of leaving rates; ``beta`` is in time units.
    """

    r: float
    alpha: float
    s: float
    beta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BGBBParameters:
    """The four parameters of BG/BB, for purchases that can happen at set opportunities only.

    Attributes
    ----------
    alpha, beta : float
        The beta distribution of the probability to buy at an opportunity while active.
    gamma, delta : float
        The beta distribution of the probability to leave at the beginning of an opportunity.
    """

    alpha: float
    beta: float
    gamma: float
    delta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaGammaParameters:
    """The three parameters of the Gamma-Gamma model of spend.

    Attributes
    ----------
    p : float
        Shape of the gamma distribution of a purchase's value.
    q, gamma : float
        Shape and rate of the gamma distribution, over customers, of that value's rate; ``gamma``
        (written v in some packages) is in money.
    """

    p: float
    q: float
    gamma: float


PurchaseParameters = BGNBDParameters | MBGNBDParameters | ParetoNBDParameters | BGBBParameters
Parameters = PurchaseParameters | GammaGammaParameters
AnyParameters = TypeVar(
    "AnyParameters",
    BGNBDParameters,
    MBGNBDParameters,
    ParetoNBDParameters,
    BGBBParameters,
    GammaGammaParameters,
    PurchaseParameters,
    Parameters,
)

PARAMETERS_OF: dict[PurchaseModel, type[PurchaseParameters]] = {
    "bg_nbd": BGNBDParameters,
    "mbg_nbd": MBGNBDParameters,
    "pareto_nbd": ParetoNBDParameters,
    "bg_bb": BGBBParameters,
}


def names_of(kind: type[Parameters]) -> tuple[str, ...]:
    """Give the names of a model's parameters, in order."""
    return tuple(field.name for field in fields(kind))


def as_vector(parameters: Parameters) -> FloatArray:
    """Give parameters as a vector.

    Examples
    --------
    >>> as_vector(GammaGammaParameters(p=6.25, q=3.74, gamma=15.44)).tolist()
    [6.25, 3.74, 15.44]
    """
    return np.array([getattr(parameters, name) for name in names_of(type(parameters))])


def from_vector(kind: type[AnyParameters], values: ArrayLike) -> AnyParameters:
    """Give a vector as parameters of a kind.

    Examples
    --------
    >>> from_vector(GammaGammaParameters, [6.25, 3.74, 15.44])
    GammaGammaParameters(p=6.25, q=3.74, gamma=15.44)
    """
    each = np.asarray(values, dtype=np.float64).tolist()
    return kind(**dict(zip(names_of(kind), each, strict=True)))


def unknown(kind: type[AnyParameters]) -> AnyParameters:
    """Give parameters that are all NaN."""
    return kind(**dict.fromkeys(names_of(kind), math.nan))


def floats(*values: ArrayLike) -> tuple[FloatArray, ...]:
    """Give arrays of doubles, broadcast against each other."""
    return tuple(np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values)))
