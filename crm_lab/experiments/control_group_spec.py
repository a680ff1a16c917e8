"""What a person writes about the control group: YAML, checked whole.

``experiments/control_group.yml``::

    name: global
    share: 0.05
    salt: "2017"
    channel: email
    stable: {weeks: 4, minimum: 0.0}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from crm_lab.errors import SpecError
from crm_lab.experiments.fields import Channel, Name, Number, Share, Whole, read_declared
from crm_lab.yaml_files import Declared, validate

CONTROL_GROUP_FILE = "control_group.yml"
Stratum = Literal["value_decile", "rfm", "region"]


class RerandomiseSpec(Declared):
    """Draw again until the groups are alike in what they did before.

    Attributes
    ----------
    limit : float
        Largest standardised difference that is accepted.
    tries : int
        How many salts may be tried; then the draw is refused.
    """

    limit: Number = Field(default=0.1, gt=0, le=1)
    tries: Whole = Field(default=200, ge=2, le=10_000)


class StableSpec(Declared):
    """When the gain that all contact together brings is called stable.

    Attributes
    ----------
    weeks : int
        How many weekly looks in a row must have the lower end of the cumulative interval above
        ``minimum``.
    minimum : float
        Gain in revenue per customer that the lower end must exceed, in the company's currency.
    """

    weeks: Whole = Field(default=4, ge=1, le=104)
    minimum: Number = Field(default=0.0, ge=0)


class ControlGroupSpec(Declared):
    """The standing group that receives no marketing.

    Attributes
    ----------
    name : str
        Name of the group; with a number it names the epoch.
    share : float
        Part of the eligible base, above 0 and below 1.
    salt : str
        Text that the hash is salted with.
    channel : str
        A customer is eligible who may be reached through it.
    unit : {"customer", "cluster"}
        What is drawn: single customers, or everybody who shares a contact, together.
    strata : tuple of str
        Groups within each of which the first draw holds the share to the unit: value_decile, rfm,
        region. For small bases.
    rerandomise : RerandomiseSpec, optional
        Try salts until the groups were alike before. For small bases.
    planned_horizon_days : int
        How long the group is meant to be held.
    exempt_classes : tuple of str
        Message classes that control customers do receive.
    stable : StableSpec
        When the gain of all contact together is called stable; fixed by the draw.
    """

    name: Name = "global"
    share: Annotated[Share, Field(lt=1)] = 0.05
    salt: str = Field(min_length=1)
    channel: Channel = "email"
    unit: Literal["customer", "cluster"] = "customer"
    strata: tuple[Stratum, ...] = ()
    rerandomise: RerandomiseSpec | None = None
    planned_horizon_days: Whole = Field(default=90, ge=1)
    exempt_classes: tuple[Literal["service_survey", "transactional", "legal"], ...] = (
        "transactional",
        "legal",
    )
    stable: StableSpec = StableSpec()


def load_control_group(folder: Path) -> ControlGroupSpec:
    """Read ``control_group.yml`` of the experiments folder.

    Raises
    ------
    SpecError
        The file is missing or wrong.
    """
    path = folder / CONTROL_GROUP_FILE
    return validate(ControlGroupSpec, read_declared(path), path=path, error=SpecError)
