"""Weigh two ways to keep the fact tables: the store as built, and Delta Lake.

Run from the root of the project::

    python -m benchmarks.storage_engines            # about ten minutes
    python -m benchmarks.storage_engines --quick    # the same at a tenth of the size

Both get the same files: a base of orders, then one file per night in which 2.5 % of the rows are
new orders that come late and 2.5 % change an order of the last 14 nights. Each engine works in
processes of its own; Delta Lake (and Spark, where ``--spark`` asks for it) lives in an environment
of its own, ``.venv-bench``, made on the first run. Times are CPU seconds of all threads.

``docs/decisions/0002-storage.md`` holds the figures and what followed from them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-bench"
PACKAGES = ("deltalake>=1.6,<1.7", "duckdb==1.5.6", "numpy", "pyarrow")
SPARK = "pyspark>=4,<5"
ENGINES = ("store", "delta")

CUSTOMERS = 200_000
CHANGED = LATE = 0.025
DAYS_BACK = 14
THREADS = 2
READS = 7
KILLS = 20
SEED = 20_261_121
WINDOW_DAYS = 28


# ---------------------------------------------------------------------------------------------
# the input, the same for both


def input_rows(first: int, rows: int, *, night: int, per_night: int, base_rows: int) -> str:
    """Write the rows of one file: night 0 is the base, later nights also change older orders."""
    late = int(rows * LATE) if night else 0
    changed = int(rows * CHANGED) if night else 0
    back = f"hash(i, 7) % ({DAYS_BACK} * {per_night})"
    number = f"case when i >= {first + rows - changed} then {first} - 1 - {back} else i end"
    # a night's rows carry consecutive numbers, so a number says when the order was made
    lateness = f"case when i < {first + late} then {back} else 0 end"
    return f"""
        select distinct on (order_id)
            printf('O%09d', n) as order_id,
            printf('C%07d', hash(n) % {CUSTOMERS}) as customer_id,
            timestamp '2026-01-01'
              + to_seconds(cast((n - {lateness} - {base_rows}) * 86400.0 / {per_night} as bigint))
              as ordered_at,
            'web' as channel, cast(null as varchar) as store_id,
            case when n < {first} and {night} > 0 then 'returned' else 'paid' end as status,
            cast(null as decimal(18, 2)) as gross, cast(null as decimal(18, 2)) as discount,
            cast(case when n < {first} and {night} > 0 then 0
                 else 1 + hash(n, 2) % 20000 / 100.0 end as decimal(18, 2)) as net_revenue,
            cast(null as decimal(18, 2)) as cost,
            'shop' as source_system, 'night {night:03d}' as import_batch_id
        from (select i, {number} as n from range({first}, {first + rows}) as r(i))
        order by order_id
    """


def write_input(folder: Path, *, base: int, per_night: int, nights: int) -> list[Path]:
    """Write the base and the nights; the list's position is the night."""
    folder.mkdir(parents=True)
    files = []
    first = 0
    for night in range(nights + 1):
        rows = base if night == 0 else per_night
        path = folder / f"night_{night:03d}.parquet"
        query = input_rows(first, rows, night=night, per_night=per_night, base_rows=base)
        duckdb.execute(f"copy ({query}) to '{path}' (format parquet, compression zstd)")
        files.append(path)
        first += rows
    return files


def fingerprint(orders: str) -> str:
    """Write the query that tells one state of the orders from every other."""
    return f"""
        select count(*), cast(sum(net_revenue) as varchar),
               cast(bit_xor(hash(order_id, net_revenue, status, ordered_at)) as varchar)
        from ({orders}) as orders
    """


def expected_states(files: list[Path]) -> list[list[Any]]:
    """Compute what the orders must be after each night, without either engine."""
    states = []
    for night in range(len(files)):
        union = " union all ".join(
            f"select *, {number} as night from read_parquet('{path}')"
            for number, path in enumerate(files[: night + 1])
        )
        orders = f"select distinct on (order_id) * from ({union}) order by order_id, night desc"
        states.append(list(duckdb.execute(fingerprint(orders)).fetchone() or ()))
    return states


def listed(paths: list[str]) -> str:
    """Write the SELECT over a list of Parquet files."""
    return f"select * from read_parquet([{', '.join(repr(path) for path in paths)}])"


# ---------------------------------------------------------------------------------------------
# the two engines; each imports what it needs when it is used, in its own environment


class StoreEngine:
    """The store as built: the steps of an import, without reading text and judging it."""

    def __init__(self, folder: Path) -> None:
        from crm_lab.gateway import ledger, store

        self._modules = (store, ledger)
        self.refusals: tuple[type[Exception], ...] = (store.BusyError,)
        self._store = store.Store.create(folder, threads=THREADS)

    def upsert(self, path: Path, night: int, *, between: Callable[[], None] = lambda: None) -> None:
        """Put a night's rows in place: orders, batch record and ledger in one transaction."""
        module, ledger = self._modules
        store = self._store
        with store.write_lock(f"night {night}"), store.engine() as engine:
            engine.execute(f"create temp table changed as select * from read_parquet('{path}')")
            files = store.files("orders", store.snapshot().snapshot_id)
            touched: set[str] = set()
            if files:
                listing = ", ".join(f"'{file.path}'" for file in files)
                touched = {
                    str(row[0])
                    for row in engine.execute(
                        f"select distinct filename from read_parquet([{listing}], filename = true)"
                        " semi join changed using (order_id)"
                    ).fetchall()
                }
            small = [file for file in files if file.rows < module.SMALL_FILE_ROWS]
            if len(small) >= module.MANY_SMALL_FILES:
                touched |= {str(file.path) for file in small}
            remove = [file for file in files if str(file.path) in touched]
            add, kept = [], ["select * from changed"]
            for file in remove:
                query = f"{listed([str(file.path)])} anti join changed using (order_id)"
                if file.rows < module.SMALL_FILE_ROWS:
                    kept.append(query)
                else:
                    add.append(store.write_file(engine, "orders", query))
            add.append(store.write_file(engine, "orders", " union all ".join(kept)))

            def record(db: sqlite3.Connection) -> None:
                columns = {row[1]: row[2] for row in db.execute("pragma table_info(import_batch)")}
                values = {name: 0 if kind == "INTEGER" else "" for name, kind in columns.items()}
                del values["batch_no"]
                values |= {"import_batch_id": f"night {night:03d}", "status": "ok"}
                marks = ", ".join("?" for _ in values)
                db.execute(
                    f"insert into import_batch ({', '.join(values)}) values ({marks})",
                    tuple(values.values()),
                )
                between()
                ledger.append(db, "decision", f"night {night:03d}", {"night": night})

            store.publish(add=add, remove=remove, reason=f"night {night}", within=record)

    def snapshot_id(self) -> str:
        """Say what names the present state."""
        return str(self._store.snapshot().snapshot_id)

    def files(self, snapshot_id: str | None = None) -> list[str]:
        """List the files of the orders in one state."""
        number = self._store.snapshot(None if snapshot_id is None else int(snapshot_id)).snapshot_id
        return [str(file.path) for file in self._store.files("orders", number)]

    def batches(self) -> list[int]:
        """Give the nights that have a batch record."""
        with self._store.manifest() as db:
            rows = db.execute("select import_batch_id from import_batch").fetchall()
        return [int(row[0][-3:]) for row in rows]

    def ledger(self) -> list[int]:
        """Give the nights that stand in the ledger."""
        with self._store.manifest() as db:
            return [int(row[0][-3:]) for row in db.execute("select subject from ledger")]

    def clean(self) -> None:
        """Do nothing: the store keeps the files of every snapshot."""


class DeltaEngine:
    """Delta Lake: one table of orders, one of batches, and the ledger in SQLite."""

    def __init__(self, folder: Path) -> None:
        import deltalake

        self._deltalake = deltalake
        self.refusals: tuple[type[Exception], ...] = (deltalake.exceptions.DeltaError,)
        folder.mkdir(parents=True, exist_ok=True)
        self._orders, self._batches = str(folder / "orders"), str(folder / "import_batch")
        self._ledger = sqlite3.connect(folder / "ledger.sqlite", timeout=60, isolation_level=None)
        self._ledger.execute("pragma journal_mode = wal")
        self._ledger.execute("pragma synchronous = full")
        self._ledger.execute("create table if not exists ledger (night integer)")

    def upsert(self, path: Path, night: int, *, between: Callable[[], None] = lambda: None) -> None:
        """Put a night's rows in place: three commits, one after the other."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        deltalake = self._deltalake
        zstd = deltalake.WriterProperties(compression="ZSTD")
        rows = pq.read_table(path)
        if not deltalake.DeltaTable.is_deltatable(self._orders):
            deltalake.write_deltalake(self._orders, rows, writer_properties=zstd)
        else:
            (
                deltalake.DeltaTable(self._orders)
                .merge(
                    rows,
                    predicate="target.order_id = source.order_id",
                    source_alias="source",
                    target_alias="target",
                    writer_properties=zstd,
                )
                .when_matched_update_all()
                .when_not_matched_insert_all()
                .execute()
            )
        between()
        deltalake.write_deltalake(self._batches, pa.table({"night": [night]}), mode="append")
        self._ledger.execute("insert into ledger values (?)", (night,))

    def snapshot_id(self) -> str:
        """Say what names the present state: one version per table."""
        tables = (self._orders, self._batches)
        return "/".join(str(self._deltalake.DeltaTable(table).version()) for table in tables)

    def files(self, snapshot_id: str | None = None) -> list[str]:
        """List the files of the orders in one state."""
        version = None if snapshot_id is None else int(snapshot_id.split("/")[0])
        uris = self._deltalake.DeltaTable(self._orders, version=version).file_uris()
        return [uri.removeprefix("file://") for uri in uris]

    def batches(self) -> list[int]:
        """Give the nights that have a batch record."""
        if not self._deltalake.DeltaTable.is_deltatable(self._batches):
            return []
        uris = self._deltalake.DeltaTable(self._batches).file_uris()
        paths = [uri.removeprefix("file://") for uri in uris]
        return [int(row[0]) for row in duckdb.execute(listed(paths)).fetchall()]

    def ledger(self) -> list[int]:
        """Give the nights that stand in the ledger."""
        return [int(row[0]) for row in self._ledger.execute("select night from ledger")]

    def clean(self) -> None:
        """Remove the files that only older versions need."""
        self._deltalake.DeltaTable(self._orders).vacuum(
            retention_hours=0, enforce_retention_duration=False, dry_run=False
        )


def opened(engine: str, folder: Path) -> StoreEngine | DeltaEngine:
    """Open one of the two engines in a folder."""
    return StoreEngine(folder) if engine == "store" else DeltaEngine(folder)


# ---------------------------------------------------------------------------------------------
# what runs in a process of its own


def cpu_s() -> float:
    """CPU seconds of all threads of this process."""
    return time.process_time()


def size_mb(paths: list[str] | Iterator[Path]) -> float:
    """Add up the sizes of files, in MB (10^6 bytes)."""
    return sum(Path(path).stat().st_size for path in paths) / 1e6


def everything(folder: Path) -> list[Path]:
    """List every file under a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def work_load(engine: str, folder: Path, source: Path) -> dict[str, Any]:
    """Load the base, then every night; measure each."""
    database = opened(engine, folder)
    steps, ids = [], []
    for night, path in enumerate(sorted(source.glob("night_*.parquet"))):
        cpu, wall = cpu_s(), time.perf_counter()
        database.upsert(path, night)
        steps.append((cpu_s() - cpu, time.perf_counter() - wall))
        ids.append(database.snapshot_id())
    live = database.files()
    return {
        "steps": steps,
        "ids": ids,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "files": len(live),
        "live_mb": size_mb(live),
        "files_all": len(everything(folder)),
        "all_mb": size_mb(iter(everything(folder))),
    }


def work_read(engine: str, folder: Path, old: str) -> dict[str, Any]:
    """Read the window's revenue per customer, and the whole table; travel to an old state."""
    window = f"""
        select customer_id, count(*), cast(sum(net_revenue) as double)
        from ({{orders}}) as orders
        where ordered_at >= (select max(ordered_at) from ({{orders}}) as o)
                            - interval {WINDOW_DAYS} day
        group by 1
    """
    times: list[tuple[float, float]] = []
    answers = set()
    for _ in range(READS):
        cpu, wall = cpu_s(), time.perf_counter()
        database = opened(engine, folder)
        with duckdb.connect(config={"threads": THREADS}) as connection:
            query = window.format(orders=listed(database.files()))
            rows = connection.execute(query).fetchnumpy()
        times.append((cpu_s() - cpu, time.perf_counter() - wall))
        answers.add(len(rows["customer_id"]))
    assert len(answers) == 1, "the same read gave different numbers of customers"
    database = opened(engine, folder)
    return {
        "reads": times,
        "now": list(duckdb.execute(fingerprint(listed(database.files()))).fetchone() or ()),
        "then": list(duckdb.execute(fingerprint(listed(database.files(old)))).fetchone() or ()),
        "live": database.files(),
    }


def work_clean(engine: str, folder: Path) -> dict[str, Any]:
    """Remove what only older states need, where the engine does that."""
    opened(engine, folder).clean()
    return {"all_mb": size_mb(iter(everything(folder))), "files_all": len(everything(folder))}


def work_crash(engine: str, folder: Path, source: Path, mode: str) -> None:
    """Apply the nights that have no batch record, saying so; in ``between`` die on the way."""
    database = opened(engine, folder)
    done = database.batches()
    for night, path in enumerate(sorted(source.glob("night_*.parquet"))):
        if night in done:
            continue
        print(f"begun {night}", flush=True)
        if mode == "between" and night:
            database.upsert(path, night, between=lambda: os.kill(os.getpid(), signal.SIGKILL))
        database.upsert(path, night)
        print(f"done {night}", flush=True)


def work_state(engine: str, folder: Path) -> dict[str, Any]:
    """Say what a reader finds."""
    database = opened(engine, folder)
    return {
        "orders": list(duckdb.execute(fingerprint(listed(database.files()))).fetchone() or ()),
        "batches": sorted(database.batches()),
        "ledger": sorted(database.ledger()),
    }


def work_contend(engine: str, folder: Path, source: Path, part: str) -> dict[str, Any]:
    """Write every other night beside a second process that writes the others; never try again."""
    database = opened(engine, folder)
    refused: dict[str, int] = {}
    nights = sorted(source.glob("night_*.parquet"))[1:21]
    for night, path in list(enumerate(nights, start=1))[int(part) :: 2]:
        try:
            database.upsert(path, night)
        except database.refusals as problem:
            refused[type(problem).__name__] = refused.get(type(problem).__name__, 0) + 1
    return {"refused": refused}


def work_spark(_engine: str, folder: Path, listing: str) -> dict[str, Any]:
    """Count and add up a snapshot's files in Spark."""
    from pyspark.sql import SparkSession

    files = json.loads(Path(listing).read_text("utf-8"))
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.local.dir", str(folder / "spark"))
        .getOrCreate()
    )
    wall = time.perf_counter()
    orders = session.read.parquet(*files)
    row = orders.selectExpr("count(*) as n", "cast(sum(net_revenue) as string) as s").first()
    types = dict(orders.dtypes)
    found = {
        "rows": row["n"],
        "sum": row["s"],
        "wall_s": time.perf_counter() - wall,
        "ordered_at": types["ordered_at"],
        "net_revenue": types["net_revenue"],
        "version": session.version,
    }
    session.stop()
    return found


WORK: dict[str, Callable[..., Any]] = {
    "load": lambda engine, folder, source: work_load(engine, Path(folder), Path(source)),
    "read": lambda engine, folder, old: work_read(engine, Path(folder), old),
    "clean": lambda engine, folder: work_clean(engine, Path(folder)),
    "crash": lambda engine, folder, source, mode: work_crash(
        engine, Path(folder), Path(source), mode
    ),
    "state": lambda engine, folder: work_state(engine, Path(folder)),
    "contend": lambda engine, folder, source, part: work_contend(
        engine, Path(folder), Path(source), part
    ),
    "spark": lambda engine, folder, listing: work_spark(engine, Path(folder), listing),
}


# ---------------------------------------------------------------------------------------------
# the parent: makes the environment, starts the processes, judges


def python_of(engine: str) -> str:
    """Give the interpreter that an engine runs on."""
    if engine == "store":
        return sys.executable
    folder = "Scripts" if os.name == "nt" else "bin"
    return str(ENVIRONMENT / folder / "python")


def make_environment(*, spark: bool) -> None:
    """Make the environment of the other engines, once."""
    if not ENVIRONMENT.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    for package in (*PACKAGES, *((SPARK,) if spark else ())):
        name = package.split(">")[0].split("=")[0]
        known = [python_of("delta"), "-m", "pip", "show", "--quiet", name]
        if subprocess.run(known, check=False, capture_output=True).returncode:
            subprocess.run(
                [python_of("delta"), "-m", "pip", "install", "--quiet", package], check=True
            )


def command(engine: str, what: str, *arguments: object) -> list[str]:
    """Write the command line of one process."""
    script = [python_of(engine), "-m", "benchmarks.storage_engines", "--work", what, engine]
    return [*script, *(str(argument) for argument in arguments)]


def run(engine: str, what: str, *arguments: object) -> Any:
    """Do one piece of work in a process of its own and give its answer."""
    done = subprocess.run(
        command(engine, what, *arguments), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def crash(
    engine: str, scratch: Path, source: Path, states: list[list[Any]], rng: random.Random
) -> dict[str, int]:
    """Kill a writer at random moments and look what is left."""
    count = {"kills": 0, "lost": 0, "partial": 0, "tables disagree": 0}
    folder = scratch / f"crash-{engine}"
    while count["kills"] < KILLS:
        writer = subprocess.Popen(
            command(engine, "crash", folder, source, "random"),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        writer.stdout.readline()  # at work now
        time.sleep(rng.uniform(0.05, 2.0))
        writer.kill()
        said = writer.stdout.read().split()
        killed = writer.wait() != 0
        acknowledged = [int(b) for a, b in itertools.pairwise(said) if a == "done"]
        if not killed or not (folder.exists() and _has_base(engine, folder)):
            shutil.rmtree(folder, ignore_errors=True)  # finished or still at the base: once more
            continue
        count["kills"] += 1
        found = run(engine, "state", folder)
        if found["orders"] not in states:
            count["partial"] += 1
            continue
        night = states.index(found["orders"])
        count["lost"] += night < max(acknowledged, default=0)
        count["tables disagree"] += not (
            found["batches"] == found["ledger"] == list(range(night + 1))
        )
    return count


def _has_base(engine: str, folder: Path) -> bool:
    return bool(run(engine, "state", folder)["batches"]) if _begun(engine, folder) else False


def _begun(engine: str, folder: Path) -> bool:
    part = folder / ("facts/orders" if engine == "store" else "import_batch/_delta_log")
    return part.exists() and any(part.iterdir())


def between(engine: str, scratch: Path, source: Path, states: list[list[Any]]) -> dict[str, Any]:
    """Kill a writer after the orders and before the records, and look what is left."""
    folder = scratch / f"between-{engine}"
    subprocess.run(
        command(engine, "crash", folder, source, "between"),
        cwd=ROOT,
        check=False,
        stdout=subprocess.DEVNULL,
    )
    found = run(engine, "state", folder)
    return {
        "orders are of night": states.index(found["orders"]),
        "batch record of night": max(found["batches"]),
        "ledger of night": max(found["ledger"]),
    }


def contend(engine: str, scratch: Path, source: Path) -> dict[str, int]:
    """Let two processes write ten nights each at the same time; count what was refused."""
    folder = scratch / f"contend-{engine}"
    subprocess.run(
        command(engine, "crash", folder, source / "base", "random"),
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    writers = [
        subprocess.Popen(
            command(engine, "contend", folder, source, part),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in (0, 1)
    ]
    refused: dict[str, int] = {}
    for writer in writers:
        answer = json.loads(writer.communicate()[0].splitlines()[-1])
        for name, times in answer["refused"].items():
            refused[name] = refused.get(name, 0) + times
    return refused


def middle(steps: list[list[float]], position: int) -> float:
    """Give the median of CPU (0) or wall (1) seconds."""
    return statistics.median(step[position] for step in steps) if steps else float("nan")


def main() -> int:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--spark", action="store_true", help="also read a snapshot with Spark")
    parser.add_argument("--scratch", type=Path, help="folder for the files of the run")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        what, *arguments = options.work
        answer = WORK[what](*arguments)
        if answer is not None:
            print(json.dumps(answer))
        return 0
    make_environment(spark=options.spark)
    shrink = 10 if options.quick else 1
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="crm-lab-storage-", dir=options.scratch) as name:
        scratch = Path(name)
        source, small = scratch / "input", scratch / "small"
        files = write_input(source, base=2_000_000 // shrink, per_night=20_000 // shrink, nights=30)
        tiny = write_input(small, base=200_000, per_night=10_000, nights=30)
        (small / "base").mkdir()
        shutil.copy(tiny[0], small / "base" / tiny[0].name)
        states, small_states = expected_states(files), expected_states(tiny)
        results: dict[str, dict[str, Any]] = {}
        for engine in ENGINES:
            print(f"{engine} ...", file=sys.stderr, flush=True)
            folder = scratch / engine
            found = run(engine, "load", folder, source)
            found |= run(engine, "read", folder, found["ids"][5])
            assert found["now"] == states[-1], f"{engine}: the orders are not what they must be"
            assert found["then"] == states[5], f"{engine}: the old state is not what it was"
            if options.spark:
                listing = scratch / "files.json"
                listing.write_text(json.dumps(found["live"]), "utf-8")
                found["spark"] = run("delta", "spark", scratch, listing)
            found["cleaned"] = run(engine, "clean", folder)
            found["crash"] = crash(engine, scratch, small, small_states, rng)
            found["between"] = between(engine, scratch, small, small_states)
            found["contend"] = contend(engine, scratch, small)
            results[engine] = found
            shutil.rmtree(folder)
        print(table(results, states))
    return 0


def table(results: dict[str, dict[str, Any]], states: list[list[Any]]) -> str:
    """Write the results side by side."""

    def seconds(steps: list[list[float]]) -> str:
        return f"{middle(steps, 0):.2f} / {middle(steps, 1):.2f}"

    lines: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("load of the base, CPU / wall s", lambda r: seconds(r["steps"][:1])),
        (
            f"a night that changes the base (nights 1 to {DAYS_BACK}), median CPU / wall s",
            lambda r: seconds(r["steps"][1 : DAYS_BACK + 1]),
        ),
        (
            f"a night after that ({DAYS_BACK + 1} to 30), median CPU / wall s",
            lambda r: seconds(r["steps"][DAYS_BACK + 1 :]),
        ),
        ("peak memory of the writer, MB", lambda r: f"{r['peak_mb']:,.0f}"),
        (
            f"revenue per customer of {WINDOW_DAYS} days, opening included, median CPU / wall s",
            lambda r: seconds(r["reads"]),
        ),
        ("files / MB of the last state", lambda r: f"{r['files']} / {r['live_mb']:,.0f}"),
        ("files / MB with all older states", lambda r: f"{r['files_all']} / {r['all_mb']:,.0f}"),
        (
            "files / MB after removing older states",
            lambda r: f"{r['cleaned']['files_all']} / {r['cleaned']['all_mb']:,.0f}",
        ),
        ("name of the last state", lambda r: str(r["ids"][-1])),
        ("rows of the last state", lambda r: f"{r['now'][0]:,}"),
        ("state after night 5 read again later", lambda r: f"{r['then'][0]:,} rows, as expected"),
        (
            f"{KILLS} kills: lost / partial / tables disagree",
            lambda r: " / ".join(
                str(r["crash"][k]) for k in ("lost", "partial", "tables disagree")
            ),
        ),
        (
            "killed between orders and records: night of orders / batch / ledger",
            lambda r: " / ".join(str(night) for night in r["between"].values()),
        ),
        (
            "2 x 10 writes at the same time: refused",
            lambda r: ", ".join(f"{n} {why}" for why, n in r["contend"].items()) or "none",
        ),
    ]
    if all("spark" in found for found in results.values()):
        lines.append(
            (
                "Spark over the listed files: rows, sum as expected, types",
                lambda r: (
                    f"{r['spark']['rows']:,}, {r['spark']['sum'] == states[-1][1]},"
                    f" {r['spark']['ordered_at']} {r['spark']['net_revenue']}"
                ),
            )
        )
    text = ["| | " + " | ".join(results) + " |", "| --- |" + " --- |" * len(results)]
    text += [
        f"| {label} | " + " | ".join(show(found) for found in results.values()) + " |"
        for label, show in lines
    ]
    return "\n".join(text)


if __name__ == "__main__":
    sys.exit(main())
