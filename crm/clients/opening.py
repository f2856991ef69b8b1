"""The client that a ``[crm.NAME]`` asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from crm.clients.hubspot import HubSpot
from crm.clients.odoo import Odoo
from crm.clients.outcomes import CrmClient
from crm.clients.salesforce import Salesforce
from crm.clients.tryton import Tryton
from crm.clients.waiting import Waiting
from crm.config_crm import CrmConfig

__all__ = ["open_client"]

_CLIENTS: Mapping[str, Callable[[str, CrmConfig, Waiting, tuple[str, ...]], CrmClient]] = {
    "hubspot": HubSpot,
    "salesforce": Salesforce,
    "odoo": Odoo,
    "tryton": Tryton,
}


def open_client(name: str, config: CrmConfig, *, waiting: Waiting, secrets: tuple[str, ...] = ()) -> CrmClient:
    """Return the client of a CRM; nothing is called yet.

    Parameters
    ----------
    name, config
        ``[crm.NAME]``.
    waiting
        Clock and sleep.
    secrets
        Of the workspace, masked in messages beside the CRM's own.
    """
    return _CLIENTS[config.kind](name, config, waiting, secrets)
