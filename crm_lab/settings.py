"""Settings of one workbench folder: read once by the caller and passed down.

The file ``crm-lab.yml`` marks a folder as a workbench. Every key has a default, so an empty
mapping (``currency: RUB``, say) is enough.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from crm_lab.errors import SettingsError
from crm_lab.language import Language, say
from crm_lab.yaml_files import Declared, read_yaml, validate

SETTINGS_FILE = "crm-lab.yml"
MACHINE_ZONES = ("localtime", "posixrules", "Factory")
"""Zone files that mean something else on every machine."""


def check_timezone(name: str) -> str:
    """Accept an IANA time zone name such as ``Europe/Moscow``; raise ValueError otherwise."""
    try:
        ZoneInfo(name)
        is_known = name not in MACHINE_ZONES
    except (ZoneInfoNotFoundError, ValueError, OSError):
        is_known = False
    if not is_known:
        raise ValueError(
            say("unknown time zone '{name}'; use an IANA name such as Europe/Moscow", name=name)
        )
    return name


def check_currency(code: str) -> str:
    """Accept a three-letter currency code such as ``RUB``; raise ValueError otherwise."""
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise ValueError(say("'{code}' is not a currency code of three capital letters", code=code))
    return code


TimezoneName = Annotated[str, AfterValidator(check_timezone)]
CurrencyCode = Annotated[str, AfterValidator(check_currency)]


class OtherBase(Declared):
    """A second customer base of the same workbench: another shop, another brand.

    Attributes
    ----------
    gateway : str
        Folder of its gateway's files, relative to the workbench.
    company, currency, note
        As in :class:`SettingsFile`; what is not given is as there.
    """

    gateway: str
    company: str | None = None
    currency: CurrencyCode | None = None
    note: str = ""


class SettingsFile(Declared):
    """What ``crm-lab.yml`` may hold.

    Attributes
    ----------
    company : str
        Name shown on pages.
    currency : str
        Currency code of every amount in the gateway.
    timezone : str
        IANA name; dates in plans are days of this zone.
    language : {"en", "ru"}
        Language of messages and pages.
    gateway : str
        Folder of the gateway's files, relative to the workbench.
    maps : str
        Folder of the maps of source files, relative to the workbench.
    note : str
        What every page says about the data, such as where they come from.
    other_bases : mapping
        Further customer bases by name, opened with ``--gateway NAME``.
    threads : int
        Threads of the query engine.
    is_demonstration : bool
        Whether ``crm-lab demo`` may erase and fill this workbench.
    """

    company: str = "Our company"
    currency: CurrencyCode = "RUB"
    timezone: TimezoneName = "UTC"
    language: Language = "en"
    gateway: str = "data/gateway"
    maps: str = "maps"
    note: str = ""
    other_bases: Mapping[str, OtherBase] = Field(default_factory=dict)
    is_demonstration: bool = False
    threads: int = Field(default=2, ge=1, le=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one workbench with its folders resolved.

    Attributes
    ----------
    folder : pathlib.Path
        The workbench folder.
    declared : SettingsFile
        What the settings file says, defaults filled in.
    gateway_folder : pathlib.Path
        Where the gateway keeps its files.
    """

    folder: Path
    declared: SettingsFile
    gateway_folder: Path

    @property
    def company(self) -> str:
        """Name shown on pages."""
        return self.declared.company

    @property
    def currency(self) -> str:
        """Currency code of every amount."""
        return self.declared.currency

    @property
    def timezone(self) -> str:
        """IANA name of the zone whose days the plans mean."""
        return self.declared.timezone

    @property
    def experiments_folder(self) -> Path:
        """Where experiment files lie."""
        return self.folder / "experiments"

    @property
    def maps_folder(self) -> Path:
        """Where the maps of source files lie."""
        return self.folder / self.declared.maps

    @property
    def lists_folder(self) -> Path:
        """Where send lists are written."""
        return self.folder / "lists"

    @property
    def reports_folder(self) -> Path:
        """Where published pages are written."""
        return self.folder / "reports"

    @property
    def notebooks_folder(self) -> Path:
        """Where the report notebooks lie."""
        return self.folder / "notebooks"


def load_settings(folder: Path | str | None = None, *, gateway: str | None = None) -> Settings:
    """Read the settings of a workbench folder.

    Parameters
    ----------
    folder : path, optional
        The workbench folder. By default the environment variable ``CRM_LAB_HOME``, else the
        nearest folder upward from the current one that holds ``crm-lab.yml``.
    gateway : str, optional
        Another base than the declared one: a name of ``other_bases``, or a gateway folder
        relative to the workbench.

    Raises
    ------
    SettingsError
        No workbench there, or its settings file is wrong.
    """
    root = _find(folder)
    path = root / SETTINGS_FILE
    declared = validate(
        SettingsFile, read_yaml(path, error=SettingsError), path=path, error=SettingsError
    )
    other = declared.other_bases.get(gateway or "")
    if other is not None:
        changed = other.model_dump(include={"gateway", "note"})
        changed |= other.model_dump(include={"company", "currency"}, exclude_none=True)
        declared, gateway = declared.model_copy(update=changed), None
    return Settings(
        folder=root, declared=declared, gateway_folder=(root / (gateway or declared.gateway))
    )


def _find(folder: Path | str | None) -> Path:
    given = folder or os.environ.get("CRM_LAB_HOME")
    if given is not None:
        root = Path(given).resolve()
        if not (root / SETTINGS_FILE).is_file():
            raise SettingsError(
                say("{folder} holds no {file}", folder=root, file=SETTINGS_FILE),
                expected=say("a workbench folder"),
                remedy=say("make one with: crm-lab init {folder}", folder=given),
            )
        return root
    start = Path.cwd().resolve()
    for candidate in (start, *start.parents):
        if (candidate / SETTINGS_FILE).is_file():
            return candidate
    raise SettingsError(
        say("no {file} in {folder} or above it", file=SETTINGS_FILE, folder=start),
        expected=say("a workbench folder"),
        remedy=say("make one with: crm-lab init my-shop, then work inside it"),
    )
