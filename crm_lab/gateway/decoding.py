"""The bytes of a CSV file as lines of text: decoded strictly, and what is wrong named."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path

from crm_lab.errors import FileError
from crm_lab.language import message, say

PARQUET = b"PAR1"
_SIGNATURES = (
    (b"PK\x03\x04", message("this is an Excel workbook or a zip file")),
    (b"\xd0\xcf\x11\xe0", message("this is an old Excel workbook")),
    (b"\x1f\x8b", message("this is a gzip file")),
    (PARQUET, message("this is a Parquet file")),
    (codecs.BOM_UTF16_LE, message("this is a UTF-16 file")),
    (codecs.BOM_UTF16_BE, message("this is a UTF-16 file")),
)


class DecodedLines(Iterator[str]):
    """Lines of a file, decoded strictly; a wrong byte is reported with its place.

    Parameters
    ----------
    raw : iterator of bytes
        Lines, each with its line end.
    file : pathlib.Path
        For messages.
    encoding : str
        As the map declares it; a byte order mark of UTF-8 is passed over.
    advance : callable
        Called with the number of bytes of each line.
    """

    def __init__(
        self,
        raw: Iterator[bytes],
        *,
        file: Path,
        encoding: str,
        advance: Callable[[int], None],
    ) -> None:
        self._raw = raw
        self._file = file
        name = codecs.lookup(encoding).name
        self._encoding = "utf-8" if name == "utf-8-sig" else name
        self._advance = advance
        self._line = 0

    def __next__(self) -> str:
        line = next(self._raw)
        self._line += 1
        self._advance(len(line))
        if self._line == 1:
            line = self._without_signature(line)
        try:
            text = line.decode(self._encoding)
        except UnicodeDecodeError as problem:
            raise FileError(
                say(
                    "byte {place} of line {line} is not {encoding}",
                    place=problem.start + 1,
                    line=self._line,
                    encoding=self._encoding,
                ),
                where=str(self._file),
                remedy=self._advice(line),
            ) from None
        if "\x00" in text:
            raise FileError(
                say("line {line} holds a zero byte", line=self._line),
                expected=say("a text file"),
                where=str(self._file),
                remedy=say("the file may be UTF-16 or an Excel file: save it as 'CSV UTF-8'"),
            )
        return text

    def _without_signature(self, line: bytes) -> bytes:
        for signature, meaning in _SIGNATURES:
            if line.startswith(signature):
                raise FileError(
                    say(meaning),
                    expected=say("a text file in {encoding}", encoding=self._encoding),
                    where=str(self._file),
                    remedy=say("write 'format: parquet' into the map")
                    if signature == PARQUET
                    else say("save it as 'CSV UTF-8'"),
                )
        if not line.startswith(codecs.BOM_UTF8):
            return line
        if self._encoding != "utf-8":
            raise FileError(
                say(
                    "the file begins with the mark of UTF-8, and the map says {encoding}",
                    encoding=self._encoding,
                ),
                where=str(self._file),
                remedy=say("write 'encoding: utf-8' into the map"),
            )
        return line.removeprefix(codecs.BOM_UTF8)

    def _advice(self, line: bytes) -> str:
        for encoding in ("utf-8", "cp1251"):
            try:
                sample = line.decode(encoding).strip()[:60]
            except UnicodeDecodeError:
                continue
            if "\x00" not in sample:
                return say(
                    "if this reads well, write 'encoding: {encoding}' into the map: {sample}",
                    encoding=encoding,
                    sample=sample,
                )
        return say("find out the encoding of the file and write it into the map")
