"""Layers, a campaign's own control, and factorial designs: who ends up in which arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from scipy import stats

from crm_lab.errors import LedgerError, SpecError
from crm_lab.experiments.assignment import arm_of, bucket_of
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw

WorkbenchAt = Callable[[str], Workbench]
ALMOST_NEVER = 1e-6
"""A p-value below this is a fault, not chance."""


def experiment(workbench: Workbench, name: str, *, arms: str, extra: str = "") -> None:
    path = sw.write_experiment(workbench.settings.folder, name, extra=extra)
    text = path.read_text("utf-8")
    start, end = text.index("arms:"), text.index("metrics:")
    path.write_text(text[:start] + arms + text[end:], "utf-8")


ONE_ARM = "arms:\n  mail: {share: 1.0, message: mail-1}\n"
FACTORS = "factors:\n  subject: {short: 0.5, long: 0.5}\n  offer: {none: 0.7, ten: 0.3}\n"


def test_experiments_of_one_layer_share_nobody(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    for name, part in (("first", "from: 0.0, to: 0.5"), ("second", "from: 0.5, to: 1.0")):
        experiment(workbench, name, arms=ONE_ARM, extra=f"layer: {{name: may, {part}}}\n")
        workbench.experiment(name).assign(as_of=sw.STARTS_AT)
    first = {who for _, who in sw.assignment(workbench, "experiment:first")}
    second = {who for _, who in sw.assignment(workbench, "experiment:second")}
    assert first
    assert second
    assert not first & second


def test_a_part_of_a_layer_that_is_held_is_refused(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    experiment(workbench, "first", arms=ONE_ARM, extra="layer: {name: may, from: 0.0, to: 0.5}\n")
    workbench.experiment("first").assign(as_of=sw.STARTS_AT)
    experiment(workbench, "second", arms=ONE_ARM, extra="layer: {name: may, from: 0.4, to: 0.9}\n")
    before = sw.state(workbench)
    with pytest.raises(LedgerError, match="of the layer 'may' is held by 'first'"):
        workbench.experiment("second").assign(as_of=sw.STARTS_AT)
    assert sw.state(workbench) == before


def test_layers_overlap_at_random(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    for name, layer in (("first", "may"), ("second", "june")):
        part = f"layer: {{name: {layer}, from: 0.0, to: 0.5}}\n"
        experiment(workbench, name, arms=ONE_ARM, extra=part)
        workbench.experiment(name).assign(as_of=sw.STARTS_AT)
    members = {who for _, who in sw.assignment(workbench, "epoch:global-1")}
    first = {who for _, who in sw.assignment(workbench, "experiment:first")}
    second = {who for _, who in sw.assignment(workbench, "experiment:second")}
    both, either = len(first & second), len(first)
    assert stats.binomtest(both, either, len(second) / len(members)).pvalue > ALMOST_NEVER


def test_an_own_control_is_drawn_outside_the_global_group(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    experiment(workbench, "own", arms=ONE_ARM, extra="own_control_share: 0.2\n")
    workbench.experiment("own").assign(as_of=sw.STARTS_AT)
    held = sw.people(workbench, "epoch:global-1", "control")
    own = sw.people(workbench, "experiment:own", "control")
    sent = sw.people(workbench, "experiment:own", "mail")
    assert not held & (own | sent)
    assert stats.binomtest(len(own), len(own) + len(sent), 0.2).pvalue > ALMOST_NEVER
    result = workbench.experiment("own").analyze()
    assert not result.ratio.is_mismatch
    exported = workbench.experiment("own").export(as_of=sw.STARTS_AT)
    text = next(iter(exported.files.values())).read_text("utf-8")
    listed = {line.split(",")[1] for line in text.splitlines()[1:]}
    assert not listed & (held | own)


def test_factors_are_drawn_independently_and_by_their_own_hash(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    experiment(workbench, "grid", arms=FACTORS)
    workbench.experiment("grid").assign(as_of=sw.STARTS_AT)
    rows = sw.assignment(workbench, "experiment:grid")
    found = Counter(variant for variant in rows.values() if variant != "control")
    assert set(found) == {"short-none", "short-ten", "long-none", "long-ten"}
    table = [[found["short-none"], found["short-ten"]], [found["long-none"], found["long-ten"]]]
    assert stats.chi2_contingency(table, correction=False).pvalue > ALMOST_NEVER
    ten = found["short-ten"] + found["long-ten"]
    assert stats.binomtest(ten, sum(found.values()), 0.3).pvalue > ALMOST_NEVER
    for (_, who), variant in list(rows.items())[:200]:
        if variant != "control":
            subject = arm_of(bucket_of("experiment:grid:subject", who), {"short": 0.5, "long": 0.5})
            offer = arm_of(bucket_of("experiment:grid:offer", who), {"none": 0.7, "ten": 0.3})
            assert variant == f"{subject}-{offer}"


def test_a_factorial_read_out_has_a_main_effect_per_level(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    experiment(workbench, "grid", arms=FACTORS)
    workbench.experiment("grid").assign(as_of=sw.STARTS_AT)
    result = workbench.experiment("grid").analyze()
    pairs = [(effect.variant, effect.control) for effect in result.main_effects]
    assert pairs == [("subject long", "subject short"), ("offer ten", "offer none")]
    sizes = result.main_effects[0].absolute
    arms = {arm.arm: arm.customers for arm in result.arms}
    assert sizes.n_treatment == arms["long-none"] + arms["long-ten"]
    assert sizes.n_control == arms["short-none"] + arms["short-ten"]


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (ONE_ARM + FACTORS, "give either 'arms' or 'factors'"),
        ("factors:\n  subject: {short: 0.5, long: 0.4}\n  offer: {a: 0.5, b: 0.5}\n", "90.0 %"),
        ("factors:\n  subject: {short: 0.5, long: 0.5}\n", "1 factors; a factorial design has two"),
    ],
)
def test_contradictory_factors_are_refused(
    workbench_at: WorkbenchAt, arms: str, message: str
) -> None:
    workbench = workbench_at("drawn")
    experiment(workbench, "wrong", arms=arms)
    with pytest.raises(SpecError, match=message):
        workbench.experiment("wrong")
