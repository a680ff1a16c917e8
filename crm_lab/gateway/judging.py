"""Which records of a landed file are loaded, and why the others are not."""

from __future__ import annotations

import duckdb

from crm_lab.gateway.batches import Attempt, Rejected
from crm_lab.gateway.casting import typed_query
from crm_lab.gateway.schema import TABLES
from crm_lab.gateway.staging import ROW_NO, STAGED, WRONG_WIDTH, Staged, raw_json_expression
from crm_lab.gateway.store import quoted


def judge(engine: duckdb.DuckDBPyConnection, attempt: Attempt, staged: Staged) -> None:
    """Make the table ``judged``: typed values, and column and reason of what is wrong.

    Views ``existing_<table>`` must stand for the tables that the file refers to. Where the map
    says so, the customers of the loaded rows that are not known yet are put into ``new_customer``.
    """
    engine.execute(f"create temp table judged as {typed_query(attempt.source, staged)}")
    _mark_duplicates(engine, attempt)
    declared = attempt.source.declared
    for column in attempt.table.columns:
        is_checked = column.references and column.name in declared.columns
        if not is_checked or (column.references == "customer" and declared.create_customers):
            continue
        target = TABLES[column.references]
        _mark(
            engine,
            f"{column.name}:unknown_{target.name}",
            f'"{column.name}" is not null and "{column.name}" not in'
            f" (select {quoted(target.key)} from existing_{target.name})",
        )
    if declared.create_customers:
        engine.execute(
            "create temp table new_customer as select distinct customer_id from judged"
            " where problem is null and customer_id is not null"
            " and customer_id not in (select customer_id from existing_customer)"
        )


def rejected_rows(
    engine: duckdb.DuckDBPyConnection, attempt: Attempt, staged: Staged
) -> list[Rejected]:
    """List the records that are set aside, in the order of the file, and count both sides."""
    raw = raw_json_expression(staged.columns)
    rows = engine.execute(
        f"select {ROW_NO}, split_part(problem, ':', 1), split_part(problem, ':', 2), {raw}"
        f" from judged join {STAGED} using ({ROW_NO}) where problem is not null"
    ).fetchall()
    rejected = [(int(no), str(column), str(why), str(text)) for no, column, why, text in rows]
    rejected += [(no, "", WRONG_WIDTH, text) for no, text in staged.ragged]
    attempt.rejected = len(rejected)
    attempt.loaded = staged.rows_in - attempt.rejected
    return sorted(rejected)


def _mark_duplicates(engine: duckdb.DuckDBPyConnection, attempt: Attempt) -> None:
    """Set aside every record whose key stands in an earlier one that can be read."""
    key = quoted(attempt.table.key)
    engine.execute(
        f"create temp table twice as select {key}, min({ROW_NO}) as first_no from judged"
        f" where problem is null group by {key} having count(*) > 1"
    )
    _mark(
        engine,
        f"{attempt.table.key[0]}:duplicate_key",
        f"{ROW_NO} in (select again.{ROW_NO} from judged as again join twice using ({key})"
        f" where again.problem is null and again.{ROW_NO} > first_no)",
    )


def _mark(engine: duckdb.DuckDBPyConnection, problem: str, condition: str) -> None:
    engine.execute(f"update judged set problem = '{problem}' where problem is null and {condition}")
