"""Whom to contact and whom to leave alone: rules, what they earn, and how sure that is.

A trial holds one treatment, its control and the known chance of each unit. Everything else takes a
trial and scores, or a rule: a number per unit between 0 (leave alone) and 1 (contact).
"""

from crm_lab.uplift.bands import CurveBands, coefficient_replicates, curve_bands
from crm_lab.uplift.contact_rules import above, everyone, members_of, no_one, top_count, top_share
from crm_lab.uplift.contrast import contrast
from crm_lab.uplift.cumulative import FORMULAS, Definition
from crm_lab.uplift.curves import UpliftCurve, uplift_curve
from crm_lab.uplift.cuts import BestCut, best_cut
from crm_lab.uplift.effects_by_group import (
    EffectCalibration,
    SortedEffects,
    calibrate_effects,
    sorted_effects,
)
from crm_lab.uplift.estimate import Estimate, Predictions
from crm_lab.uplift.group_profile import GroupProfile, group_profile
from crm_lab.uplift.policy import Economics, PolicyValue, median_value, policy_value
from crm_lab.uplift.rank_results import RankComparison, RankQuality
from crm_lab.uplift.ranking import compare_rankings, rank_quality
from crm_lab.uplift.targeting import targeting_effect, uplift_at
from crm_lab.uplift.trial import Evidence, Trial, chance_of, check_control, trials_of_arms

__all__ = [
    "FORMULAS",
    "BestCut",
    "CurveBands",
    "Definition",
    "Economics",
    "EffectCalibration",
    "Estimate",
    "Evidence",
    "GroupProfile",
    "PolicyValue",
    "Predictions",
    "RankComparison",
    "RankQuality",
    "SortedEffects",
    "Trial",
    "UpliftCurve",
    "above",
    "best_cut",
    "calibrate_effects",
    "chance_of",
    "check_control",
    "coefficient_replicates",
    "compare_rankings",
    "contrast",
    "curve_bands",
    "everyone",
    "group_profile",
    "median_value",
    "members_of",
    "no_one",
    "policy_value",
    "rank_quality",
    "sorted_effects",
    "targeting_effect",
    "top_count",
    "top_share",
    "trials_of_arms",
    "uplift_at",
    "uplift_curve",
]
