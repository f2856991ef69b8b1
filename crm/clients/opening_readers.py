"""The reader that a ``[crm.NAME]`` asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from crm.clients.hubspot_reading import HubSpotReader
from crm.clients.odoo_reading import OdooReader
from crm.clients.reading import CrmReader, ReadTerms
from crm.clients.salesforce_reading import SalesforceReader
from crm.clients.tryton_reading import TrytonReader
from crm.clients.waiting import Waiting

__all__ = ["open_reader"]

_READERS: Mapping[str, Callable[[ReadTerms, Waiting, tuple[str, ...]], CrmReader]] = {
    "hubspot": HubSpotReader,
    "odoo": OdooReader,
    "salesforce": SalesforceReader,
    "tryton": TrytonReader,
}


def open_reader(terms: ReadTerms, *, waiting: Waiting, secrets: tuple[str, ...] = ()) -> CrmReader:
    """Return the reader of a CRM; nothing is called yet.

    Parameters
    ----------
    terms
        Which CRM, and what of the workspace matters to it.
    waiting
        Clock and sleep.
    secrets
        Of the workspace, masked in messages beside the CRM's own.
    """
    return _READERS[terms.config.kind](terms, waiting, secrets)
