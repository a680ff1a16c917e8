"""The synthetic shop and its workbench at every stage of a campaign."""

from __future__ import annotations

from tests.experiments.shop_workbench import fixtures

globals().update(fixtures())
