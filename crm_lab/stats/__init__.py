"""Inference: arrays or summaries in, frozen results out; knows no customer, file or query.

Proportions are compared by score methods, means by studentised permutation. Both keep their
promise when one arm is small, which the usual normal and t approximations do not.
"""

from crm_lab.stats.adjustment import Adjustment, cuped, cuped_theta, residual_spread
from crm_lab.stats.bayes import read_means, read_proportions
from crm_lab.stats.bayesian_reading import BayesianReading
from crm_lab.stats.clusters import compare_clustered_means
from crm_lab.stats.compliance import ComplierEffect, complier_effect
from crm_lab.stats.confidence_sequences import (
    ConfidenceSequence,
    SequenceLook,
    confidence_sequence,
    sequence_quantile,
)
from crm_lab.stats.contamination import Dilution, dilution
from crm_lab.stats.design_factors import (
    DesignFactors,
    cluster_sizes,
    design_effect,
    intraclass_correlation,
    ratio_variance,
)
from crm_lab.stats.effects import Comparison, Effect, size_reason, unknown_comparison
from crm_lab.stats.large_means import compare_means_moments, is_large_enough
from crm_lab.stats.means import compare_means, compare_means_welch, fieller_set, mean_interval
from crm_lab.stats.moments import Moments, PairMoments
from crm_lab.stats.multiplicity import adjust_p_values
from crm_lab.stats.nested_pooling import Expectation, NestedEffects, pool_nested_effects
from crm_lab.stats.net_shares import NetShare, net_share_interval
from crm_lab.stats.period_totals import DayShape, PeriodTotal, forecast_period
from crm_lab.stats.permutation import PermutationTest, permutation_null, permutation_test
from crm_lab.stats.pooling import PooledEffects, pool_effects
from crm_lab.stats.power import (
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
    minimum_detectable_effect_ratio,
    power_mean,
    power_proportion,
    required_total,
)
from crm_lab.stats.power_results import DetectableEffect, RequiredSize
from crm_lab.stats.products import AdjustedMoments, Products, cuped_products
from crm_lab.stats.proportions import (
    ProportionEstimate,
    compare_proportions,
    proportion_interval,
    score_statistic,
)
from crm_lab.stats.quantiles import compare_quantiles, quantile_interval
from crm_lab.stats.ranked_shares import RankedShares, rank_shares
from crm_lab.stats.ratios import (
    RatioEstimate,
    compare_ratio_moments,
    compare_ratios,
    ratio_estimate,
)
from crm_lab.stats.sample_ratio import SampleRatio, sample_ratio_test
from crm_lab.stats.sequential import Boundary, SequentialPlan, group_sequential
from crm_lab.stats.simulated_power import Mechanism, SimulatedPower, simulate_power
from crm_lab.stats.stratified import (
    StratifiedComparison,
    adjust_by_strata,
    compare_stratified_means,
)
from crm_lab.stats.survival_comparison import (
    ShareByTime,
    SurvivalComparison,
    compare_survival,
)

__all__ = [
    "AdjustedMoments",
    "Adjustment",
    "BayesianReading",
    "Boundary",
    "Comparison",
    "ComplierEffect",
    "ConfidenceSequence",
    "DayShape",
    "DesignFactors",
    "DetectableEffect",
    "Dilution",
    "Effect",
    "Expectation",
    "Mechanism",
    "Moments",
    "NestedEffects",
    "NetShare",
    "PairMoments",
    "PeriodTotal",
    "PermutationTest",
    "PooledEffects",
    "Products",
    "ProportionEstimate",
    "RankedShares",
    "RatioEstimate",
    "RequiredSize",
    "SampleRatio",
    "SequenceLook",
    "SequentialPlan",
    "ShareByTime",
    "SimulatedPower",
    "StratifiedComparison",
    "SurvivalComparison",
    "adjust_by_strata",
    "adjust_p_values",
    "cluster_sizes",
    "compare_clustered_means",
    "compare_means",
    "compare_means_moments",
    "compare_means_welch",
    "compare_proportions",
    "compare_quantiles",
    "compare_ratio_moments",
    "compare_ratios",
    "compare_stratified_means",
    "compare_survival",
    "complier_effect",
    "confidence_sequence",
    "cuped",
    "cuped_products",
    "cuped_theta",
    "design_effect",
    "dilution",
    "fieller_set",
    "forecast_period",
    "group_sequential",
    "intraclass_correlation",
    "is_large_enough",
    "mean_interval",
    "minimum_detectable_effect_mean",
    "minimum_detectable_effect_proportion",
    "minimum_detectable_effect_ratio",
    "net_share_interval",
    "permutation_null",
    "permutation_test",
    "pool_effects",
    "pool_nested_effects",
    "power_mean",
    "power_proportion",
    "proportion_interval",
    "quantile_interval",
    "rank_shares",
    "ratio_estimate",
    "ratio_variance",
    "read_means",
    "read_proportions",
    "required_total",
    "residual_spread",
    "sample_ratio_test",
    "score_statistic",
    "sequence_quantile",
    "simulate_power",
    "size_reason",
    "unknown_comparison",
]
