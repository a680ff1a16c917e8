"""Inference: arrays or summaries in, frozen results out; knows no customer, file or query.

Proportions are compared by score methods, means by studentised permutation. Both keep their
promise when one arm is small, which the usual normal and t approximations do not.
"""

from crm_lab.stats.adjustment import Adjustment, cuped, cuped_theta
from crm_lab.stats.design_factors import (
    DesignFactors,
    cluster_sizes,
    design_effect,
    intraclass_correlation,
    ratio_variance,
)
from crm_lab.stats.effects import Comparison, Effect
from crm_lab.stats.means import compare_means, compare_means_welch, fieller_set
from crm_lab.stats.moments import Moments, PairMoments
from crm_lab.stats.multiplicity import adjust_p_values
from crm_lab.stats.permutation import PermutationTest, permutation_null, permutation_test
from crm_lab.stats.power import (
    DetectableEffect,
    RequiredSize,
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
    minimum_detectable_effect_ratio,
    power_mean,
    power_proportion,
    required_total,
)
from crm_lab.stats.proportions import (
    ProportionEstimate,
    compare_proportions,
    proportion_interval,
    score_statistic,
)
from crm_lab.stats.sample_ratio import SampleRatio, sample_ratio_test
from crm_lab.stats.sequential import Boundary, SequentialPlan, group_sequential
from crm_lab.stats.simulated_power import Mechanism, SimulatedPower, simulate_power

__all__ = [
    "Adjustment",
    "Boundary",
    "Comparison",
    "DesignFactors",
    "DetectableEffect",
    "Effect",
    "Mechanism",
    "Moments",
    "PairMoments",
    "PermutationTest",
    "ProportionEstimate",
    "RequiredSize",
    "SampleRatio",
    "SequentialPlan",
    "SimulatedPower",
    "adjust_p_values",
    "cluster_sizes",
    "compare_means",
    "compare_means_welch",
    "compare_proportions",
    "cuped",
    "cuped_theta",
    "design_effect",
    "fieller_set",
    "group_sequential",
    "intraclass_correlation",
    "minimum_detectable_effect_mean",
    "minimum_detectable_effect_proportion",
    "minimum_detectable_effect_ratio",
    "permutation_null",
    "permutation_test",
    "power_mean",
    "power_proportion",
    "proportion_interval",
    "ratio_variance",
    "required_total",
    "sample_ratio_test",
    "score_statistic",
    "simulate_power",
]
