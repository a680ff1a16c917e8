"""The store survives a second writer, a reader at work and a kill at any moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from crm_lab.errors import BusyError, StoreError
from crm_lab.gateway import Gateway, load_map
from crm_lab.gateway.store import SPILL_FOLDER, STALE_SPILL_SECONDS, Store

FIRST = "2024-03-01 10:00:00"
KILLS = 12
ORDERS = 8_000
MANY_KILLS = 50

IMPORT_AGAIN_AND_AGAIN = """
import os, sys
from pathlib import Path
from crm_lab.gateway import Gateway, load_map
folder = Path(sys.argv[1])
source = load_map(folder / "map.yml")
for _ in sys.stdin:
    process = os.fork()
    if process == 0:
        Gateway(folder / "gateway", currency="RUB").import_file(source, folder / "large.csv")
        os._exit(0)
    print(process, flush=True)
    os.waitpid(process, 0)
    print("over", flush=True)
"""

HOLD = """
import sys
from pathlib import Path
from crm_lab.gateway.store import Store
with Store.open(Path(sys.argv[1])).write_lock("importing a large file"):
    print("held", flush=True)
    sys.stdin.read()
"""


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kills need fork and SIGKILL")


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_second_writer_is_told_who_is_there_and_changes_nothing(company):
    company.orders([f"A1,c1,{FIRST},1"])
    before = company.gateway.snapshot()
    with run(HOLD, company.gateway.folder) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(
            BusyError, match=rf"process {holder.pid} \(importing a large file, since .* UTC\)"
        ):
            company.orders([f"A2,c1,{FIRST},1"])
        assert company.gateway.snapshot() == before  # a reader is not held up
        holder.communicate("")
    assert company.orders([f"A2,c1,{FIRST},1"]).rows_inserted == 1


def test_the_lock_goes_with_a_killed_process(company):
    company.orders([f"A1,c1,{FIRST},1"])
    with run(HOLD, company.gateway.folder) as holder:
        holder.stdout.readline()
        holder.kill()
        holder.communicate()
    assert company.orders([f"A2,c1,{FIRST},1"]).rows_inserted == 1


def test_two_threads_cannot_write_at_once(company):
    company.orders([f"A1,c1,{FIRST},1"])
    store = company.store

    def try_to_write() -> str:
        with pytest.raises(BusyError, match="being written by process"), store.write_lock("second"):
            pass
        return "refused"

    with store.write_lock("first"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(try_to_write).result() == "refused"


def test_a_reader_sees_its_own_snapshot_throughout(company):
    company.orders([f"A{n},c1,{FIRST},{n}" for n in range(10)])
    query = "select count(*), sum(net_revenue), max(import_batch_id) from orders"
    with company.gateway.reader() as reader:
        first = reader.engine.execute(query).fetchone()
        company.orders([f"A{n},c1,{FIRST},{n + 100}" for n in range(5, 20)])
        company.orders([f"B1,c2,{FIRST},1"])
        assert reader.engine.execute(query).fetchone() == first
        assert reader.count("customer") == 1
    assert company.rows("select count(*) from orders") == [(21,)]


def test_a_pinned_gateway_reads_its_snapshot_even_the_empty_one(company):
    company.orders([f"A1,c1,{FIRST},1"])
    pinned = Gateway(company.gateway.folder, currency="RUB", snapshot_id=0)
    with pinned.reader() as reader:
        assert reader.count("orders") == 0
    with pinned.reader(1) as reader:
        assert reader.count("orders") == 1
    with company.gateway.reader(0) as reader:
        assert reader.count("orders") == 0
    assert company.gateway.snapshot(0).snapshot_id == 0
    with pytest.raises(StoreError, match="there is no snapshot 9"):
        company.gateway.snapshot(9)


def write_orders(company, orders: int, cents: int) -> Decimal:
    """Write a file that changes every order; give the sum that the gateway holds after it."""
    rows = "".join(f"A{n},c{n % 70},{FIRST},{n % 89}.{cents}\n" for n in range(orders))
    (company.folder / "large.csv").write_text("no,client,date,total\n" + rows, "utf-8")
    return sum((Decimal(f"{n % 89}.{cents}") for n in range(orders)), Decimal(0))


def load_large(company):
    return company.gateway.import_file(
        load_map(company.folder / "map.yml"), company.folder / "large.csv"
    )


def total(company) -> Decimal:
    return company.rows("select sum(net_revenue) from orders")[0][0]


def kill_imports(company, kills: int, seed: int, orders: int = ORDERS) -> None:
    """Kill an import at random moments; each time all of its file is there, or nothing of it."""
    company.orders([f"A0,c0,{FIRST},1"])
    rng = random.Random(seed)
    held = write_orders(company, orders, 10)
    lasts = load_large(company).seconds
    done = 0
    with run(IMPORT_AGAIN_AND_AGAIN, company.folder) as parent:
        for kill in range(kills):
            wanted = write_orders(company, orders, 11 + kill)
            print(file=parent.stdin, flush=True)
            process = int(parent.stdout.readline())
            time.sleep(rng.uniform(0, 1.2 * lasts))
            with contextlib.suppress(ProcessLookupError):  # it has finished
                os.kill(process, signal.SIGKILL)
            assert parent.stdout.readline() == "over\n"
            assert company.gateway.verify() == []
            assert company.rows("select count(*), count(distinct order_id) from orders") == [
                (orders, orders)
            ]
            found = total(company)
            assert found in (held, wanted)
            done += found == wanted
            held = found
            assert len(company.gateway.imports()) == 2 + done
        parent.communicate("")
    assert done < kills
    wanted = write_orders(company, orders, 98)
    assert load_large(company).rows_updated == orders
    assert total(company) == wanted


def check_nothing_is_left_over(company) -> None:
    store = company.store
    with store.write_lock("looking"):
        pass
    with store.manifest() as db:
        listed = {row[0] for row in db.execute("select path from data_file")}
    there = {
        path.relative_to(store.folder).as_posix()
        for path in (store.folder / "facts").rglob("*")
        if path.is_file()
    }
    assert there == listed
    assert list(store.folder.glob(".import-*")) == []
    assert list((store.folder / SPILL_FOLDER).glob("*")) == []
    assert company.gateway.verify() == []


@needs_fork
def test_a_killed_import_leaves_the_state_before_or_after(company):
    kill_imports(company, KILLS, seed=1)
    check_nothing_is_left_over(company)


@needs_fork
@pytest.mark.slow
def test_many_killed_imports(company):
    kill_imports(company, MANY_KILLS, seed=2, orders=5 * ORDERS)
    check_nothing_is_left_over(company)


def test_what_a_killed_writer_left_is_removed_by_the_next(company):
    company.orders([f"A1,c1,{FIRST},1"])
    folder = company.gateway.folder
    orphan = folder / "facts" / "orders" / "0123.parquet"
    orphan.write_bytes(b"half")
    (folder / "facts" / "orders" / ".77.writing").write_bytes(b"half")
    (folder / ".import-abc").mkdir()
    (folder / ".import-abc" / "staged.csv").write_text("half")
    old, new = folder / SPILL_FOLDER / "77-old", folder / SPILL_FOLDER / "78-new"
    old.mkdir()
    new.mkdir()
    long_ago = time.time() - STALE_SPILL_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    company.orders([f"A2,c1,{FIRST},1"])
    assert not orphan.exists()
    assert list(folder.glob("facts/orders/.*")) == []
    assert not (folder / ".import-abc").exists()
    assert not old.exists()
    assert new.exists()  # perhaps a reader's
    assert company.gateway.verify() == []


def test_engines_never_share_a_folder_for_what_does_not_fit_into_memory(company):
    company.orders([f"A1,c1,{FIRST},1"])
    store = company.store
    with store.engine() as first, store.engine() as second:
        setting = "select current_setting('temp_directory')"
        folders = {engine.execute(setting).fetchone()[0] for engine in (first, second)}
        assert len(folders) == 2
        first.execute("set memory_limit = '60MB'")
        first.execute(
            "create temp table wide as select i, md5(i::varchar) as a, md5((-i)::varchar) as b"
            " from range(1500000) as t(i)"
        )
        assert len(list((store.folder / SPILL_FOLDER).glob("*"))) == 1
        assert first.execute("select count(distinct a) from wide where i % 50 = 0").fetchone() == (
            30_000,
        )
    assert list((store.folder / SPILL_FOLDER).glob("*")) == []


def test_an_engine_says_nothing_and_installs_nothing(company):
    company.orders([f"A1,c1,{FIRST},1"])
    with company.store.engine() as engine:
        assert engine.execute("select current_setting('enable_progress_bar')").fetchone() == (
            False,
        )
        assert engine.execute(
            "select current_setting('autoinstall_known_extensions')"
        ).fetchone() == (False,)
        assert engine.execute("select current_setting('TimeZone')").fetchone() == ("UTC",)


def test_two_stores_with_the_same_files_have_the_same_digest(company_in):
    digests = []
    for _ in range(2):
        company = company_in()
        company.orders([f"A{n},c{n % 9},{FIRST},{n}" for n in range(3000)])
        company.orders([f"A{n},c{n % 9},{FIRST},{n + 1}" for n in range(100)])
        digests.append(company.gateway.snapshot().digest)
    assert digests[0] == digests[1]


def test_large_files_have_the_same_digest_every_time(company_in):
    digests = set()
    for _ in range(2):
        company = company_in()
        file = company.parquet(
            "select md5(i::varchar) as no, 'c' || i % 999 as client, '2024-03-01' as date,"
            " i % 10000 as total from range(130000) as t(i)"
        )
        columns = "{order_id: no, customer_id: client, ordered_at: date, net_revenue: total}"
        company.load("orders", columns, file, "format: parquet", "create_customers: true")
        digests.add(company.gateway.snapshot().digest)
    assert len(digests) == 1


def test_a_refused_import_leaves_no_folder_and_no_new_snapshot(company):
    company.orders([f"A1,c1,{FIRST},1"])
    before = company.gateway.snapshot()
    with pytest.raises(Exception, match="records would be set aside"):
        company.orders(["A2,c1,never,1"])
    assert company.gateway.snapshot() == before
    assert list(company.gateway.folder.glob(".import-*")) == []
    assert list((company.gateway.folder / SPILL_FOLDER).glob("*")) == []


def test_a_store_that_is_none_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"there is no gateway here.*crm-lab import"):
        Store.open(tmp_path)
    (tmp_path / "manifest.sqlite").write_bytes(b"no database at all, but long enough" * 50)
    with pytest.raises(StoreError, match="not a readable manifest"):
        Store.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store.create(tmp_path / "file")


def test_a_store_of_another_version_is_refused(company):
    company.orders([f"A1,c1,{FIRST},1"])
    with company.store.manifest() as db:
        db.execute("update meta set value = '99'")
    with pytest.raises(StoreError, match=r"of version 99.*version 1"):
        company.gateway.snapshot()


def test_a_missing_data_file_is_an_error_of_the_store(company):
    company.orders([f"A1,c1,{FIRST},1"])
    store = company.store
    store.files("orders", 1)[0].path.unlink()
    with pytest.raises(StoreError, match="a data file cannot be read"):
        company.gateway.reader()


def test_an_import_without_memory_is_an_error_of_the_store(company, monkeypatch):
    company.orders([f"A1,c1,{FIRST},1"])
    before = company.gateway.snapshot()

    def small_engine(store: Store) -> object:
        engine = full_engine(store)
        engine.execute("set memory_limit = '4MB'")
        engine.execute("set max_temp_directory_size = '1MB'")
        return engine

    full_engine = Store.engine
    monkeypatch.setattr(Store, "engine", small_engine)
    with pytest.raises(
        StoreError, match=r"ran out of memory or disk.*nothing of this file was loaded"
    ):
        company.orders([f"A{n},c{n},{FIRST},1" for n in range(30_000)])
    monkeypatch.undo()
    assert company.gateway.snapshot() == before
    assert list(company.gateway.folder.glob(".import-*")) == []
