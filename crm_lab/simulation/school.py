"""An invented online school with a known truth: forms, deals, refusals, returns, a campaign.

People register through forms of landings, by messenger or by e-mail. What happens then is drawn
with the chances of :mod:`.school_histories`, and nothing else adds to them: a registration
is won within its first week with exactly ``FORMS[form] * CHANNELS[channel]``, a customer lost for
a reason comes back with exactly ``REASONS[reason]``. What a finite school really shows differs
from that by chance, as in a company.

A reactivation campaign is added once its arms are drawn (:func:`with_campaign`): a customer of an
arm who would not have won a deal in its window wins one with the chance of that arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.simulation.school_histories import (
    ANSWERS,
    CHANNELS,
    CONTACTED,
    FORMS,
    LANDINGS,
    REASONS,
    UNSUBSCRIBES,
    draw_addresses,
    draw_amounts,
    draw_answers,
    draw_events,
    draw_histories,
    draw_orders,
    pick,
)

WELCOME, CAMPAIGN = "welcome", "reactivation"

TABLES = {
    "customers": "customer",
    "addresses": "contact_point",
    "consents": "consent_event",
    "landings": "landing",
    "forms": "form",
    "registrations": "form_submission",
    "reasons": "refusal_reason",
    "orders": "orders",
    "deals": "deal",
    "states": "lifecycle_history",
    "campaigns": "campaign",
    "sends": "send",
    "events": "delivery_event",
    "answers": "survey_response",
    "withdrawals": "consent_event",
}
"""File to its table, in import order; the columns of the files are those of the tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """One invented school, table by table; columns as in the Data Gateway.

    Attributes
    ----------
    customers, addresses, consents, landings, forms, registrations, reasons : pandas.DataFrame
        Who, how to reach them, and how they came.
    orders, deals, states : pandas.DataFrame
        What they bought, how deals went, life-cycle states.
    campaigns, sends, events, answers, withdrawals : pandas.DataFrame
        What was sent and what came back.
    """

    customers: pd.DataFrame
    addresses: pd.DataFrame
    consents: pd.DataFrame
    landings: pd.DataFrame
    forms: pd.DataFrame
    registrations: pd.DataFrame
    reasons: pd.DataFrame
    orders: pd.DataFrame
    deals: pd.DataFrame
    states: pd.DataFrame
    campaigns: pd.DataFrame
    sends: pd.DataFrame
    events: pd.DataFrame
    answers: pd.DataFrame
    withdrawals: pd.DataFrame

    def until(self, moment: datetime) -> School:
        """Give the school as it was known before a moment: later rows gone, later closings open."""
        begins = {
            "customers": "created_at",
            "registrations": "at",
            "consents": "at",
            "orders": "ordered_at",
            "deals": "opened_at",
            "states": "valid_from",
            "campaigns": "starts_at",
            "sends": "scheduled_at",
            "events": "at",
            "answers": "answered_at",
            "withdrawals": "at",
        }
        cut = {
            name: getattr(self, name)[getattr(self, name)[column] < moment]
            for name, column in begins.items()
        }
        known = set(cut["customers"]["customer_id"])
        addresses = self.addresses[self.addresses["customer_id"].isin(known)]
        deals = cut["deals"]
        is_later = deals["closed_at"] >= moment
        cut["deals"] = deals.assign(
            status=deals["status"].mask(is_later, "open"),
            closed_at=deals["closed_at"].mask(is_later),
            refusal_reason_code=deals["refusal_reason_code"].mask(is_later),
            order_id=deals["order_id"].mask(is_later),
        )
        return replace(self, addresses=addresses, **cut)

    def wins_in(self, starts_at: datetime, ends_at: datetime) -> set[str]:
        """Give the customers who win a deal from ``starts_at`` to before ``ends_at``."""
        won = self.deals[self.deals["status"] == "won"]
        inside = (won["closed_at"] >= starts_at) & (won["closed_at"] < ends_at)
        return set(won.loc[inside, "customer_id"])


def make_school(
    n_customers: int,
    *,
    rng: np.random.Generator,
    starts_at: datetime = datetime(2026, 1, 5),
    days: int = 240,
) -> School:
    """Make an invented school whose truth is known; for tests and demonstrations.

    Parameters
    ----------
    n_customers : int
        People who register, evenly over the days; at least 1.
    rng : numpy.random.Generator
        Source of chance; the same state gives the same school.
    starts_at : datetime
        First moment (UTC, without zone).
    days : int
        Length of the history; what would happen later is not known yet.

    Raises
    ------
    DesignError
        There is nobody or no day.

    Examples
    --------
    >>> school = make_school(200, rng=np.random.default_rng(1))
    >>> len(school.registrations), sorted(school.deals["status"].unique())
    (200, ['lost', 'open', 'won'])
    """
    if n_customers < 1 or days < 1:
        raise DesignError(
            say("{n_customers} people over {days} days", n_customers=n_customers, days=days),
            expected=say("at least one of each"),
        )
    ids = np.array([f"s{number:06d}" for number in range(1, n_customers + 1)], dtype=object)
    came = np.sort(rng.random(n_customers)) * days
    forms = pick(list(FORMS), [item[2] for item in FORMS.values()], n_customers, rng)
    channels = pick(list(CHANNELS), [item[0] for item in CHANNELS.values()], n_customers, rng)
    deals, states = draw_histories(ids, came, forms, channels, rng)
    deals = deals.sort_values(["opened", "customer_id"]).reset_index(drop=True)
    deals["deal_id"] = [f"d{number:06d}" for number in range(1, len(deals) + 1)]
    orders = draw_orders(deals, rng)
    contacted = rng.random(n_customers) < CONTACTED
    sends = pd.DataFrame(
        {
            "send_id": "w-" + ids[contacted],
            "campaign_id": WELCOME,
            "customer_id": ids[contacted],
            "channel": channels[contacted],
            "message_class": "transactional",
            "variant": None,
            "scheduled": came[contacted] + rng.random(int(contacted.sum())) / 24,
        }
    )

    def at(day: object) -> pd.Series[pd.Timestamp]:
        seconds = (pd.Series(day, dtype=float) * 86_400).round()
        return pd.Timestamp(starts_at) + pd.to_timedelta(seconds, unit="s")

    came_at = at(came)
    buyers = orders.drop_duplicates("customer_id")
    answering = buyers[rng.random(len(buyers)) < ANSWERS]
    school = School(
        customers=pd.DataFrame({"customer_id": ids, "created_at": came_at}),
        addresses=draw_addresses(ids, channels, rng),
        consents=pd.DataFrame(
            {
                "consent_event_id": "yes-" + ids,
                "customer_id": ids,
                "purpose": "advertising",
                "action": "granted",
                "at": came_at,
            }
        )[rng.random(n_customers) < 0.95],
        landings=pd.DataFrame({"landing_id": list(LANDINGS), "name": list(LANDINGS.values())}),
        forms=pd.DataFrame(
            [
                {"form_id": form, "name": name, "landing_id": landing}
                for form, (name, landing, _, _) in FORMS.items()
            ]
        ),
        registrations=pd.DataFrame(
            {
                "submission_id": "r-" + ids,
                "form_id": forms,
                "customer_id": ids,
                "at": came_at,
                "channel": channels,
            }
        ),
        reasons=pd.DataFrame(
            [
                {
                    "refusal_reason_code": code,
                    "name": name,
                    "recoverable": "yes" if recoverable else "no",
                    "default_scenario": scenario,
                }
                for code, (name, recoverable, scenario, _, _) in REASONS.items()
            ]
        ),
        orders=_money(orders.assign(ordered_at=at(orders["day"])), "net_revenue").drop(
            columns="day"
        ),
        deals=_money(
            deals.assign(opened_at=at(deals["opened"]), closed_at=at(deals["closed"])),
            "amount_expected",
        ).drop(columns=["opened", "closed"]),
        states=states.assign(valid_from=at(states["day"])).drop(columns="day"),
        campaigns=pd.DataFrame(
            {
                "campaign_id": [WELCOME],
                "name": ["Welcome message"],
                "message_class": ["transactional"],
                "starts_at": [pd.Timestamp(starts_at)],
                "is_randomised": ["no"],
            }
        ),
        sends=sends.assign(scheduled_at=at(sends["scheduled"])).drop(columns="scheduled"),
        events=draw_events(sends.assign(scheduled_at=at(sends["scheduled"])), rng),
        answers=draw_answers(
            answering["customer_id"], at(answering["day"] + 3), rng, prefix="after-order"
        ),
        withdrawals=pd.DataFrame(
            columns=["consent_event_id", "customer_id", "purpose", "action", "at"]
        ).astype({"at": "datetime64[ns]"}),
    )
    return school.until(starts_at + timedelta(days=days))


def with_campaign(
    school: School,
    arms: Mapping[str, str],
    *,
    effects: Mapping[str, float],
    channels: Mapping[str, str],
    starts_at: datetime,
    ends_at: datetime,
    rng: np.random.Generator,
    control: str = "control",
    campaign_id: str = CAMPAIGN,
) -> School:
    """Add a reactivation campaign whose arms were drawn, and what came of it.

    A customer of an arm who wins no deal in the window anyway wins one with the chance of that
    arm. So the true difference to the control group is that chance times the share of the arm
    that would have won nothing (see :meth:`School.wins_in`).

    Parameters
    ----------
    school : School
        The school to the end of the window at least.
    arms : mapping
        Customer to variant, the control group included.
    effects, channels : mapping
        Chance added, and channel, of each arm that is written to.
    starts_at, ends_at : datetime
        Window of the campaign (end excluded).
    rng : numpy.random.Generator
        Source of chance.
    control, campaign_id : str
        Name of the variant that gets nothing, and of the campaign.

    Raises
    ------
    DesignError
        An arm has no effect or no channel.
    """
    written = {name: arm for name, arm in arms.items() if arm != control}
    unknown = sorted(set(written.values()) - (set(effects) & set(channels)))
    if unknown:
        raise DesignError(
            say("arms without an effect or a channel: {unknown}", unknown=", ".join(unknown))
        )
    wins = school.wins_in(starts_at, ends_at)
    length = (ends_at - starts_at) / timedelta(days=1)
    everyone = np.array(sorted(arms), dtype=object)
    chance = np.array(
        [effects.get(arms[name], 0.0) if arms[name] != control else 0.0 for name in everyone]
    )
    wins_more = (rng.random(len(everyone)) < chance) & ~np.isin(everyone, list(wins))
    gained = everyone[wins_more]
    moment = pd.Timestamp(starts_at)
    back = moment + pd.to_timedelta(rng.random(len(gained)) * 0.4 * length, unit="D").round("s")
    won = back + pd.to_timedelta(rng.random(len(gained)) * 0.5 * length, unit="D").round("s")
    amounts = draw_amounts(len(gained), rng)
    extra_orders = pd.DataFrame(
        {
            "order_id": [f"o-{campaign_id}-{name}" for name in gained],
            "customer_id": gained,
            "ordered_at": won,
            "net_revenue": amounts,
        }
    )
    extra_deals = pd.DataFrame(
        {
            "deal_id": [f"d-{campaign_id}-{name}" for name in gained],
            "customer_id": gained,
            "opened_at": back,
            "closed_at": won,
            "status": "won",
            "is_repeat": "yes",
            "amount_expected": amounts,
            "refusal_reason_code": None,
            "order_id": extra_orders["order_id"],
        }
    )
    mailed = np.array(sorted(written), dtype=object)
    sends = pd.DataFrame(
        {
            "send_id": [f"{campaign_id}-{name}" for name in mailed],
            "campaign_id": campaign_id,
            "customer_id": mailed,
            "channel": [channels[written[name]] for name in mailed],
            "message_class": "marketing",
            "variant": [written[name] for name in mailed],
            "scheduled_at": moment + timedelta(hours=7),
        }
    )
    leaves = rng.random(len(everyone)) < [UNSUBSCRIBES[name in written] for name in everyone]
    answering = everyone[rng.random(len(everyone)) < ANSWERS / 2]
    answered = moment + pd.to_timedelta(rng.random(len(answering)) * length, unit="D").round("s")
    added = {
        "orders": extra_orders,
        "deals": extra_deals,
        "states": pd.DataFrame({"customer_id": gained, "valid_from": back, "state": "reactivated"}),
        "campaigns": pd.DataFrame(
            {
                "campaign_id": [campaign_id],
                "name": ["Reactivation"],
                "message_class": ["marketing"],
                "starts_at": [moment],
                "is_randomised": ["yes"],
            }
        ),
        "sends": sends,
        "events": draw_events(sends, rng),
        "answers": draw_answers(pd.Series(answering), pd.Series(answered), rng, prefix=campaign_id),
        "withdrawals": pd.DataFrame(
            {
                "consent_event_id": [f"no-{name}" for name in everyone[leaves]],
                "customer_id": everyone[leaves],
                "purpose": "advertising",
                "action": "withdrawn",
                "at": moment + timedelta(days=2),
            }
        ),
    }
    return replace(
        school,
        **{
            name: pd.concat([getattr(school, name), frame], ignore_index=True)
            if len(getattr(school, name))
            else frame
            for name, frame in added.items()
        },
    )


def write_school(school: School, folder: Path, *, name: str = "") -> list[tuple[Path, Path]]:
    """Write a school as a company would deliver it; give the pairs (map, file) in import order.

    Parameters
    ----------
    school : School
        What to write; a frame without rows gives no file.
    folder : pathlib.Path
        Gets ``maps/`` and ``incoming/``; the workbench's own folder, say.
    name : str
        Put behind each file's name, for a second delivery into the same folder.
    """
    maps, incoming = folder / "maps", folder / "incoming"
    for place in (maps, incoming):
        place.mkdir(parents=True, exist_ok=True)
    pairs = []
    for kind, table in TABLES.items():
        frame: pd.DataFrame = getattr(school, kind)
        if frame.empty:
            continue
        map_path, file = maps / f"school_{kind}.yml", incoming / f"school_{kind}{name}.csv"
        listed = "".join(f"  {column}: {column}\n" for column in frame.columns)
        map_path.write_text(
            f'table: {table}\nsource_system: school\nfiles: "school_{kind}*.csv"\n'
            f"columns:\n{listed}",
            "utf-8",
        )
        frame.to_csv(
            file,
            index=False,
            encoding="utf-8",
            lineterminator="\n",
            date_format="%Y-%m-%d %H:%M:%S",
        )
        pairs.append((map_path, file))
    return pairs


def _money(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].round(2)})
