"""The files of a new workbench folder: settings, control group, maps, an experiment, notebooks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from crm_lab.errors import SettingsError
from crm_lab.language import current_language, say
from crm_lab.settings import SETTINGS_FILE, Settings, load_settings

STARTER_SETTINGS = """\
# The settings of this workbench; every key has a default.
company: {company}
currency: RUB
timezone: Europe/Moscow
language: {language}
"""
STARTER_CONTROL_GROUP = """\
# The standing control group: these customers receive no marketing.
name: global
share: 0.05
salt: {salt}
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


STARTER_CUSTOMERS_MAP = """\
# Who the customers are.
table: customer
source_system: crm
files: "customers*.csv"
columns:
  customer_id: customer_id
  created_at: created_at
"""
STARTER_ADDRESSES_MAP = """\
# Under which addresses they can be reached. status: valid, bounced, blocked, ...
table: contact_point
source_system: crm
files: "addresses*.csv"
columns:
  contact_point_id: address_id
  customer_id: customer_id
  channel: {value: email}
  address: email
  status: {value: valid}
"""
STARTER_CONSENTS_MAP = """\
# Consents given and withdrawn; the last one of a customer counts.
table: consent_event
source_system: crm
files: "consents*.csv"
columns:
  consent_event_id: consent_id
  customer_id: customer_id
  purpose: {value: advertising}
  action: {from: action, values: {yes: granted, no: withdrawn, да: granted, нет: withdrawn}}
  at: at
"""
STARTER_EXPERIMENT = """\
# A first experiment; copy it, rename it, put in your own words and dates.
name: winter-sale
title: "Winter sale by e-mail"
hypothesis: "A personal discount brings buyers back sooner."
owner: CRM team
channel: email
starts_on: {starts_on}
ends_on: {ends_on}             # the last day counts
pre_period_days: 28
audience: {{bought_within_days: 365}}
arms:
  mail-a: {{share: 0.5, message: winter-a}}
  mail-b: {{share: 0.5, message: winter-b}}
metrics:
  primary: revenue_per_customer
  secondary: [conversion]
alpha: 0.05
power: 0.8
decision: {{rule: interval_above_zero}}
costs: {{per_message: 0.5}}
"""


def create_workbench(
    folder: Path, *, starts_on: date, notebooks: Mapping[str, str] | None = None
) -> Settings:
    """Make a new workbench folder with starter files; existing files are left as they are.

    Parameters
    ----------
    folder : pathlib.Path
        Where.
    starts_on : datetime.date
        Start of the example experiment.
    notebooks : mapping of str to str, optional
        Text of each notebook by file name.

    Raises
    ------
    SettingsError
        The folder is a workbench already.
    """
    if (folder / SETTINGS_FILE).exists():
        raise SettingsError(say("{folder} is a workbench already", folder=folder))
    name = json.dumps(folder.resolve().name, ensure_ascii=False)  # a text in quotes, as in YAML
    starters = {
        SETTINGS_FILE: STARTER_SETTINGS.format(company=name, language=current_language()),
        "experiments/control_group.yml": STARTER_CONTROL_GROUP.format(salt=name),
        "experiments/winter-sale.yml": STARTER_EXPERIMENT.format(
            starts_on=starts_on, ends_on=starts_on + timedelta(days=27)
        ),
        "maps/customers.yml": STARTER_CUSTOMERS_MAP,
        "maps/addresses.yml": STARTER_ADDRESSES_MAP,
        "maps/consents.yml": STARTER_CONSENTS_MAP,
        "maps/orders.yml": STARTER_ORDERS_MAP,
        "maps/deliveries.yml": DELIVERIES_MAP,
    }
    starters |= {f"notebooks/{name}": text for name, text in (notebooks or {}).items()}
    for name, text in starters.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text, "utf-8")
    return load_settings(folder)
