"""Send lists: adding up, inert in a spreadsheet, the same again, and never with a control."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.campaigns import send_lists
from crm_lab.campaigns.send_lists import COLUMNS, as_written, guard, inert
from crm_lab.errors import BusyError, GuardError, LedgerError
from crm_lab.gateway import Gateway, operations
from crm_lab.gateway.store import Store
from crm_lab.simulation.shops import Shop
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw

WorkbenchAt = Callable[[str], Workbench]
MakeWorkbench = Callable[..., Workbench]
MakeShop = Callable[..., Shop]


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def list_files(workbench: Workbench) -> dict[str, bytes]:
    folder = workbench.settings.lists_folder
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def replace_address(workbench: Workbench, customer_id: str, address: str) -> None:
    """Load an address file in which one customer's address is another one."""
    folder = workbench.settings.folder
    file = folder / "incoming" / "addresses_changed.csv"
    pd.DataFrame(
        {
            "id": [f"email-{customer_id}"],
            "customer": [customer_id],
            "channel": ["email"],
            "address": [address],
            "status": ["valid"],
        }
    ).to_csv(file, index=False)
    report = workbench.import_file(folder / "maps" / "addresses.yml", file)
    assert report.rows_updated == 1


def someone_on(workbench: Workbench) -> str:
    (path, *_) = workbench.settings.lists_folder.rglob("*.csv")
    return str(read(path)["customer_id"].iloc[0])


def test_the_waterfall_adds_up_from_the_base_to_the_list(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    exported = workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    steps = dict(exported.waterfall)
    running = 0
    for what, count in exported.waterfall:
        if what in ("assigned", "on the list"):
            assert running == count
        else:
            running += count
    assert steps["customers in the base"] == sw.CUSTOMERS
    assert steps["on the list"] == sum(exported.rows.values())
    controls = sw.people(workbench, f"experiment:{sw.NAME}", "control")
    assert steps["without: control group"] == -len(controls)
    assert steps["without: shares an address with a control customer"] < 0
    assert steps["without: shares a household with a control customer"] < 0


def test_files_hold_what_the_ledger_says(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    exported = workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    (entry,) = workbench.gateway.entries(kind="list_exported")
    assert set(exported.files) == set(sw.SHARES)
    for arm, path in exported.files.items():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest == exported.sha256[arm] == entry.payload["files"][arm]["sha256"]
        frame = read(path)
        assert tuple(frame.columns) == COLUMNS
        assert len(frame) == exported.rows[arm] == entry.payload["files"][arm]["rows"]
        assert set(frame["variant"]) == {arm}
        assert set(frame["message"]) == {f"{arm}-1"}
        assert set(frame["scheduled_at"]) == {"2024-05-01 00:00:00+00:00"}
        assert frame["send_id"].tolist() == sorted(f"{sw.NAME}/1/" + frame["customer_id"])
    with workbench.gateway.reader() as reader:
        assert reader.count("send") == sum(exported.rows.values())
        assert reader.count("campaign") == 1


def test_exporting_again_gives_the_same_files(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    first = workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    files, before = list_files(workbench), sw.state(workbench)
    for path in first.files.values():
        path.unlink()
    again = workbench.experiment(sw.NAME).export(as_of=datetime(2024, 5, 9))
    assert again.was_exported
    assert "had been exported before" in again.sentence()
    assert (again.sha256, again.rows, again.waterfall) == (
        first.sha256,
        first.rows,
        first.waterfall,
    )
    assert list_files(workbench) == files
    assert sw.state(workbench) == before


def test_after_a_changed_address_the_old_list_is_not_given_out_as_if_it_were_the_same(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("exported")
    replace_address(workbench, someone_on(workbench), "new@example.org")
    files = list_files(workbench)
    with pytest.raises(LedgerError, match="would differ from the one that was exported"):
        workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    assert list_files(workbench) == files


def test_a_list_that_a_control_customer_would_now_read_is_not_given_again(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("exported")
    control = min(sw.people(workbench, "epoch:", "control"))
    frame = read(next(workbench.settings.lists_folder.rglob("*.csv")))
    replace_address(workbench, control, frame["address"].iloc[0].upper())
    with pytest.raises(GuardError, match="0 by id, 1 by a shared address"):
        workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)


def test_killed_between_the_ledger_and_the_files_the_next_export_restores_them(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = workbench_at("assigned")

    def die(*_: Any) -> dict[str, Path]:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(send_lists, "_write", die)
        with pytest.raises(KeyboardInterrupt):
            workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    assert list_files(workbench) == {}
    restored = workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    assert restored.was_exported
    undisturbed = open_workbench(sw.STAGES["exported"]())
    assert list_files(workbench) == list_files(undisturbed)


def test_a_file_appears_whole_or_not_at_all(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = workbench_at("assigned")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("crm_lab.campaigns.send_lists.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    assert list(workbench.settings.lists_folder.rglob("*.csv")) == []


def test_an_export_after_the_window_is_refused(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    before = sw.state(workbench)
    with pytest.raises(LedgerError, match="ended on 2024-05-28"):
        workbench.experiment(sw.NAME).export(as_of=sw.ENDS_AT)
    assert sw.state(workbench) == before


def test_an_experiment_without_arms_has_no_list(workbench_at: WorkbenchAt) -> None:
    experiment = workbench_at("drawn").experiment(sw.NAME)
    with pytest.raises(LedgerError, match=r"never (assigned|registered)"):
        experiment.export(as_of=sw.STARTS_AT)


def before_its_write(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something in the moment between an export's look at the base and its write."""
    write = Gateway.append
    pending = [act]

    def late(self: Gateway, *arguments: Any, **options: Any) -> Any:
        while pending:
            pending.pop()()
        return write(self, *arguments, **options)

    monkeypatch.setattr(Gateway, "append", late)


def test_a_base_that_changes_while_the_list_is_made_stops_the_export(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = workbench_at("assigned")
    control = min(sw.people(workbench, "epoch:", "control"))
    before_its_write(monkeypatch, lambda: replace_address(workbench, control, "x@example.org"))
    with pytest.raises(LedgerError, match="the base changed while the list was made"):
        workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    assert list_files(workbench) == {}
    assert workbench.gateway.entries(kind="list_exported") == []


def test_of_two_exports_at_the_same_moment_one_wins(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = workbench_at("assigned")
    other = open_workbench(workbench.settings.folder)
    before_its_write(monkeypatch, lambda: other.experiment(sw.NAME).export(as_of=sw.STARTS_AT))
    with pytest.raises(LedgerError, match="exported in this moment by another process"):
        workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    assert len(workbench.gateway.entries(kind="list_exported")) == 1


def test_a_list_from_an_older_snapshot_is_refused(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    old = open_workbench(workbench.settings.folder, snapshot=workbench.snapshot().snapshot_id)
    control = min(sw.people(workbench, "epoch:", "control"))
    replace_address(workbench, control, "x@example.org")
    with pytest.raises(LedgerError, match="older snapshot"):
        old.experiment(sw.NAME).export(as_of=sw.STARTS_AT)


def test_an_export_while_another_process_writes_is_refused(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    store = Store.open(workbench.settings.gateway_folder)
    with store.write_lock("an import"), pytest.raises(BusyError, match="an import"):
        workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    assert list_files(workbench) == {}


@pytest.mark.parametrize("planted", ["id", "address", "upper", "spaces"])
def test_a_planted_control_stops_the_export_and_nothing_is_written(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    """The query that makes the list is made to fail; the second look must catch it."""
    workbench = workbench_at("assigned")
    scope = f"experiment:{sw.NAME}"
    control = min(sw.people(workbench, scope, "control"))
    address = {
        "address": f"{control}@example.org",
        "upper": f"{control}@EXAMPLE.ORG".upper(),
        "spaces": f" {control}@example.org ",
    }
    right = operations.recipients_of

    def wrong(*arguments: Any, **named: Any) -> str:
        who = f"'{control}'" if planted == "id" else "customer_id"
        where = f"'{address[planted]}'" if planted in address else "address"
        judged = right(*arguments, **named)
        first = f"select min(customer_id) from ({judged}) where obstacle is null"
        return (
            f"select case when customer_id = ({first}) then {who} else customer_id end"
            f" as customer_id, variant, contact_point_id, household_id, obstacle,"
            f" case when customer_id = ({first}) then {where} else address end as address"
            f" from ({judged})"
        )

    monkeypatch.setattr(operations, "recipients_of", wrong)
    before = sw.state(workbench)
    with pytest.raises(GuardError, match="would reach control customers"):
        workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    assert list_files(workbench) == {}
    assert sw.state(workbench) == before
    with workbench.gateway.reader() as reader:
        assert reader.count("send") == 0


def test_controls_of_a_closed_epoch_may_be_written_to_and_new_ones_not(
    workbench_at: Callable[[str], Workbench],
) -> None:
    workbench = workbench_at("drawn")
    path = workbench.settings.experiments_folder / "control_group.yml"
    before = sw.people(workbench, "epoch:global-1", "control")
    lines = [
        "salt: another" if line.startswith("salt:") else line
        for line in path.read_text("utf-8").splitlines()
    ]
    path.write_text("\n".join(lines), "utf-8")
    workbench.control_group().draw(as_of=sw.STARTS_AT, new_epoch=True)
    workbench.experiment(sw.NAME).assign(as_of=sw.STARTS_AT)
    exported = workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    listed = {who for file in exported.files.values() for who in read(file)["customer_id"]}
    now = sw.people(workbench, "epoch:global-2", "control")
    assert not listed & now
    assert listed & (before - now)


def test_an_address_that_only_another_system_knows_protects_too(
    workbench_at: Callable[[str], Workbench],
) -> None:
    workbench = workbench_at("assigned")
    scope = f"experiment:{sw.NAME}"
    control = min(sw.people(workbench, scope, "control"))
    treated = min(sw.people(workbench, scope, next(iter(sw_arms(workbench)))))
    with workbench.gateway.reader() as reader:
        address = reader.frame(
            f"select address from contact_point where customer_id = '{treated}'"
        )["address"].iloc[0]
    rows = pd.DataFrame(
        {
            "identity_type": ["email"],
            "identity_value": [address.upper()],
            "customer_id": [control],
            "verified": [True],
            "first_seen_at": [sw.DRAWN_AT],
            "last_seen_at": [sw.DRAWN_AT],
        }
    )
    workbench.gateway.append(
        {"customer_identity": rows}, reason="an identity", entries=lambda reader, files: []
    )
    exported = workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    listed = {who for file in exported.files.values() for who in read(file)["customer_id"]}
    assert treated not in listed


def sw_arms(workbench: Workbench) -> tuple[str, ...]:
    return workbench.experiment(sw.NAME).registered().arms


PROTECTED = pd.DataFrame({"customer_id": ["k1", "k2"], "address": ["anna@x.org", None]})


@pytest.mark.parametrize(
    ("customer_id", "address", "found"),
    [
        ("k1", "other@x.org", "1 by id, 0 by a shared address"),
        ("k2", None, "1 by id, 0 by a shared address"),
        ("t1", "anna@x.org", "0 by id, 1 by a shared address"),
        ("t1", "ANNA@X.ORG", "0 by id, 1 by a shared address"),
        ("t1", " Anna@x.org", "0 by id, 1 by a shared address"),
    ],
)
def test_the_guard_refuses(customer_id: str, address: str | None, found: str) -> None:
    wanted = pd.DataFrame({"customer_id": ["t0", customer_id], "address": ["b@x.org", address]})
    with pytest.raises(GuardError, match=found):
        guard(wanted, PROTECTED)


def test_the_guard_lets_a_clean_list_pass() -> None:
    guard(pd.DataFrame({"customer_id": ["t1", "t2"], "address": ["b@x.org", None]}), PROTECTED)
    guard(PROTECTED.iloc[:0], PROTECTED)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("@x", "'@x"),
        ("-1", "'-1"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1", "'＝1"),
        ("'=1", "''=1"),
        ("+7916123456789012", "'+7916123456789012"),
        ("+79161234567", "+79161234567"),
        ("anna@example.org", "anna@example.org"),
        ("", ""),
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_is_made_inert(cell: str, written: str) -> None:
    assert inert(cell) == written
    assert as_written(written) == cell


def test_ids_and_addresses_of_a_list_are_inert(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    shop = small_shop(30)
    bad = ["=1+1", "+2", "@a", "-3"]
    names = dict(zip(shop.customers["customer_id"], bad, strict=False))
    for frame in (shop.customers, shop.contact_points, shop.consents, shop.orders):
        frame["customer_id"] = frame["customer_id"].replace(names)
    shop.contact_points["address"] = "=" + shop.contact_points["address"]
    workbench = make_workbench(shop, share=0.0001)
    sw.write_experiment(workbench.settings.folder, shares={"all": 1.0})
    workbench.control_group().draw(as_of=sw.DRAWN_AT)
    workbench.experiment(sw.NAME).assign(as_of=sw.ASSIGNED_AT)
    exported = workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    text = exported.files["all"].read_text("utf-8")
    cells = pd.read_csv(io.StringIO(text), dtype=str).to_numpy().ravel().tolist()
    assert not any(str(cell).startswith(("=", "+", "@", "-")) for cell in cells)
    assert {f"'{name}" for name in bad} <= set(cells)


def test_an_audience_of_which_nobody_may_be_contacted_any_more_gives_empty_lists(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    shop = small_shop(40)
    workbench = make_workbench(shop, share=0.2)
    sw.write_experiment(workbench.settings.folder)
    workbench.control_group().draw(as_of=sw.DRAWN_AT)
    workbench.experiment(sw.NAME).assign(as_of=sw.ASSIGNED_AT)
    folder = workbench.settings.folder
    ids = shop.customers["customer_id"]
    stops = pd.DataFrame(
        {"id": "stop-" + ids, "customer": ids, "reason": "complaint", "since": "2024-04-30"}
    )
    stops.to_csv(folder / "incoming" / "suppressions.csv", index=False)
    (folder / "maps" / "suppressions.yml").write_text(
        "table: suppression\nsource_system: shop\ncolumns: {suppression_id: id,"
        " customer_id: customer, reason: reason, from_at: since}\n"
    )
    workbench.import_file(
        folder / "maps" / "suppressions.yml", folder / "incoming" / "suppressions.csv"
    )
    exported = workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    assert set(exported.rows.values()) == {0}
    assert dict(exported.waterfall)["on the list"] == 0
    assert workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT).was_exported


def load_answers(workbench: Workbench, answers: dict[str, str], *, at: str) -> None:
    """Load what a sending service reports about messages of the first experiment."""
    folder = workbench.settings.folder
    pd.DataFrame(
        {
            "id": [f"answer-{name}" for name in answers],
            "send": [f"{sw.NAME}/1/{name}" for name in answers],
            "type": list(answers.values()),
            "at": at,
        }
    ).to_csv(folder / "incoming" / "answers.csv", index=False)
    (folder / "maps" / "answers.yml").write_text(
        "table: delivery_event\nsource_system: esp\nfiles: answers.csv\ncolumns:"
        " {delivery_event_id: id, send_id: send, type: type, at: at}\n"
    )
    workbench.import_file(folder / "maps" / "answers.yml", folder / "incoming" / "answers.csv")


def test_who_unsubscribes_is_on_no_later_list_and_stays_in_what_was_drawn(
    workbench_at: WorkbenchAt,
) -> None:
    """Intention to treat: an answer to a message ends messages, it does not undo a draw."""
    workbench = workbench_at("exported")
    folder = workbench.settings.lists_folder
    kinds = ("unsubscribe", "complaint", "bounce_hard", "click")
    ids = [name for path in sorted(folder.rglob("*.csv")) for name in read(path)["customer_id"]]
    answers = dict(zip(ids, kinds, strict=False))
    left = {name for name, kind in answers.items() if kind != "click"}
    sw.write_experiment(workbench.settings.folder, "before", shares={"all": 1.0})
    workbench.experiment("before").assign(as_of=sw.ASSIGNED_AT)
    assigned_before = sw.assignment(workbench)
    load_answers(workbench, answers, at="2024-05-01 00:00:01")

    export = workbench.experiment("before").export(as_of=datetime(2024, 5, 2))
    listed = set(read(export.files["all"])["customer_id"])
    assert set(answers) - listed == left
    assert dict(export.waterfall)["without: consent withdrawn"] < 0
    assert sw.assignment(workbench) == assigned_before
    assert set(answers) <= sw.people(workbench, "experiment:before", "all")

    sw.write_experiment(workbench.settings.folder, "after", shares={"all": 1.0})
    workbench.experiment("after").assign(as_of=datetime(2024, 5, 1))
    assert left <= sw.people(workbench, "experiment:after", "all")
    sw.write_experiment(workbench.settings.folder, "later", shares={"all": 1.0})
    workbench.experiment("later").assign(as_of=datetime(2024, 5, 2))
    assert set(answers) & sw.people(workbench, "experiment:later", "all") == set(answers) - left


def test_times_of_a_list_are_those_of_the_company_with_their_offset(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("assigned")
    plan = workbench.experiment(sw.NAME).registered()
    folder = workbench.settings.lists_folder
    exported = send_lists.export_send_list(
        workbench.gateway,
        plan,
        folder=folder,
        as_of=datetime(2024, 5, 4, 21),
        timezone="Europe/Moscow",
    )
    for path in exported.files.values():
        assert set(read(path)["scheduled_at"]) == {"2024-05-05 00:00:00+03:00"}
    files = list_files(workbench)
    again = send_lists.export_send_list(
        workbench.gateway, plan, folder=folder, as_of=datetime(2024, 5, 6), timezone="Asia/Tokyo"
    )
    assert again.was_exported
    assert list_files(workbench) == files


def test_a_list_of_before_zones_were_written_is_given_again_as_it_was(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = workbench_at("assigned")
    record = Gateway.append

    def without_zone(self: Gateway, *arguments: Any, **options: Any) -> Any:
        entries = options["entries"]
        options["entries"] = lambda reader, files: [
            (kind, subject, {name: value for name, value in payload.items() if name != "timezone"})
            for kind, subject, payload in entries(reader, files)
        ]
        return record(self, *arguments, **options)

    with monkeypatch.context() as older:
        older.setattr(Gateway, "append", without_zone)
        older.setattr(send_lists, "_scheduled", lambda moment, _: f"{moment:%Y-%m-%d %H:%M:%S}")
        workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT)
    files = list_files(workbench)
    assert workbench.experiment(sw.NAME).export(as_of=sw.STARTS_AT).was_exported
    assert list_files(workbench) == files


@pytest.mark.parametrize(
    ("address", "channel", "written"),
    [
        ("8 (900) 035-72-96", "sms", "+79000357296"),
        ("+7 (900) 035-72-96", "call", "+79000357296"),
        ("12345", "sms", "12345"),
        ("@anna", "messenger", "@anna"),
        ("anna@example.org", "email", "anna@example.org"),
    ],
)
def test_a_phone_on_a_list_is_written_as_services_take_it(
    address: str, channel: str, written: str
) -> None:
    assert send_lists._address(address, channel) == written


def test_the_guard_knows_a_phone_however_it_is_written() -> None:
    listed = pd.DataFrame({"customer_id": ["a"], "address": ["8 900 035-72-96"]})
    controls = pd.DataFrame({"customer_id": ["b"], "address": ["+7 (900) 035 72 96"]})
    with pytest.raises(GuardError, match="0 by id, 1 by a shared address"):
        guard(listed, controls)


def test_nobody_left_out_by_the_plan_is_on_a_list(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    sw.write_experiment(workbench.settings.folder, "half", shares={"only": 0.5})
    experiment = workbench.experiment("half")
    experiment.assign(as_of=sw.ASSIGNED_AT)
    exported = experiment.export(as_of=sw.STARTS_AT)
    left_out = sw.people(workbench, "experiment:half", "rest")
    assert dict(exported.waterfall)["without: left out by the plan"] == -len(left_out)
    assert not left_out & set(read(exported.files["only"])["customer_id"])
    assert np.isclose(len(left_out) / sw.CUSTOMERS, 0.35, atol=0.05)
