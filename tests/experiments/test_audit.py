"""Contamination, merges and rotation: what is found, and that nothing past is rewritten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pandas as pd
import pytest

from crm_lab.experiments.audit import EXEMPT
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw

WorkbenchAt = Callable[[str], Workbench]
SCOPE = "epoch:global-1"
WHEN = sw.STARTS_AT + timedelta(days=2)


def add(workbench: Workbench, table: str, **columns: list[object]) -> None:
    """Write rows as an import would, past every check of a campaign."""
    workbench.gateway.append(
        {table: pd.DataFrame(columns)}, reason=f"test {table}", entries=lambda reader, files: []
    )


def sends(workbench: Workbench, customers: list[str], message_class: str) -> None:
    count = len(customers)
    campaign = f"stray-{message_class}"
    add(
        workbench,
        "send",
        send_id=[f"{campaign}/{who}" for who in customers],
        campaign_id=[campaign] * count,
        wave_no=[1] * count,
        customer_id=customers,
        contact_point_id=[None] * count,
        channel=["email"] * count,
        message_class=[message_class] * count,
        variant=[None] * count,
        scheduled_at=[WHEN] * count,
    )


def found(workbench: Workbench):  # type: ignore[no-untyped-def]
    return workbench.control_group().audit(starts_at=sw.STARTS_AT, ends_at=sw.ENDS_AT)


def test_an_untouched_group_is_clean(workbench_at: WorkbenchAt) -> None:
    audit = found(workbench_at("assigned"))
    assert (audit.touched, audit.dilution, len(audit.exposures)) == (0, 1.0, 0)
    assert "none of" in audit.sentence()


def test_marketing_to_controls_counts_and_exempt_messages_are_listed(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("assigned")
    controls = sorted(sw.people(workbench, SCOPE, "control"))
    sends(workbench, controls[:3], "marketing")
    sends(workbench, controls[2:6], "transactional")
    audit = found(workbench)
    assert audit.touched == 3
    assert audit.dilution == pytest.approx(1 - 3 / len(controls))
    assert audit.exposures["kind"].value_counts().to_dict() == {
        EXEMPT: 4,
        "control contacted": 3,
    }
    assert "4 exempt messages are listed" in audit.sentence()


def test_a_redeemed_code_and_a_neighbours_mail_are_found(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    controls = sorted(sw.people(workbench, SCOPE, "control"))
    treated = sorted(sw.people(workbench, SCOPE, "treatment"))
    add(
        workbench,
        "promo_redemption",
        redemption_id=["r-1"],
        code=["SUMMER"],
        campaign_id=["stray"],
        order_id=[None],
        customer_id=[controls[0]],
        at=[WHEN],
    )
    add(
        workbench,
        "customer_identity",
        identity_type=["phone", "phone"],
        identity_value=["+700", "+700 "],
        customer_id=[controls[1], treated[0]],
        verified=[True, True],
        first_seen_at=[WHEN, WHEN],
        last_seen_at=[WHEN, WHEN],
    )
    add(
        workbench,
        "contact_point",
        contact_point_id=["shared-a", "shared-b"],
        customer_id=[controls[2], treated[1]],
        channel=["email", "email"],
        address=["Same@x.org", "same@X.org"],
        is_primary=[False, False],
        status=["valid", "valid"],
        collected_at=[WHEN, WHEN],
        source_system=["crm", "crm"],
    )
    sends(workbench, treated[:2], "marketing")
    audit = found(workbench)
    kinds = dict(zip(audit.exposures["customer_id"], audit.exposures["kind"], strict=True))
    assert kinds[controls[0]] == "promo leak"
    assert kinds[controls[2]] == "shared contact"


def test_what_lies_outside_the_window_is_not_counted(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    sends(workbench, sorted(sw.people(workbench, SCOPE, "control"))[:2], "marketing")
    later = workbench.control_group().audit(
        starts_at=WHEN + timedelta(seconds=1), ends_at=sw.ENDS_AT
    )
    until = workbench.control_group().audit(starts_at=sw.STARTS_AT, ends_at=WHEN)
    assert (later.touched, until.touched) == (0, 0)


def test_a_merge_across_arms_is_flagged_and_rewrites_nothing(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("finished")
    before = sw.assignment(workbench)
    scope = f"experiment:{sw.NAME}"
    control = min(sw.people(workbench, scope, "control"))
    arm = workbench.experiment(sw.NAME).registered().arms[0]
    treated = min(sw.people(workbench, scope, arm))
    plain = workbench.experiment(sw.NAME).analyze()
    add(
        workbench,
        "identity_merge",
        merge_id=["m-1"],
        kept_id=[treated],
        merged_id=[control],
        rule=["e-mail"],
        merged_at=[WHEN],
    )
    audit = found(workbench)
    assert {control, treated} <= set(audit.split["customer_id"])
    merged = workbench.experiment(sw.NAME).analyze()
    assert sw.assignment(workbench) == before
    main, rest = merged.arm(arm).primary.absolute, merged.without_split[0].absolute
    assert main == plain.arm(arm).primary.absolute
    assert rest.n_treatment < main.n_treatment
    assert rest.n_control < main.n_control


def test_rotation_says_when_the_horizon_has_passed_and_what_the_group_costs(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("finished")
    group = workbench.control_group()
    early = group.rotation(as_of=sw.STARTS_AT, assumed_lift=0.1)
    late = group.rotation(as_of=sw.DRAWN_AT + timedelta(days=400))
    assert early.reasons == ()
    assert early.monthly_cost == pytest.approx(0.1 * early.monthly_revenue)
    assert any("days have passed" in reason for reason in late.reasons)
    assert "Draw global-1" in late.sentence()
