"""Text to typed values, each failing cell with its reason: the SQL of an import.

Each column of a map becomes two SQL expressions over the staged text: the typed value, which is
NULL where the text cannot be read, and the reason, which is NULL where it can.
"""

from __future__ import annotations

from dataclasses import dataclass

from crm_lab.formats import listing
from crm_lab.gateway.mapping import LoadedMap, SourceColumn, SourceMap
from crm_lab.gateway.notation import AMOUNT, number_sql, trimmed_sql
from crm_lab.gateway.schema import Column
from crm_lab.gateway.staging import ROW_NO, STAGED, Staged, notation_of, staged_columns
from crm_lab.gateway.store import sql_text
from crm_lab.language import message, say

REASONS = {
    "missing": message("a required value is empty"),
    "id_read_as_number": message(
        "the id looks like a number that a spreadsheet rewrote (17.0, 1.2E+10)"
    ),
    "not_a_whole_number": message("not a whole number"),
    "not_a_number": message("not a number"),
    "not_an_amount": message("not an amount as the map declares amounts"),
    "more_than_two_decimals": message("an amount with more than two decimals"),
    "amount_out_of_range": message("an amount too large to be true"),
    "not_a_date": message("not a date in a declared format"),
    "date_out_of_range": message("a date outside 1900 to 2200"),
    "not_yes_or_no": message("neither yes nor no"),
    "unknown_value": message(
        "a word outside the closed list; translate it under 'values' in the map"
    ),
    "duplicate_key": message("the same key stands in an earlier record of the file"),
    "wrong_number_of_fields": message("more or fewer fields than the header"),
}
"""Every reason for which a record is set aside; references add ``unknown_<table>``."""

MORE_DECIMALS = "more_than_two_decimals"
ID_AS_NUMBER = "[0-9]+[.]0+|[0-9]+([.,][0-9]+)?[eE][+]?[0-9]+"
WHOLE = "[+-]?[0-9]+"
NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
STORED_TIMES = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S.%f%z",
)
"""How a Parquet file's own times look as text."""

YES = ("true", "1", "yes", "y", "t", "да", "истина")
NO = ("false", "0", "no", "n", "f", "нет", "ложь")


OUTSIDE_THE_LIST = message(
    "a word outside the closed list ({words}); translate it under 'values' in the map"
)
NO_SUCH_AMOUNT = message("not an amount as the map declares amounts, such as {example}")
NO_SUCH_AMOUNT_BUT = message(
    "not an amount as the map declares amounts, such as {example}; for amounts such as 1 234,56 the"
    " map needs {keys}"
)
RUSSIAN_AMOUNTS = {"thousands": " ", "decimal": ","}


def reason_text(reason: str, *, source: LoadedMap | None = None, column: str = "") -> str:
    """Explain a reason code to people; with the map, also what it lets the column hold."""
    if source is not None and reason == "unknown_value":
        words = source.table.by_name[column].choices
        return say(OUTSIDE_THE_LIST, words=listing(words, limit=len(words)))
    if source is not None and reason == "not_an_amount":
        declared = source.declared
        example = f"1{declared.thousands}234{declared.decimal}56"
        keys = " ".join(
            f'{key}: "{sign}"'
            for key, sign in RUSSIAN_AMOUNTS.items()
            if getattr(declared, key) != sign
        )
        if not keys or declared.format != "csv":
            return say(NO_SUCH_AMOUNT, example=example)
        return say(NO_SUCH_AMOUNT_BUT, example=example, keys=keys)
    if reason.startswith("unknown_") and reason not in REASONS:
        table = reason.removeprefix("unknown_")
        return say("refers to a {table} that the gateway does not know", table=table)
    return say(REASONS[reason])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """SQL of one column, in three steps so that nothing is worked out twice.

    Attributes
    ----------
    name : str
        Column of the gateway.
    text : str
        The trimmed and translated text, over the table ``staged``; empty when nothing is mapped.
    parsed : str
        What its kind makes of ``text_<name>`` before it is judged.
    value, reason : str
        The typed value and why it cannot be read, over ``text_<name>`` and ``parsed_<name>``.
    """

    name: str
    text: str = ""
    parsed: str = "null"
    value: str
    reason: str = ""


def typed_query(source: LoadedMap, staged: Staged) -> str:
    """Write the SELECT of the typed columns, with ``row_no`` first and ``problem`` last.

    ``problem`` is ``column:reason`` of the first cell of the row that cannot be read, or NULL.
    """
    every = [_cast(column, source, staged) for column in source.table.columns]
    mapped = [cast for cast in every if cast.text]
    texts = "".join(f', {cast.text} as "text_{cast.name}"' for cast in mapped)
    parsed = "".join(f', {cast.parsed} as "parsed_{cast.name}"' for cast in mapped)
    values = "".join(f', {cast.value} as "{cast.name}"' for cast in every)
    found = ", ".join(f"'{cast.name}:' || {cast.reason}" for cast in mapped if cast.reason)
    return (
        f"select {ROW_NO}{values}, coalesce({found or 'null'}, null) as problem from"
        f" (select *{parsed} from (select {ROW_NO}{texts} from {STAGED}) as trimmed) as prepared"
    )


def _cast(column: Column, source: LoadedMap, staged: Staged) -> Cast:
    origin = source.declared.columns.get(column.name)
    if origin is None:
        return Cast(name=column.name, value=f"cast(null as {column.sql_type})")
    text = f'"text_{column.name}"'
    parsed, value, wrong = _typed(column, text, origin, source, staged)
    checks = [f"when {text} is not null and {condition} then '{why}'" for condition, why in wrong]
    if column.required:
        checks.insert(0, f"when {text} is null then 'missing'")
    return Cast(
        name=column.name,
        text=_text(origin, staged),
        parsed=parsed,
        value=value,
        reason=f"(case {' '.join(checks)} end)" if checks else "",
    )


def _text(origin: SourceColumn, staged: Staged) -> str:
    if origin.value is not None:
        return f"'{sql_text(origin.value)}'"
    assert origin.source is not None  # the map's own check
    text = trimmed_sql(staged_columns(staged.columns)[origin.source])
    if not origin.values:
        return text
    whens = " ".join(
        f"when lower('{sql_text(word)}') then '{sql_text(meaning)}'"
        for word, meaning in origin.values.items()
    )
    return f"(case lower({text}) {whens} else {text} end)"


def _typed(
    column: Column, text: str, origin: SourceColumn, source: LoadedMap, staged: Staged
) -> tuple[str, str, list[tuple[str, str]]]:
    """Give what is parsed, the value, and the conditions under which a text is refused."""
    parsed = f'"parsed_{column.name}"'
    match column.kind:
        case "id":
            value = f"('{sql_text(origin.prefix)}' || {text})" if origin.prefix else text
            return "null", value, [(_matches(text, ID_AS_NUMBER), "id_read_as_number")]
        case "text":
            return "null", text, []
        case "choice":
            words = ", ".join(f"'{word}'" for word in column.choices)
            return f"lower({text})", parsed, [(f"{parsed} not in ({words})", "unknown_value")]
        case "flag":
            yes, no = (", ".join(f"'{word}'" for word in words) for words in (YES, NO))
            flag = (
                f"(case when lower({text}) in ({yes}) then true"
                f" when lower({text}) in ({no}) then false end)"
            )
            return flag, parsed, [(f"{parsed} is null", "not_yes_or_no")]
        case "integer":
            number = _where(_number(text, origin, source, staged), WHOLE)
            value = f"try_cast({parsed} as bigint)"
            return number, value, [(f"{value} is null", "not_a_whole_number")]
        case "number":
            number = _where(_number(text, origin, source, staged), NUMBER)
            value = f"try_cast({parsed} as double)"
            wrong = f"{value} is null or isinf({value})"
            return number, value, [(f"({wrong})", "not_a_number")]
        case "money":
            number = _where(_number(text, origin, source, staged), AMOUNT)
            value = f"try_cast({parsed} as decimal(18,2))"
            return (
                number,
                value,
                [
                    (f"{parsed} is null", "not_an_amount"),
                    (f"regexp_matches({parsed}, '[.][0-9]{{2}}[0-9]*[1-9]')", MORE_DECIMALS),
                    (f"{value} is null", "amount_out_of_range"),
                ],
            )
        case "time" | "day":
            moment = _moment(column, text, origin, source.declared, staged)
            value = f"cast({parsed} as {column.sql_type})"
            wrong = f"year({parsed}) not between 1900 and 2200"
            return (
                moment,
                value,
                [(f"{parsed} is null", "not_a_date"), (wrong, "date_out_of_range")],
            )


def _moment(
    column: Column, text: str, origin: SourceColumn, declared: SourceMap, staged: Staged
) -> str:
    """Write the SQL of a time in UTC, or of a day as it stands in the file."""
    formats = declared.date_formats
    if staged.kinds.get(origin.source or "") == "time":
        formats = STORED_TIMES
    zoned = [item for item in formats if item.endswith("%z")]
    local = [item for item in formats if not item.endswith("%z")]
    is_day = column.kind == "day"
    parts = []
    if zoned:
        instant = _parsed(text, zoned)
        if is_day:  # the day that was written, wherever the zone would move it
            written = f"regexp_replace({text}, ' *[+-][0-9][0-9:]*$', '')"
            bare = _parsed(written, [item.removesuffix("%z").rstrip() for item in zoned])
            parts.append(f"(case when {instant} is not null then {bare} end)")
        else:
            parts.append(f"timezone('UTC', {instant})")
    if local:
        wall = f"cast({_parsed(text, local)} as timestamp)"
        if not is_day and declared.timezone != "UTC":
            wall = f"timezone('UTC', timezone('{sql_text(declared.timezone)}', {wall}))"
        parts.append(wall)
    # without a digit, the engine would take 'infinity' and 'epoch' for dates
    return f"(case when {_has_digit(text)} then coalesce({', '.join(parts)}, null) end)"


def _parsed(text: str, formats: list[str]) -> str:
    listed = ", ".join(f"'{sql_text(item)}'" for item in formats)
    return f"try_strptime({text}, [{listed}])"


def _has_digit(text: str) -> str:
    return f"regexp_matches({text}, '[0-9]')"


def _number(text: str, origin: SourceColumn, source: LoadedMap, staged: Staged) -> str:
    return number_sql(text, notation_of(source, origin.source or "", staged.kinds))


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, '{pattern}')"


def _where(text: str, pattern: str) -> str:
    return f"(case when {_matches(text, pattern)} then {text} end)"
