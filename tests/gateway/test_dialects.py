"""The assignment rule in other engines: run where an engine is here, emulated where none is."""

from __future__ import annotations

import csv
import hashlib
import io
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_lab.errors import DesignError
from crm_lab.experiments.assignment import arm_of, bucket_ends, bucket_of
from crm_lab.gateway.dialects import (
    DIALECTS,
    Dialect,
    HashedArms,
    arm_sql,
    bucket_sql,
    text_literal,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "assignment-in-sql.md"
EMULATED: tuple[Dialect, ...] = ("spark", "bigquery", "snowflake", "clickhouse")
SALTS = ("2017", "it's", "back\\slash", "both'\\'x", "соль", "a${b}c", "🙂", 'q"q`$', "%_\\n")
ODD_IDS = [
    "Ирина",
    "o'brien",
    'a"b',
    "🙂",
    "001",
    " ",
    "\\",
    "\\'",
    "ß",
    "e\u0301",
    "x" * 300,
    "${a}",
]


def many_ids(count: int = 2_000) -> list[str]:
    rng = random.Random(11)
    letters = "abcXYZ0123456789'\"\\`$%_-:;АБВжщы🙂éß 漢{}"
    made = ("".join(rng.choices(letters, k=rng.randint(1, 12))) for _ in range(count))
    return list(dict.fromkeys([*ODD_IDS, *made]))


IDS = many_ids()
CASES: list[str | None] = [*IDS, None, ""]
"""Every id, and the two that have no bucket."""
ARMS = HashedArms(salt="experiment:it's", ends=bucket_ends({"a'b\\": 0.5, "b": 0.4}))
CONTROL = HashedArms(salt="20\\17", ends=bucket_ends({"control": 0.2}), rest="treatment")


def expected_buckets(salt: str) -> list[int | None]:
    return [bucket_of(salt, name) if name else None for name in CASES]


def expected_arms() -> list[str | None]:
    def arm(name: str) -> str:
        if bucket_of("20\\17", name) < 2_000:
            return "control"
        return arm_of(bucket_of("experiment:it's", name), {"a'b\\": 0.5, "b": 0.4})

    return [arm(name) if name else None for name in CASES]


# --- DuckDB, on the engine ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("create table people (n integer, customer_id varchar)")
        connection.executemany("insert into people values (?, ?)", list(enumerate(CASES)))
        yield connection


@pytest.mark.parametrize("salt", SALTS)
def test_duckdb_gives_the_bucket_of_python(engine: duckdb.DuckDBPyConnection, salt: str) -> None:
    query = f"select {bucket_sql('duckdb', salt, 'customer_id')} from people order by n"
    assert [row[0] for row in engine.execute(query).fetchall()] == expected_buckets(salt)


def test_duckdb_gives_the_arm_of_python(engine: duckdb.DuckDBPyConnection) -> None:
    query = arm_sql("duckdb", ARMS, source="people", control=CONTROL)
    rows = engine.execute(
        f"select arms.variant from people left join ({query}) as arms"
        " on arms.customer_id is not distinct from people.customer_id order by n"
    ).fetchall()
    assert [row[0] for row in rows] == expected_arms()
    assert {"control", "a'b\\", "b", "rest", None} == set(expected_arms())


def test_a_control_group_is_drawn_by_its_own_select(engine: duckdb.DuckDBPyConnection) -> None:
    query = arm_sql("duckdb", CONTROL, source="people")
    columns = engine.execute(query).description
    assert [column[0] for column in columns or []] == ["customer_id", "bucket", "variant"]
    found = {row[0]: row[2] for row in engine.execute(query).fetchall()}
    assert all(
        found[name] == ("control" if bucket_of("20\\17", name) < 2_000 else "treatment")
        for name in IDS
    )


# --- PostgreSQL, on the engine -----------------------------------------------------------------

Psql = Callable[[str], list[list[str]]]
TRUSTING = ("-U", "tester", "-A", "trust", "-E", "UTF8")


def programs_of_postgresql() -> Path | None:
    places = [Path(place) for place in (shutil.which("initdb"), shutil.which("pg_ctl")) if place]
    folders = [place.resolve().parent for place in places]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    needed = ("initdb", "pg_ctl", "psql", "postgres")
    return next((f for f in folders if all((f / name).exists() for name in needed)), None)


def run(command: list[str], *, user: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*user, *command],
        input=text,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
        cwd="/",
    )


@pytest.fixture(scope="module")
def psql() -> Iterator[Psql]:
    """A PostgreSQL server of its own, on a unix socket, gone afterwards."""
    programs = programs_of_postgresql()
    if programs is None:
        pytest.skip("the programs of PostgreSQL (initdb, pg_ctl, psql) are not installed")
    user: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="crm-lab-pg-"))
    if folder.owner() == "root":  # the server refuses to run as root
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root, and setpriv is not here")
        shutil.chown(folder, "nobody")
        user = ["setpriv", "--reuid=nobody", "--clear-groups"]
    data, log = folder / "data", folder / "log"
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    control = [str(programs / "pg_ctl"), "-D", str(data)]
    try:
        made = run(
            [str(programs / "initdb"), "-D", str(data), *TRUSTING],
            user=user,
        )
        if made.returncode:
            pytest.skip(f"initdb made no cluster: {made.stderr[-300:]}")
        # the server keeps the pipes of whoever starts it open, so its own go to the log
        started = subprocess.run(
            [*user, *control, "-w", "-l", str(log), "-o", options, "start"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=120,
            cwd="/",
        )
        if started.returncode:
            pytest.skip(f"no server started: {log.read_text('utf-8')[-300:]}")

        def ask(query: str) -> list[list[str]]:
            answer = run(
                [
                    str(programs / "psql"),
                    *("-h", str(folder), "-U", "tester", "-d", "postgres"),
                    *("-X", "-q", "--csv", "-t", "-v", "ON_ERROR_STOP=1"),
                ],
                user=user,
                text=query,
            )
            assert answer.returncode == 0, answer.stderr
            return list(csv.reader(io.StringIO(answer.stdout, newline="")))

        ask("set client_encoding = 'UTF8'; create table people (n integer, customer_id text)")
        rows = "\n".join(
            f"{n}," + ("" if name is None else '"' + name.replace('"', '""') + '"')
            for n, name in enumerate(CASES)
        )
        ask(f"set client_encoding = 'UTF8';\ncopy people from stdin (format csv);\n{rows}\n\\.\n")
        yield ask
    finally:
        run([*control, "-m", "immediate", "stop"], user=user)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_postgresql_gives_the_bucket_of_python(psql: Psql, conforming: str) -> None:
    settings = (
        "set client_encoding = 'UTF8'; set escape_string_warning = off;"
        f" set standard_conforming_strings = {conforming};"
    )
    columns = ", ".join(bucket_sql("postgresql", salt, "customer_id") for salt in SALTS)
    rows = psql(f"{settings} select {columns} from people order by n;")
    assert len(rows) == len(CASES)
    for place, salt in enumerate(SALTS):
        found = [int(row[place]) if row[place] else None for row in rows]
        assert found == expected_buckets(salt)


def test_postgresql_gives_the_arm_of_python(psql: Psql) -> None:
    query = arm_sql("postgresql", ARMS, source="people", control=CONTROL)
    rows = psql(
        "set client_encoding = 'UTF8';"
        f" select arms.variant from people left join ({query}) as arms"
        " on arms.customer_id is not distinct from people.customer_id order by n;"
    )
    assert [row[0] if row and row[0] else None for row in rows] == expected_arms()


# --- the others, emulated ----------------------------------------------------------------------
# The text of the expression is run by SQLite with Python versions of the engine's functions.
# Its texts are read by the engine's own rule for quotes first, since SQLite has another.


def unescaped(body: str, dialect: Dialect) -> str:
    """What stands between the quotes, as the manual of the engine reads it."""
    if dialect == "snowflake":
        body = body.replace("''", "\\'")

    def one(match: re.Match[str]) -> str:
        return chr(int(match[1][1:], 16)) if match[1][0] == "u" else match[1]

    # no escape with a letter is written but Spark's \uXXXX; another would not survive this
    assert not re.search(r"(?<!\\)(?:\\\\)*\\[a-tv-zA-Z0-9]", body), body
    return re.sub(r"\\(u[0-9A-Fa-f]{4}|[^u])", one, body)


def with_parameters(sql: str, dialect: Dialect) -> tuple[str, dict[str, str]]:
    inside = r"(?:[^'\\]|\\.|'')*" if dialect == "snowflake" else r"(?:[^'\\]|\\.)*"
    texts: dict[str, str] = {}

    def take(match: re.Match[str]) -> str:
        texts[f"t{len(texts)}"] = unescaped(match[1], dialect)
        return f":t{len(texts) - 1}"

    found = re.sub(f"'({inside})'", take, sql)
    assert "'" not in found, found
    if dialect == "spark":  # ${name} would be looked up before the text is read
        assert "${" not in sql
    return found, texts


def sha(text: str | None) -> bytes | None:
    return None if text is None else hashlib.sha256(text.encode()).digest()


def joined(*parts: str | None) -> str | None:
    return None if None in parts else "".join(part for part in parts if part is not None)


def hexadecimal(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def spark_sha2(text: str | None, bits: int) -> str | None:
    assert bits == 256
    return hexadecimal(sha(text))


def spark_conv(text: str | None, base: int, to: int) -> str | None:
    assert to == 10
    return None if text is None else str(int(text, base))


def bigquery_int64(text: str | None) -> int | None:
    assert text is None or re.fullmatch("0x[0-9a-f]+", text)
    return None if text is None else int(text, 16)


def snowflake_to_number(text: str | None, form: str) -> int | None:
    assert text is None or (set(form) == {"X"} and len(text) <= len(form))
    return None if text is None else int(text, 16)


def shifted(number: int | None, bits: int) -> int | None:
    return None if number is None else number >> bits


def whole_part(number: int | None, by: int) -> int | None:
    return None if number is None else number // by


def clickhouse_uint32(data: bytes | None) -> int | None:
    return None if data is None else int.from_bytes(data, "little")


FUNCTIONS: dict[Dialect, dict[str, Callable[..., Any]]] = {
    "spark": {
        "concat": joined,
        "sha2": spark_sha2,
        "conv": spark_conv,
        "shiftright": shifted,
    },
    "bigquery": {
        "concat": joined,
        "sha256": sha,
        "to_hex": hexadecimal,
        "cast_int64": bigquery_int64,
        "div": whole_part,
    },
    "snowflake": {
        "concat": joined,
        "sha2": spark_sha2,
        "to_number": snowflake_to_number,
        "bitshiftright": shifted,
    },
    "clickhouse": {
        "concat": joined,
        "SHA256": sha,
        "reverse": lambda data: data if data is None else data[::-1],
        "reinterpretAsUInt32": clickhouse_uint32,
        "toUInt64": lambda number: number,
        "intDiv": whole_part,
    },
}


def emulate(
    dialect: Dialect, sql: str, ids: list[str | None], **replaced: Callable[..., Any]
) -> list[tuple[Any, ...]]:
    """Run a SELECT over ``people`` with the functions of a dialect, rows in the order of ids."""
    text, texts = with_parameters(sql, dialect)
    if dialect == "bigquery":  # SQLite reads no 0x in a cast
        text = re.sub(r"cast\((concat\(:t\d+, .*?, 1, 8\)\)) as int64\)", r"cast_int64(\1)", text)
    with sqlite3.connect(":memory:") as db:
        for name, function in {**FUNCTIONS[dialect], **replaced}.items():
            db.create_function(name, -1, function)
        db.execute("create table people (n integer primary key, customer_id text)")
        db.executemany("insert into people values (?, ?)", enumerate(ids))
        rows = db.execute(text, texts).fetchall()
    db.close()
    return rows


@pytest.mark.parametrize("salt", SALTS)
@pytest.mark.parametrize("dialect", EMULATED)
def test_emulated_engines_give_the_bucket_of_python(dialect: Dialect, salt: str) -> None:
    query = f"select {bucket_sql(dialect, salt, 'customer_id')} from people order by n"
    found = [row[0] for row in emulate(dialect, query, CASES)]
    assert found == expected_buckets(salt)


@pytest.mark.parametrize("dialect", EMULATED)
def test_emulated_engines_give_the_arm_of_python(dialect: Dialect) -> None:
    query = arm_sql(dialect, ARMS, source="people", control=CONTROL)
    rows = emulate(dialect, query, CASES)
    found = {row[0]: row[2] for row in rows}
    assert len(rows) == len(CASES)
    assert [found[name] for name in CASES] == expected_arms()


HASHES = [0, 1, 429_496, 429_497, 2**31 - 1, 2**31, 2**32 - 1]
HASHES += [
    h for k in (1, 500, 4_999, 9_999) for h in (k * 2**32 // 10_000, k * 2**32 // 10_000 + 1)
]
"""At both sides of where one bucket ends and the next begins."""


@pytest.mark.parametrize("dialect", EMULATED)
def test_buckets_end_where_they_should(dialect: Dialect) -> None:
    def given(text: str, *_bits: int) -> bytes:
        return int(text.split(":")[1]).to_bytes(4, "big") + bytes(28)

    name = {"spark": "sha2", "snowflake": "sha2", "bigquery": "sha256", "clickhouse": "SHA256"}
    as_text = dialect in ("spark", "snowflake")
    replaced = {name[dialect]: (lambda *a: given(*a).hex()) if as_text else given}
    query = f"select {bucket_sql(dialect, 's', 'customer_id')} from people order by n"
    rows = emulate(dialect, query, [str(h) for h in HASHES], **replaced)
    assert [row[0] for row in rows] == [h * 10_000 // 2**32 for h in HASHES]


def test_snowflake_is_never_asked_to_divide() -> None:
    """Its quotient has six decimals: 4999.9999999 would become 5000."""
    h = next(h for h in range(2**31, 0, -1) if (h * 10_000) % 2**32 > 2**32 * (1 - 4e-7))
    assert int(round(h * 10_000 / 2**32, 6)) != h * 10_000 // 2**32
    assert "/" not in bucket_sql("snowflake", "s", "customer_id")


# --- bad input, and the page -------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("salt", ["a\nb", "a\x00b", "a\x7fb", "\ud83d"])
def test_a_salt_that_some_engine_cannot_hold_is_refused(dialect: Dialect, salt: str) -> None:
    with pytest.raises(DesignError, match=r"holds the character U\+"):
        bucket_sql(dialect, salt, "customer_id")


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(DesignError, match=r"no dialect 'oracle'.*duckdb, spark"):
        text_literal("oracle", "a")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ({}, "at least one arm"),
        ({"a": 0}, "end at"),
        ({"a": 5_000, "b": 5_000}, "end at"),
        ({"a": 5_000, "b": 10_001}, "at most 10,000"),
    ],
)
def test_arms_that_own_no_buckets_are_refused(ends: dict[str, int], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        HashedArms(salt="s", ends=ends)


def test_the_example_of_the_page_is_true() -> None:
    page = PAGE.read_text("utf-8")
    salt = re.findall(r"^Salt `([^`]+)`, arms", page, re.MULTILINE)[0]
    shares = {name: float(share) for name, share in re.findall(r"`(\w+)` (0\.\d)(?= and|:)", page)}
    rows = re.findall(r"^\| `(.+)` \| `(\w{8})` \| (\d+) \| (\d+) \| (\w+) \|$", page, re.MULTILINE)
    assert list(shares) == ["reminder", "newsletter"]
    assert len(rows) == 3
    for customer_id, head, h, bucket, arm in rows:
        digest = hashlib.sha256(f"{salt}:{customer_id}".encode()).hexdigest()
        assert digest[:8] == head
        assert int(head, 16) == int(h)
        assert int(h) * 10_000 // 2**32 == int(bucket) == bucket_of(salt, customer_id)
        assert arm_of(int(bucket), shares) == arm
    assert len({row[4] for row in rows}) > 1


def test_the_page_shows_what_is_written() -> None:
    page = PAGE.read_text("utf-8")
    blocks = re.findall(r"```sql\n(.*?)\n```", page, re.DOTALL)
    call = re.findall(r"```python\n(.*?)\n```", page, re.DOTALL)[0]
    imports, _, expression = call.partition("\n\n")
    names: dict[str, Any] = {}
    exec(imports, names)
    whole = eval(expression, names)
    assert blocks == [*(bucket_sql(name, "2017", "customer_id") for name in DIALECTS), whole]
