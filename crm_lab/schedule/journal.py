"""The log of the schedule: one line of JSON per event, in UTC, turned over when it grows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from crm_lab.schedule.state import json_line, stamp

TURN_BYTES = 1_000_000
KEPT_FILES = 5


def write_event(path: Path, event: str, *, at: datetime, **facts: object) -> None:
    """Append one event.

    Parameters
    ----------
    path : Path
        The log; made if missing. When it has grown large it becomes ``log.1.jsonl`` first.
    event : str
        What happened, in one word.
    at : datetime
        When.
    **facts : object
        What belongs to it; names and codes only, never texts from data.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    size = path.stat().st_size if path.exists() else 0
    if size > TURN_BYTES:
        _turn(path)
        size = 0
    told = {name: value for name, value in facts.items() if value not in (None, "", [])}
    line = json_line({"at": stamp(at), "event": event, **told})
    if size and not _ends_a_line(path):
        line = "\n" + line  # the last writer was killed in the middle of its line
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_events(path: Path) -> Iterator[Mapping[str, Any]]:
    """Give the events, newest first; a line that was cut by a kill is passed over."""
    for file in (path, *(_older(path, number) for number in range(1, KEPT_FILES))):
        if not file.exists():
            return
        for line in reversed(file.read_text("utf-8", errors="replace").splitlines()):
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(event, dict) and "at" in event and "event" in event:
                yield event


def _turn(path: Path) -> None:
    for number in range(KEPT_FILES - 1, 0, -1):
        newer = path if number == 1 else _older(path, number - 1)
        if newer.exists():
            newer.replace(_older(path, number))


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
