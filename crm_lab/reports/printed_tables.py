"""Which columns name somebody, and where they stand in a table that was printed as text."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Cell = Callable[[str, str], str]
"""From the kind of a column and the text of a cell to the text that may be published."""
ID_COLUMNS = ("customer_id", "customer_ids", "unit_id", "household_id", "kept_id", "merged_id")
PERSONAL_COLUMNS = (
    "address",
    "birth_date",
    "content",
    "email",
    "first_name",
    "full_name",
    "identity_value",
    "last_name",
    "phone",
    "raw_json",
)

_WORD = re.compile(r"\S+")
_SPACED_CELL = re.compile(r"\S+(?: \S+)*")
_SERIES_NAME = re.compile(r"(?:^|, )Name: ([^,]+), (?:Length: \d+, )?dtype: ")
_SERIES_VALUE = re.compile(r"(?<=\s\s)\S+(?: \S+)*$")
_COUNT = re.compile(r"[-+−]?[\d\s.,%]{1,9}")


def column_kind(name: str) -> str:
    """Say whether a column holds ``id`` of customers, ``personal`` data, or neither (empty).

    Examples
    --------
    >>> column_kind("customer id"), column_kind("Full_Name"), column_kind("revenue")
    ('id', 'personal', '')
    """
    return _column_kinds().get(name.strip().lower().replace(" ", "_"), "")


def is_count(text: str) -> bool:
    """Whether a cell under a heading such as ``email`` counts messages instead of naming one."""
    return not text.strip() or bool(_COUNT.fullmatch(text.strip()))


def masked_tables(text: str, cell: Cell) -> str:
    """Mask the cells of tables in a printed text by their headings.

    Parameters
    ----------
    text : str
        As pandas prints frames and series.
    cell : callable
        Gives the masked text of a cell by the kind of its column and its text.
    """
    lines = text.split("\n")
    masked = list(lines)
    columns = _PrintedColumns()
    for place, line in enumerate(lines):
        above = lines[place - 1] if place else ""
        below = lines[place + 1] if place + 1 < len(lines) else ""
        if index_names := _index_names(line, above, below):
            columns = _PrintedColumns(ends=columns.ends, starts=index_names)
        elif headings := _headings(line, below):
            columns = _PrintedColumns(ends=headings)
        elif not line.strip():
            columns = _PrintedColumns()
        elif columns:
            masked[place] = _row(line, columns, cell)
        if (name := _SERIES_NAME.search(line)) and (kind := column_kind(name[1])):
            _series(lines, masked, place, kind, cell)
    return "\n".join(masked)


def _row(line: str, columns: _PrintedColumns, cell: Cell) -> str:
    for start, end, kind in reversed(columns.cells(line)):
        # An id is one word; a name may be several.
        begin = start if kind == "personal" else start + line[start:end].rfind(" ") + 1
        line = line[:begin] + cell(kind, line[begin:end]) + line[end:]
    return line


def _series(lines: list[str], masked: list[str], end: int, kind: str, cell: Cell) -> None:
    """Mask the values of a printed series, whose name stands under them."""
    for place in range(end - 1, -1, -1):
        if not lines[place].strip():
            return
        masked[place] = _SERIES_VALUE.sub(lambda found: cell(kind, found[0]), masked[place])


@dataclass(frozen=True, slots=True, kw_only=True)
class _PrintedColumns:
    """The columns of a printed table: kinds by the places where they end, or where they begin.

    Columns end under their headings; those of an index stand to the left and begin under theirs.
    """

    ends: Mapping[int, str] = field(default_factory=dict)
    starts: Mapping[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.ends or self.starts)

    def cells(self, line: str) -> list[tuple[int, int, str]]:
        """Give start, end and kind of the cells of a row; one space alone parts no cells."""
        places: list[tuple[int, int]] = []
        for found in _WORD.finditer(line):
            before = places[-1] if places else (0, -2)
            is_same_cell = (
                found.start() == before[1] + 1
                and before[1] not in self.ends
                and found.start() not in self.starts
            )
            if is_same_cell:
                places[-1] = (before[0], found.end())
            else:
                places.append((found.start(), found.end()))
        return [
            (start, end, self.ends.get(end) or self.starts.get(start, "")) for start, end in places
        ]


def _headings(line: str, below: str) -> dict[int, str]:
    """Give the kinds of the columns of a printed table by their ends; empty when it heads none.

    Headings of one plain word, such as ``address``, count only where the next line is a row of the
    same width, since prose has such words too.
    """
    if "_" not in line and not line.startswith(" "):
        return {}
    words = {found.end(): column_kind(found[0]) for found in _WORD.finditer(line)}
    if any("_" in found[0] and words[found.end()] for found in _WORD.finditer(line)):
        return words
    cells = [(found.end(), found[0]) for found in _SPACED_CELL.finditer(line)]
    is_head_of_table = (
        line.startswith(" ")
        and below[:1].strip()
        and len(line.rstrip(" \\")) in (len(below), len(below.rstrip()))
        and not any(is_count(text) for _, text in cells)
    )
    kinds = {end: column_kind(text) for end, text in cells} if is_head_of_table else {}
    return words | kinds if any(kinds.values()) else {}


def _index_names(line: str, above: str, below: str) -> dict[int, str]:
    """Give the kinds of the index of a printed table by their starts; empty when it is none."""
    is_padded = line.endswith(" ") and len(line) == len(above) and above.startswith(" ")
    if not is_padded and "_" not in line:
        return {}
    words = list(_WORD.finditer(line))
    is_of_series = "_" in line and len(words) == 1 and bool(_SERIES_VALUE.search(below))
    if not line[:1].strip() or not below[:1].strip() or not (is_padded or is_of_series):
        return {}
    kinds = {found.start(): column_kind(found[0]) for found in words}
    return kinds if any(kinds.values()) else {}


@functools.cache
def _column_kinds() -> dict[str, str]:
    from crm_lab.language import LANGUAGES, label, using_language

    kinds: dict[str, str] = {}
    for language in LANGUAGES:
        with using_language(language):
            for names, kind in ((ID_COLUMNS, "id"), (PERSONAL_COLUMNS, "personal")):
                kinds |= {label(name).lower().replace(" ", "_"): kind for name in names}
    return kinds
