"""Contact clusters: customers who share an address or a household share an arm.

A message to one of them reaches the others, so an arm that splits them measures nothing. A cluster
is a connected component of customers and what they share; its unit id is the smallest customer id
in it, and a customer who shares nothing is a unit alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def contact_clusters(shared: pd.DataFrame) -> pd.DataFrame:
    """Find who hangs together through what they share.

    Parameters
    ----------
    shared : pandas.DataFrame
        Columns contact (what is shared) and customer_id, one row per pair; as the gateway's
        operation ``shared_contacts`` gives it.

    Returns
    -------
    pandas.DataFrame
        Columns customer_id and unit_id, one row per customer of a cluster of two or more, in the
        order of customer_id.

    Examples
    --------
    >>> shared = pd.DataFrame({"contact": ["a", "a", "b", "b"],
    ...                        "customer_id": ["7", "3", "7", "9"]})
    >>> contact_clusters(shared).to_dict("list")
    {'customer_id': ['3', '7', '9'], 'unit_id': ['3', '3', '3']}
    """
    if shared.empty:
        return pd.DataFrame({"customer_id": pd.Series(dtype=str), "unit_id": pd.Series(dtype=str)})
    customer_codes, customers = pd.factorize(shared["customer_id"], sort=True)
    contact_codes, contacts = pd.factorize(shared["contact"])
    size = len(customers) + len(contacts)
    links = coo_array(
        (
            np.ones(len(shared), dtype=np.int8),
            (customer_codes, contact_codes + len(customers)),
        ),
        shape=(size, size),
    )
    _, component = connected_components(links, directed=False)
    frame = pd.DataFrame({"customer_id": customers, "component": component[: len(customers)]})
    grouped = frame.groupby("component")["customer_id"]
    frame["unit_id"] = grouped.transform("min")
    in_company = grouped.transform("size") > 1
    return frame.loc[in_company, ["customer_id", "unit_id"]].reset_index(drop=True)
