"""Workbenches of synthetic shops, made once per run through the real import and then copied.

Every folder of tests that needs one loads this module in its ``conftest.py``; the stages are kept
here, so that they are made once for all of them.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, chdir
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from crm_lab.crm_effect.curve import curve
from crm_lab.crm_effect.curve_results import CurveResult
from crm_lab.experiments.assignment import arm_of, bucket_of
from crm_lab.simulation.shops import Shares, Shop, make_shop, till_file, write_shop
from crm_lab.starter import DELIVERIES_MAP
from crm_lab.workbench import Workbench, open_workbench

DRAWN_AT = datetime(2024, 4, 15)
ASSIGNED_AT = datetime(2024, 4, 30)
STARTS_AT, ENDS_AT = datetime(2024, 5, 1), datetime(2024, 5, 29)
STARTS_ON, ENDS_ON = date(2024, 5, 1), date(2024, 5, 28)
NAME = "spring-mailing"
SHARES = {"strong": 0.5, "weak": 0.5}
LIFTS = {"strong": 0.6, "weak": 0.0}
"""Planted in the shop: one effect that this base can see, and none."""
CUSTOMERS = 2_000
SALT = "2024"
CONTROL_SHARE = 0.2
ORDERS_PER_DAY = 1 / 25
CURVE_PERMUTATIONS = 199
"""Enough for the intervals of a test that is about something else."""

SETTINGS = "company: A shop\ncurrency: EUR\ntimezone: {timezone}\n"
CONTROL_GROUP = 'name: global\nshare: {share}\nsalt: "{salt}"\nchannel: email\n'
EXPERIMENT = """\
name: {name}
title: "Two mailings in spring"
hypothesis: "A personal reminder brings buyers back sooner."
owner: CRM team
starts_on: 2024-05-01
ends_on: 2024-05-28
arms:
{arms}
metrics: {{primary: revenue_per_customer, secondary: [conversion, orders_per_customer]}}
{extra}"""


def write_settings(
    folder: Path, *, share: float = CONTROL_SHARE, salt: str = SALT, timezone: str = "UTC"
) -> Path:
    (folder / "experiments").mkdir(parents=True, exist_ok=True)
    (folder / "maps").mkdir(exist_ok=True)
    (folder / "crm-lab.yml").write_text(SETTINGS.format(timezone=timezone), "utf-8")
    (folder / "maps" / "deliveries.yml").write_text(DELIVERIES_MAP, "utf-8")
    (folder / "experiments" / "control_group.yml").write_text(
        CONTROL_GROUP.format(share=share, salt=salt), "utf-8"
    )
    return folder


def write_experiment(
    folder: Path,
    name: str = NAME,
    *,
    shares: dict[str, float] | None = None,
    extra: str = "costs: {per_message: 0.5, fixed: 100, margin_share: 0.3}\n",
) -> Path:
    listed = "\n".join(
        f"  {arm}: {{share: {share}, message: {arm}-1}}"
        for arm, share in (shares or SHARES).items()
    )
    path = folder / "experiments" / f"{name}.yml"
    path.write_text(EXPERIMENT.format(name=name, arms=listed, extra=extra), "utf-8")
    return path


def load(workbench: Workbench, shop: Shop, *, name: str = "") -> None:
    for map_path, file in write_shop(shop, workbench.settings.folder, name=name):
        report = workbench.import_file(map_path, file)
        assert report.rows_rejected == 0, report


def lift_of(customer_id: str) -> float:
    """The planted lift of a customer: that of the arm that the hash gives him."""
    if bucket_of(SALT, customer_id) < CONTROL_SHARE * 10_000:
        return 0.0
    return LIFTS[arm_of(bucket_of(f"experiment:{NAME}", customer_id), SHARES)]


@functools.cache
def the_shop() -> Shop:
    return make_shop(
        CUSTOMERS,
        rng=np.random.default_rng(20240501),
        days=170,
        orders_per_customer_day=ORDERS_PER_DAY,
        lift=lift_of,
        lift_from=STARTS_AT,
    )


@functools.cache
def _root() -> Path:
    return Path(tempfile.mkdtemp(prefix="crm-lab-tests-"))


@functools.cache
def nine_weeks() -> CurveResult:
    """Nine of thirteen weeks after the draw of the finished shop, against its control group."""
    workbench = open_workbench(STAGES["finished"]())
    return curve(
        workbench.gateway,
        workbench.control_group().epoch(),
        known_until=workbench.day_start(workbench.last_day() + timedelta(days=1)),
        timezone="UTC",
        rng=np.random.default_rng(1),
        margin_share=0.3,
        permutations=CURVE_PERMUTATIONS,
        decisive_permutations=CURVE_PERMUTATIONS,
    )


def remove_stages() -> None:
    if _root.cache_info().currsize:
        shutil.rmtree(_root(), ignore_errors=True)
        for stage in (_root, *STAGES.values()):
            stage.cache_clear()


def _next_stage(name: str, before: Path | None) -> Path:
    folder = _root() / name
    shutil.rmtree(folder, ignore_errors=True)  # what an attempt that failed has left
    if before is None:
        folder.mkdir()
    else:
        shutil.copytree(before, folder)
    return folder


@functools.cache
def _loaded() -> Path:
    """The shop as it is known before the campaign; nothing drawn."""
    folder = write_settings(_next_stage("loaded", None))
    write_experiment(folder)
    load(open_workbench(folder), the_shop().until(STARTS_AT))
    return folder


@functools.cache
def _drawn() -> Path:
    folder = _next_stage("drawn", _loaded())
    open_workbench(folder).control_group().draw(as_of=DRAWN_AT)
    return folder


@functools.cache
def _assigned() -> Path:
    folder = _next_stage("assigned", _drawn())
    open_workbench(folder).experiment(NAME).assign(as_of=ASSIGNED_AT)
    return folder


@functools.cache
def _exported() -> Path:
    folder = _next_stage("exported", _assigned())
    open_workbench(folder).experiment(NAME).export(as_of=STARTS_AT)
    return folder


@functools.cache
def _finished() -> Path:
    """After the window: the orders of the whole history are known."""
    folder = _next_stage("finished", _exported())
    file = folder / "incoming" / "orders_later.csv"
    orders = the_shop().orders
    till_file(orders[orders["ordered_at"] >= STARTS_AT]).to_csv(file, index=False)
    open_workbench(folder).import_file(folder / "maps" / "orders.yml", file)
    return folder


STAGES = {
    "loaded": _loaded,
    "drawn": _drawn,
    "assigned": _assigned,
    "exported": _exported,
    "finished": _finished,
}


@pytest.fixture(scope="session", autouse=True)
def _stages_removed() -> Iterable[None]:
    yield
    remove_stages()


@pytest.fixture(scope="session")
def shop() -> Shop:
    return the_shop()


@pytest.fixture(scope="session")
def finished() -> Workbench:
    """Of the shop after the campaign; for tests that only read."""
    return open_workbench(_finished())


@pytest.fixture
def workbench_at(tmp_path: Path) -> Callable[[str], Workbench]:
    """Gives a fresh copy of the shop's workbench at a stage, for tests that change it."""

    def copy(stage: str) -> Workbench:
        return open_workbench(shutil.copytree(STAGES[stage](), tmp_path / stage))

    return copy


@pytest.fixture
def make_workbench(tmp_path: Path) -> Callable[..., Workbench]:
    """Gives a workbench around a shop of one's own."""
    count = 0

    def make(shop: Shop, **settings: object) -> Workbench:
        nonlocal count
        count += 1
        folder = write_settings(tmp_path / f"shop-{count}", **settings)  # type: ignore[arg-type]
        workbench = open_workbench(folder)
        load(workbench, shop)
        return workbench

    return make


@pytest.fixture
def small_shop() -> Callable[..., Shop]:
    """Gives a shop of which everybody may be contacted; ``shares`` brings the exceptions."""

    def make(n_customers: int = 60, *, seed: int = 1, exceptions: bool = False, **options) -> Shop:  # type: ignore[no-untyped-def]
        shares = Shares() if exceptions else nobody_is_an_exception()
        chosen = {"days": 130, "joining_days": 20, "shares": shares} | options
        return make_shop(n_customers, rng=np.random.default_rng(seed), **chosen)

    return make


def nobody_is_an_exception() -> Shares:
    return Shares(
        no_address=0,
        bounced=0,
        no_consent=0,
        withdrawn=0,
        suppressed=0,
        shared_address=0,
        shared_household=0,
    )


def inside(folder: Path) -> AbstractContextManager[None]:
    """Work in a folder for a while, as somebody who types commands does."""
    os.environ.pop("CRM_LAB_HOME", None)
    return chdir(folder)


def fixtures() -> dict[str, object]:
    """What a ``conftest.py`` takes over."""
    every = (_stages_removed, shop, finished, workbench_at, make_workbench, small_shop)
    return {fixture.__name__: fixture for fixture in every}


def assignment(workbench: Workbench, scope: str = "") -> dict[tuple[str, str], str]:
    """Variant by (scope, customer), of everybody ever assigned or under one scope."""
    with workbench.gateway.reader() as reader:
        frame = reader.frame("select scope, customer_id, variant from assignment")
    rows = zip(frame["scope"], frame["customer_id"], frame["variant"], strict=True)
    return {(where, who): variant for where, who, variant in rows if where.startswith(scope)}


def people(workbench: Workbench, scope: str, variant: str) -> set[str]:
    """The customers of one variant under one scope."""
    return {who for (_, who), found in assignment(workbench, scope).items() if found == variant}


def state(workbench: Workbench) -> tuple[str, str, int]:
    """What changes with every change of a gateway: ledger, content, number of snapshots."""
    snapshot = workbench.snapshot()
    return workbench.gateway.ledger_head(), snapshot.digest, snapshot.snapshot_id
