"""The files of a new workbench folder: settings, control group, two maps, notebooks."""

from __future__ import annotations

from pathlib import Path

from crm_lab.errors import SettingsError
from crm_lab.settings import SETTINGS_FILE, Settings, load_settings

STARTER_SETTINGS = """\
# The settings of this workbench; every key has a default.
company: {company}
currency: RUB
timezone: Europe/Moscow
"""
STARTER_CONTROL_GROUP = """\
# The standing control group: these customers receive no marketing.
name: global
share: 0.05
salt: "{salt}"
channel: email
"""
STARTER_ORDERS_MAP = """\
# How the till's order file is read. Write the names of your file's columns on the right.
table: orders
source_system: till
files: "orders*.csv"
encoding: utf-8          # cp1251 for an export of Russian Excel
delimiter: ","
decimal: "."
date_formats: ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y"]
timezone: Europe/Moscow
create_customers: true   # ids that are not known yet become customers
columns:
  order_id: order_id
  customer_id: customer_id
  ordered_at: ordered_at
  net_revenue: total
"""
DELIVERIES_MAP = """\
# What a sending service gives back: one row per thing that happened to a message.
table: delivery_event
source_system: esp
files: "deliveries*.csv"
columns:
  delivery_event_id: event_id
  send_id: send_id
  at: at
  type: type
"""


def create_workbench(folder: Path, *, notebooks: Path | None = None) -> Settings:
    """Make a new workbench folder with starter files; existing files are left as they are.

    Raises
    ------
    SettingsError
        The folder is a workbench already.
    """
    if (folder / SETTINGS_FILE).exists():
        raise SettingsError(f"{folder} is a workbench already")
    starters = {
        SETTINGS_FILE: STARTER_SETTINGS.format(company=folder.resolve().name),
        "experiments/control_group.yml": STARTER_CONTROL_GROUP.format(salt=folder.resolve().name),
        "maps/orders.yml": STARTER_ORDERS_MAP,
        "maps/deliveries.yml": DELIVERIES_MAP,
    }
    if notebooks is not None:
        starters |= {
            f"notebooks/{path.name}": path.read_text("utf-8")
            for path in sorted(notebooks.glob("*.ipynb"))
        }
    for name, text in starters.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text, "utf-8")
    return load_settings(folder)
