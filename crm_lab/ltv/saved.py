"""Fits kept as JSON: numbers and words only, so that loading one never runs anything.

A file carries parameters, covariance, units, policies and the fingerprint of the data. It says by
a digest over its content whether it is as it was written, which finds a damaged file and not a
forged one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np

from crm_lab.cards import plain
from crm_lab.errors import FileError
from crm_lab.formats import separated
from crm_lab.language import say
from crm_lab.ltv import wording
from crm_lab.ltv.models import GammaGammaFit, PurchaseFit
from crm_lab.ltv.parameters import (
    PARAMETERS_OF,
    FloatArray,
    GammaGammaParameters,
    Parameters,
    PurchaseModel,
    from_vector,
    names_of,
)

FORMAT = "crm-lab lifetime model"
VERSION = 1
LARGEST_FILE = 1_000_000
"""A file above this many bytes is no saved model."""

NUMBERS = (
    "log_likelihood",
    "alpha",
    "unit_days",
    "mean_spend",
    "frequency_correlation",
    "correlation_low",
    "correlation_high",
)
COUNTS = ("n_customers", "n_distinct", "n_repeaters")
TEXTS = ("reason", "data_hash", "method", "currency", "independence")
TEXT_LISTS = ("warnings", "policies")


def save_fit(fit: PurchaseFit | GammaGammaFit, path: Path | str) -> Path:
    """Keep a fit as a JSON file.

    Parameters
    ----------
    fit : PurchaseFit or GammaGammaFit
        What to keep.
    path : pathlib.Path or str
        Where; an existing file is replaced as a whole.

    Returns
    -------
    pathlib.Path
        The file.
    """
    target = Path(path)
    content = plain(fit)
    content["model"] = "gamma_gamma" if isinstance(fit, GammaGammaFit) else fit.model
    document = {
        "format": FORMAT,
        "version": VERSION,
        "fit": content,
        "digest": _digest(content),
    }
    scratch = target.with_name(f"{target.name}.tmp")
    scratch.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", "utf-8")
    scratch.replace(target)
    return target


def load_fit(path: Path | str) -> PurchaseFit | GammaGammaFit:
    """Read a fit that :func:`save_fit` has written.

    Parameters
    ----------
    path : pathlib.Path or str
        The file.

    Returns
    -------
    PurchaseFit or GammaGammaFit
        Equal to the one that was saved, number by number.

    Raises
    ------
    FileError
        When the file is missing, damaged, foreign or of another version.
    """
    source = Path(path)
    content = _content(source)
    model = content.get("model")
    spend = model == "gamma_gamma"
    if not spend and model not in PARAMETERS_OF:
        raise _refused(source, say("model {model}", model=repr(model)), say("a model of crm-lab"))
    kind: type[Parameters] = (
        GammaGammaParameters if spend else PARAMETERS_OF[cast(PurchaseModel, model)]
    )
    fit_kind: type[PurchaseFit] | type[GammaGammaFit] = GammaGammaFit if spend else PurchaseFit
    wanted = {field.name for field in fields(fit_kind)} | {"model"}
    if set(content) != wanted:
        odd = sorted(set(content) ^ wanted)
        raise _refused(
            source,
            say("fields {odd} missing or unknown", odd=", ".join(odd)),
            say("those of a fit"),
        )
    try:
        values = _values(content, kind)
    except (TypeError, ValueError, KeyError) as problem:
        raise _refused(
            source,
            say("a value of the wrong kind ({problem})", problem=problem),
            say("those of a fit"),
        ) from None
    if spend:
        values.pop("model")
    return fit_kind(**values)


def _content(source: Path) -> dict[str, Any]:
    """Give the fit in the file as plain data, after every check of the envelope."""
    try:
        size = source.stat().st_size
        text = source.read_text("utf-8") if size <= LARGEST_FILE else ""
    except (OSError, UnicodeDecodeError) as problem:
        raise _refused(
            source, say("it cannot be read ({problem})", problem=problem), say("a saved model")
        ) from None
    if size > LARGEST_FILE:
        raise _refused(
            source,
            say("{size} bytes", size=separated(f"{size:,}")),
            say("a saved model, which is small"),
        )
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        raise _refused(
            source, say("no JSON ({problem})", problem=problem), say("a saved model")
        ) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _refused(
            source,
            say("JSON of another kind"),
            say("a file of the format '{format}'", format=FORMAT),
        )
    if document.get("version") != VERSION:
        raise _refused(
            source,
            say("version {version}", version=repr(document.get("version"))),
            say("version {version}", version=VERSION),
        )
    content = document.get("fit")
    if not isinstance(content, dict) or document.get("digest") != _digest(content):
        raise _refused(
            source, say("its content does not match its digest"), say("the file as it was saved")
        )
    return content


def _values(content: Mapping[str, Any], kind: type[Parameters]) -> dict[str, Any]:
    names = names_of(kind)
    values: dict[str, Any] = dict(content)
    values["parameters"] = from_vector(kind, [_number(content["parameters"][n]) for n in names])
    values["covariance"] = _matrix(content["covariance"], len(names))
    for name in set(NUMBERS) & set(content):
        values[name] = _number(content[name])
    for name in set(COUNTS) & set(content):
        if isinstance(content[name], bool) or not isinstance(content[name], int):
            raise TypeError(name)
    for name in set(TEXTS) & set(content):
        if not isinstance(content[name], str):
            raise TypeError(name)
    for name in TEXT_LISTS:
        if not all(isinstance(text, str) for text in content[name]):
            raise TypeError(name)
        values[name] = tuple(content[name])
    if not isinstance(content["converged"], bool):
        raise TypeError("converged")
    values["as_of"] = None if content["as_of"] is None else date.fromisoformat(content["as_of"])
    return values


def _number(value: object) -> float:
    """Give a number; JSON's null stands for NaN."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(repr(value))
    return float(value)


def _matrix(rows: object, size: int) -> FloatArray:
    if not isinstance(rows, list) or len(rows) != size:
        raise ValueError("covariance")
    matrix = np.array([[_number(value) for value in row] for row in rows])
    if matrix.shape != (size, size):
        raise ValueError("covariance")
    return matrix


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _refused(source: Path, found: str, expected: str) -> FileError:
    return FileError(found, expected=expected, where=str(source), remedy=wording.SAVE_AGAIN)
