"""Text to typed values, each failing cell with its reason: the SQL of an import.

Each column of a map becomes two SQL expressions over the staged text: the typed value, which is
NULL where the text cannot be read, and the reason, which is NULL where it can.
"""

from __future__ import annotations

from dataclasses import dataclass

from crm_lab.gateway.mapping import LoadedMap, SourceColumn, SourceMap
from crm_lab.gateway.schema import Column
from crm_lab.gateway.staging import SPACES, staged_columns
from crm_lab.gateway.store import sql_text

REASONS = {
    "missing": "a required value is empty",
    "id_read_as_number": "the id looks like a number that a spreadsheet rewrote (17.0, 1.2E+10)",
    "not_a_whole_number": "not a whole number",
    "not_a_number": "not a number",
    "not_an_amount": "not an amount as the map declares amounts",
    "more_than_two_decimals": "an amount with more than two decimals",
    "amount_out_of_range": "an amount too large to be true",
    "not_a_date": "not a date in a declared format",
    "date_out_of_range": "a date outside 1900 to 2200",
    "not_yes_or_no": "neither yes nor no",
    "unknown_value": "a word outside the closed list; translate it under 'values' in the map",
    "duplicate_key": "the same key stands in an earlier record of the file",
    "wrong_number_of_fields": "more or fewer fields than the header",
}
"""Every reason for which a record is set aside; references add ``unknown_<table>``."""

YES = ("true", "1", "yes", "y", "t", "да", "истина")
NO = ("false", "0", "no", "n", "f", "нет", "ложь")


def reason_text(reason: str) -> str:
    """Explain a reason code to people."""
    if reason.startswith("unknown_") and reason not in REASONS:
        return f"refers to a {reason.removeprefix('unknown_')} that the gateway does not know"
    return REASONS[reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """SQL of one column: the typed value and why it cannot be read.

    Attributes
    ----------
    name : str
        Column of the gateway.
    value, reason : str
        SQL expressions over the table ``staged``.
    """

    name: str
    value: str
    reason: str


def casts(source: LoadedMap, columns: tuple[str, ...]) -> list[Cast]:
    """Give the casts of every column of the table; columns without a source become NULL."""
    inner = staged_columns(columns)
    result = []
    for column in source.table.columns:
        origin = source.declared.columns.get(column.name)
        if origin is None:
            result.append(
                Cast(name=column.name, value=f"cast(null as {column.sql_type})", reason="null")
            )
        else:
            result.append(_cast(column, _text(origin, inner), origin, source.declared))
    return result


def _text(origin: SourceColumn, inner: dict[str, str]) -> str:
    if origin.value is not None:
        return f"'{sql_text(origin.value)}'"
    assert origin.source is not None  # the map's own check
    spaces = "".join(SPACES) + "\t\r\n"
    text = f"nullif(trim({inner[origin.source]}, '{spaces}'), '')"
    if not origin.values:
        return text
    whens = " ".join(
        f"when '{sql_text(word.lower())}' then '{sql_text(meaning)}'"
        for word, meaning in origin.values.items()
    )
    return f"(case lower({text}) {whens} else {text} end)"


def _cast(column: Column, text: str, origin: SourceColumn, declared: SourceMap) -> Cast:
    value, wrong = _typed(column, text, origin, declared)
    checks = [f"when {text} is not null and {condition} then '{why}'" for condition, why in wrong]
    if column.required:
        checks.insert(0, f"when {text} is null then 'missing'")
    reason = f"(case {' '.join(checks)} end)" if checks else "null"
    return Cast(name=column.name, value=value, reason=reason)


def _typed(
    column: Column, text: str, origin: SourceColumn, declared: SourceMap
) -> tuple[str, list[tuple[str, str]]]:
    match column.kind:
        case "id":
            rewritten = (
                f"regexp_full_match({text}, '[0-9]+[.]0+|[0-9]+([.,][0-9]+)?[eE][+]?[0-9]+')"
            )
            value = f"('{sql_text(origin.prefix)}' || {text})" if origin.prefix else text
            return value, [(rewritten, "id_read_as_number")]
        case "text":
            return text, []
        case "choice":
            value = f"lower({text})"
            words = ", ".join(f"'{word}'" for word in column.choices)
            return value, [(f"{value} not in ({words})", "unknown_value")]
        case "flag":
            yes, no = (", ".join(f"'{word}'" for word in words) for words in (YES, NO))
            value = (
                f"(case when lower({text}) in ({yes}) then true"
                f" when lower({text}) in ({no}) then false end)"
            )
            return value, [(f"{value} is null", "not_yes_or_no")]
        case "integer":
            cleaned = _number_text(text, declared)
            value = f"try_cast({_where(cleaned, '[+-]?[0-9]+')} as bigint)"
            return value, [(f"{value} is null", "not_a_whole_number")]
        case "number":
            cleaned = _number_text(text, declared)
            pattern = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
            value = f"try_cast({_where(cleaned, pattern)} as double)"
            return value, [(f"{value} is null", "not_a_number")]
        case "money":
            cleaned = _number_text(text, declared)
            amount = _where(cleaned, "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)")
            value = f"try_cast({amount} as decimal(18,2))"
            return value, [
                (f"{amount} is null", "not_an_amount"),
                (f"regexp_matches({amount}, '[.][0-9][0-9][0-9]*[1-9]')", "more_than_two_decimals"),
                (f"{value} is null", "amount_out_of_range"),
            ]
        case "time" | "day":
            return _time(column, text, declared)


def _time(column: Column, text: str, declared: SourceMap) -> tuple[str, list[tuple[str, str]]]:
    formats = ", ".join(f"'{sql_text(item)}'" for item in declared.date_formats)
    parsed = f"try_strptime({text}, [{formats}])"
    zoned = "%z" in declared.date_formats[0]
    if column.kind == "day":
        value = f"cast({parsed} as date)"
    elif zoned:
        value = f"timezone('UTC', {parsed})"
    elif declared.timezone == "UTC":
        value = f"cast({parsed} as timestamp)"
    else:
        zone = sql_text(declared.timezone)
        value = f"timezone('UTC', timezone('{zone}', cast({parsed} as timestamp)))"
    return value, [
        (f"{parsed} is null", "not_a_date"),
        (f"year({parsed}) not between 1900 and 2200", "date_out_of_range"),
    ]


def _number_text(text: str, declared: SourceMap) -> str:
    cleaned = text
    if declared.thousands:
        separators = SPACES if declared.thousands in SPACES else (declared.thousands,)
        for separator in separators:
            cleaned = f"replace({cleaned}, '{sql_text(separator)}', '')"
    if declared.decimal == ",":
        # a point where the map promises a comma is not read at all
        cleaned = f"replace(replace({cleaned}, '.', '?'), ',', '.')"
    return cleaned


def _where(text: str, pattern: str) -> str:
    return f"(case when regexp_full_match({text}, '{pattern}') then {text} end)"
