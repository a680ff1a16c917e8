"""The folder that everything which is handed out stands in."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from crm_lab.cards import Results
from crm_lab.errors import FileError
from crm_lab.gateway import Gateway, ImportReport, load_maps, operations
from crm_lab.language import say
from crm_lab.settings import Settings


class Context:
    """One workbench folder with its gateway: what everything that is handed out needs.

    Parameters
    ----------
    settings : Settings
        Of the folder.
    snapshot : int, optional
        Snapshot that everything is read from; by default each read takes the latest.
    """

    def __init__(self, settings: Settings, *, snapshot: int | None = None) -> None:
        self.settings = settings
        self.gateway = Gateway(
            settings.gateway_folder,
            currency=settings.currency,
            threads=settings.declared.threads,
            snapshot_id=snapshot,
        )

    def day_start(self, day: date) -> datetime:
        """Give the moment (UTC, without zone) at which a day of the company's zone begins."""
        local = datetime.combine(day, time(), tzinfo=ZoneInfo(self.settings.timezone))
        return local.astimezone(UTC).replace(tzinfo=None)

    def last_day(self) -> date:
        """Give the last day with orders, in the company's zone.

        Raises
        ------
        FileError
            The gateway holds no orders.
        """
        with self.gateway.reader() as reader:
            last = reader.one(operations.imported_until())["last_order_at"]
        if not isinstance(last, datetime):
            raise FileError(
                say("the gateway holds no orders"), remedy=say("import an order file first")
            )
        return self.local_day(last)

    def local_day(self, moment: datetime) -> date:
        """Give the day of the company's zone in which a moment (UTC, without zone) lies."""
        zone = ZoneInfo(self.settings.timezone)
        return moment.replace(tzinfo=UTC).astimezone(zone).date()


class Handle:
    """What a workbench hands out to be asked; shown bare, it names what it answers."""

    def __repr__(self) -> str:
        kind = type(self)
        asked = [
            f".{name}()"
            for name in dir(kind)
            if not name.startswith("_") and callable(getattr(kind, name))
        ]
        return f"{kind.__name__}: {', '.join(asked)}"


def import_folder(
    workbench: Context, folder: Path, *, progress: bool = False
) -> Results[ImportReport]:
    """Load every CSV and Parquet file of a folder through the map that fits its name."""
    if not folder.is_dir():
        raise FileError(say("the folder does not exist"), where=str(folder))
    files = sorted(path for path in folder.iterdir() if path.suffix in (".csv", ".parquet"))
    if not files:
        raise FileError(say("no CSV or Parquet file in it"), where=str(folder))
    maps = load_maps(workbench.settings.maps_folder)
    chosen = []
    for file in files:
        fitting = [item for item in maps if item.reads(file)]
        if len(fitting) != 1:
            found = ", ".join(item.path.name for item in fitting) or say("none")
            raise FileError(
                say("maps whose 'files' pattern fits: {maps}", maps=found),
                expected=say("exactly one map"),
                where=str(file),
                remedy=say("nothing was loaded; correct the patterns or add a map"),
            )
        chosen.append((maps.index(fitting[0]), file, fitting[0]))
    ordered = sorted(chosen, key=lambda item: (item[0], item[1]))
    pairs = [(source, file) for _, file, source in ordered]
    return Results(workbench.gateway.import_files(pairs, progress=progress))


def now() -> datetime:
    """Give the time now, in UTC and without zone, as the gateway keeps times."""
    return datetime.now(UTC).replace(tzinfo=None)
