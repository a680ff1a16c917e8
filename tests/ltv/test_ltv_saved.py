"""Saved fits: number by number the same, never executed, anything else refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crm_lab.errors import FileError
from crm_lab.ltv import (
    GammaGammaFit,
    PurchaseFit,
    PurchaseHistory,
    expected_purchases,
    fit_bg_bb,
    fit_gamma_gamma,
    fit_purchases,
    load_fit,
    save_fit,
)
from crm_lab.ltv.parameters import as_vector
from crm_lab.ltv.saved import FORMAT


@pytest.fixture(scope="module")
def fits(cdnow_history: PurchaseHistory) -> list[PurchaseFit | GammaGammaFit]:
    few = fit_bg_bb([0, 1, 2], [0, 1, 4], [6, 6, 6])
    return [
        fit_purchases(cdnow_history),
        fit_purchases(cdnow_history, model="mbg_nbd"),
        fit_purchases(cdnow_history, model="pareto_nbd"),
        fit_gamma_gamma(cdnow_history),
        few,
    ]


def test_a_loaded_fit_is_the_saved_one(
    fits: list[PurchaseFit | GammaGammaFit], tmp_path: Path
) -> None:
    for fit in fits:
        again = load_fit(save_fit(fit, tmp_path / "fit.json"))
        assert type(again) is type(fit)
        assert again.to_dict() == fit.to_dict()
        assert again.sentence() == fit.sentence()
        np.testing.assert_array_equal(as_vector(again.parameters), as_vector(fit.parameters))
        np.testing.assert_array_equal(again.covariance, fit.covariance)
        assert again.policies == fit.policies
        assert again.as_of == fit.as_of
    assert list(tmp_path.iterdir()) == [tmp_path / "fit.json"]


def test_a_loaded_fit_predicts_the_same(
    fits: list[PurchaseFit | GammaGammaFit], tmp_path: Path
) -> None:
    fit = fits[2]
    again = load_fit(save_fit(fit, tmp_path / "fit.json"))
    assert isinstance(fit, PurchaseFit)
    assert isinstance(again, PurchaseFit)
    one, other = (expected_purchases(f.parameters, 39, 2, 30.43, 38.86) for f in (fit, again))
    assert one == other


def test_the_file_says_what_it_is(fits: list[PurchaseFit | GammaGammaFit], tmp_path: Path) -> None:
    document = json.loads(save_fit(fits[0], tmp_path / "fit.json").read_text("utf-8"))
    assert document["format"] == FORMAT
    content = document["fit"]
    assert content["unit_days"] == 7
    assert len(content["covariance"]) == 4
    assert len(content["data_hash"]) == 64
    assert any("refunds" in policy for policy in content["policies"])


def test_broken_and_foreign_files_are_refused(
    fits: list[PurchaseFit | GammaGammaFit], tmp_path: Path
) -> None:
    good = save_fit(fits[0], tmp_path / "fit.json").read_text("utf-8")
    cases: dict[str, tuple[bytes, str]] = {
        "cut": (good[: len(good) // 2].encode(), "no JSON"),
        "empty": (b"", "no JSON"),
        "binary": (pickle.dumps({"a": 1}), "cannot be read|no JSON"),
        "list": (b"[1, 2]", "another kind"),
        "foreign": (b'{"format": "something else"}', "another kind"),
        "version": (good.replace('"version": 1', '"version": 2').encode(), "version 2"),
        "changed": (good.replace('"converged": true', '"converged": false').encode(), "digest"),
        "infinite": (good.replace('"alpha": 0.05', '"alpha": Infinity').encode(), "no JSON"),
        "deep": (b"[" * 200_000, "no JSON"),
        "large": (b" " * 2_000_000, "2,000,000 bytes"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FileError, match=message):
            load_fit(path)
    with pytest.raises(FileError, match="cannot be read"):
        load_fit(tmp_path / "missing.json")


def forged(path: Path, **changes: Any) -> Path:
    """A file with other content and the digest that belongs to it."""
    from crm_lab.ltv.saved import _digest

    document = json.loads(path.read_text("utf-8"))
    for key, value in changes.items():
        if value is None:
            del document["fit"][key]
        else:
            document["fit"][key] = value
    document["digest"] = _digest(document["fit"])
    target = path.with_name("forged.json")
    target.write_text(json.dumps(document), "utf-8")
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "prophet"}, "model 'prophet'"),
        ({"covariance": [[1.0]]}, "wrong kind"),
        ({"covariance": "none"}, "wrong kind"),
        ({"parameters": {"r": 1.0}}, "wrong kind"),
        ({"parameters": {"r": "os", "alpha": 1, "a": 1, "b": 1}}, "wrong kind"),
        ({"n_customers": 1.5}, "wrong kind"),
        ({"reason": 5}, "wrong kind"),
        ({"as_of": "yesterday"}, "wrong kind"),
        ({"extra": 1}, "extra missing or unknown"),
        ({"unit_days": None}, "unit_days missing or unknown"),
    ],
)
def test_content_of_the_wrong_kind_is_refused(
    fits: list[PurchaseFit | GammaGammaFit],
    tmp_path: Path,
    changes: dict[str, Any],
    message: str,
) -> None:
    path = forged(save_fit(fits[0], tmp_path / "fit.json"), **changes)
    with pytest.raises(FileError, match=message):
        load_fit(path)
