"""Who the customers are: the base as a whole, what it holds and what it can carry."""

from crm_lab.customers.overview import BaseOverview, Readiness, describe_base

__all__ = ["BaseOverview", "Readiness", "describe_base"]
