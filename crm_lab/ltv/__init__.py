"""Lifetime value: purchase history, purchase models, spend model, forecast, validation.

Frames in, frozen results out. The steps are ``purchase_history`` (or ``history_from_summary``),
``fit_purchases`` and ``fit_gamma_gamma``, ``validate``, ``forecast``.
"""

from crm_lab.ltv.arm_histories import arm_histories
from crm_lab.ltv.cohorts import GroupValues, group_values
from crm_lab.ltv.contrast import LifetimeContrast, lifetime_contrast
from crm_lab.ltv.covariates import CovariateFit, fit_with_covariates
from crm_lab.ltv.cross_check import CrossCheck, cross_check
from crm_lab.ltv.draws import CustomerDraws, draw_customers
from crm_lab.ltv.fits import (
    fit_bg_bb,
    fit_bg_nbd,
    fit_gamma_gamma,
    fit_mbg_nbd,
    fit_pareto_nbd,
    fit_purchases,
)
from crm_lab.ltv.forecast import Estimate, LifetimeForecast, forecast
from crm_lab.ltv.formulas import (
    discounted_expected_purchases,
    expected_purchases,
    expected_purchases_of_new_customer,
    expected_spend,
    probability_alive,
    probability_of_purchase,
    probability_of_purchase_count,
)
from crm_lab.ltv.gate import ForecastVerdict, judge_forecast
from crm_lab.ltv.history import PurchaseHistory, history_from_summary, purchase_history
from crm_lab.ltv.holdout import SplitHistory, split_history
from crm_lab.ltv.models import GammaGammaFit, PurchaseFit
from crm_lab.ltv.parameters import (
    BGBBParameters,
    BGNBDParameters,
    GammaGammaParameters,
    MBGNBDParameters,
    ParetoNBDParameters,
)
from crm_lab.ltv.predictions import LifetimePredictions, predict
from crm_lab.ltv.purchase_days import HistoryHealth
from crm_lab.ltv.rolling import RollingOrigin, rolling_origin
from crm_lab.ltv.saved import load_fit, save_fit
from crm_lab.ltv.scoring import score_customers, score_in_pieces
from crm_lab.ltv.tiers import ValueTiers, value_tiers
from crm_lab.ltv.validation import Validation, validate

__all__ = [
    "BGBBParameters",
    "BGNBDParameters",
    "CovariateFit",
    "CrossCheck",
    "CustomerDraws",
    "Estimate",
    "ForecastVerdict",
    "GammaGammaFit",
    "GammaGammaParameters",
    "GroupValues",
    "HistoryHealth",
    "LifetimeContrast",
    "LifetimeForecast",
    "LifetimePredictions",
    "MBGNBDParameters",
    "ParetoNBDParameters",
    "PurchaseFit",
    "PurchaseHistory",
    "RollingOrigin",
    "SplitHistory",
    "Validation",
    "ValueTiers",
    "arm_histories",
    "cross_check",
    "discounted_expected_purchases",
    "draw_customers",
    "expected_purchases",
    "expected_purchases_of_new_customer",
    "expected_spend",
    "fit_bg_bb",
    "fit_bg_nbd",
    "fit_gamma_gamma",
    "fit_mbg_nbd",
    "fit_pareto_nbd",
    "fit_purchases",
    "fit_with_covariates",
    "forecast",
    "group_values",
    "history_from_summary",
    "judge_forecast",
    "lifetime_contrast",
    "load_fit",
    "predict",
    "probability_alive",
    "probability_of_purchase",
    "probability_of_purchase_count",
    "purchase_history",
    "rolling_origin",
    "save_fit",
    "score_customers",
    "score_in_pieces",
    "split_history",
    "validate",
    "value_tiers",
]
