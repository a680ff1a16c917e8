"""The synthetic shop and its workbench, for requests of real reports."""

from __future__ import annotations

from tests.experiments.shop_workbench import fixtures

globals().update(fixtures())
