"""The standing control group of a workbench."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from crm_lab.errors import LedgerError
from crm_lab.experiments import control_group
from crm_lab.experiments.audit import ContaminationAudit, audit
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.experiments.control_group_status import ControlGroupStatus
from crm_lab.experiments.epochs import Epoch, epochs, required_epoch
from crm_lab.experiments.outlook import HoldoutOutlook, outlook
from crm_lab.experiments.rotation import (
    Independence,
    RotationAdvice,
    independence,
    rotation_advice,
)
from crm_lab.gateway import operations
from crm_lab.handles.context import Context, Handle, now
from crm_lab.language import say, say_many


class ControlGroup(Handle):
    """The standing control group of a workbench.

    Parameters
    ----------
    workbench : Context
        Where it stands.
    spec : ControlGroupSpec
        Its rule.
    """

    def __init__(self, workbench: Context, spec: ControlGroupSpec) -> None:
        self._workbench = workbench
        self.spec = spec

    def epoch(self) -> Epoch:
        """Give the open epoch as the ledger holds it.

        Raises
        ------
        LedgerError
            The group was never drawn.
        """
        return required_epoch(self._workbench.gateway, self.spec.name)

    def outlook(
        self,
        *,
        share: float | None = None,
        controls: int | None = None,
        as_of: datetime | None = None,
    ) -> HoldoutOutlook:
        """Say what the group would see and hold back, before it is drawn, or with its controls."""
        moment = as_of or now()
        with self._workbench.gateway.reader() as reader:
            last = reader.one(operations.imported_until())["last_order_at"]
        return outlook(
            self._workbench.gateway,
            share=share or self.spec.share,
            controls=controls,
            channel=self.spec.channel,
            as_of=moment,
            last_order_at=last if isinstance(last, datetime) else moment,
        )

    def draw(self, *, as_of: datetime | None = None, new_epoch: bool = False) -> ControlGroupStatus:
        """Draw the group, let newcomers join the one that stands, or draw it anew."""
        return control_group.draw(
            self._workbench.gateway, self.spec, as_of=as_of or now(), new_epoch=new_epoch
        )

    def upload(
        self, ids: pd.Series[str], *, as_of: datetime | None = None, new_epoch: bool = False
    ) -> ControlGroupStatus:
        """Take a list of controls that somebody else has drawn, as an epoch of its own."""
        return control_group.draw(
            self._workbench.gateway,
            self.spec,
            as_of=as_of or now(),
            new_epoch=new_epoch,
            uploaded=ids,
        )

    def verify(self) -> list[str]:
        """Check ledger, files and every hash draw; give what is wrong, in words."""
        return control_group.verify(self._workbench.gateway)

    def epochs(self) -> list[Epoch]:
        """Give every epoch of the group, closed ones included."""
        return epochs(self._workbench.gateway, self.spec.name)

    def audit(
        self, *, starts_at: datetime | None = None, ends_at: datetime | None = None
    ) -> ContaminationAudit:
        """Say which controls were touched, when and by what; by default since the draw."""
        epoch = self.epoch()
        return audit(
            self._workbench.gateway,
            epoch.scope,
            starts_at=starts_at or epoch.opened_at,
            ends_at=ends_at or now(),
            exempt_classes=epoch.exempt_classes,
        )

    def rotation(
        self, *, as_of: datetime | None = None, assumed_lift: float = 0.05
    ) -> RotationAdvice:
        """Say whether to draw the group anew, and what holding it costs."""
        return rotation_advice(
            self._workbench.gateway,
            self.epoch(),
            as_of=as_of or now(),
            assumed_lift=assumed_lift,
        )

    def independence(self) -> Independence:
        """Compare the last two epochs of the group.

        Raises
        ------
        LedgerError
            There are not two of them.
        """
        known = self.epochs()
        if len(known) < 2:
            raise LedgerError(
                say_many(
                    "'{name}' has {count} epoch",
                    "'{name}' has {count} epochs",
                    len(known),
                    name=self.spec.name,
                ),
                expected=say("two"),
            )
        return independence(self._workbench.gateway, known[-2], known[-1])

    def status(self, *, as_of: datetime | None = None) -> ControlGroupStatus:
        """Describe the group as it stands."""
        return control_group.status(self._workbench.gateway, self.spec.name, as_of=as_of or now())
