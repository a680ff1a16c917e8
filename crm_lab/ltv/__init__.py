"""Lifetime value: purchase history, BTYD models, spend model, forecast, validation.

Frames in, frozen results out. The steps are ``purchase_history`` (or ``history_from_summary``),
``validate``, ``forecast``.
"""

from crm_lab.ltv.forecast import Estimate, LifetimeForecast, forecast
from crm_lab.ltv.formulas import (
    BGNBDParameters,
    GammaGammaParameters,
    expected_purchases,
    expected_purchases_of_new_customer,
    expected_spend,
    probability_alive,
    probability_of_purchase,
    probability_of_purchase_count,
)
from crm_lab.ltv.history import (
    HistoryHealth,
    PurchaseHistory,
    SplitHistory,
    history_from_summary,
    purchase_history,
    split_history,
)
from crm_lab.ltv.models import BGNBDFit, GammaGammaFit, fit_bg_nbd, fit_gamma_gamma
from crm_lab.ltv.validation import Validation, validate

__all__ = [
    "BGNBDFit",
    "BGNBDParameters",
    "Estimate",
    "GammaGammaFit",
    "GammaGammaParameters",
    "HistoryHealth",
    "LifetimeForecast",
    "PurchaseHistory",
    "SplitHistory",
    "Validation",
    "expected_purchases",
    "expected_purchases_of_new_customer",
    "expected_spend",
    "fit_bg_nbd",
    "fit_gamma_gamma",
    "forecast",
    "history_from_summary",
    "probability_alive",
    "probability_of_purchase",
    "probability_of_purchase_count",
    "purchase_history",
    "split_history",
    "validate",
]
