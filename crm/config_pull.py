"""What is read of a CRM's leads unless ``[crm.NAME]`` says otherwise: fields as attributes, values as stages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from crm.personal import personal_name_reason

__all__ = ["PULL_FIELDS", "PULL_STAGES", "check_pull_fields"]


def _same(*names: str) -> Mapping[str, str]:
    return MappingProxyType({name: name for name in names})


PULL_FIELDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "hubspot": _same("industry", "jobtitle", "country", "numemployees", "annualrevenue", "hs_analytics_source"),
        "salesforce": _same("Industry", "Title", "Country", "NumberOfEmployees", "AnnualRevenue"),
        "odoo": _same("source_id", "medium_id", "country_id", "lang_id", "function"),
        "tryton": _same("amount", "payment_term"),
    }
)
"""Fields of each CRM that become attributes under the same names. None of them says who somebody is."""

PULL_STAGES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "hubspot": MappingProxyType(
            {
                "marketingqualifiedlead": "mql",
                "salesqualifiedlead": "sql",
                "opportunity": "opportunity",
                "customer": "closed_won",
                "UNQUALIFIED": "disqualified",
            }
        ),
        "salesforce": MappingProxyType(
            {
                "Working - Contacted": "accepted",
                "Qualified": "sql",
                "Closed - Not Converted": "disqualified",
                "Unqualified": "disqualified",
            }
        ),
        "odoo": MappingProxyType({"Qualified": "sql", "Proposition": "opportunity"}),
        "tryton": MappingProxyType(
            {
                "opportunity": "opportunity",
                "converted": "opportunity",
                "won": "closed_won",
                "lost": "closed_lost",
                "cancelled": "disqualified",
            }
        ),
    }
)
"""Values of each CRM's own field for the state of a lead, and the stage that they stand for: ``lifecyclestage`` and
``hs_lead_status`` (HubSpot), ``Status`` (Salesforce), the stage's name (Odoo), ``state`` (Tryton). What is not named
here is no stage. Wins and losses that a CRM marks as such need no entry."""


def check_pull_fields(fields: Mapping[str, str], own: frozenset[str]) -> None:
    """Check the fields that are to be pulled.

    Parameters
    ----------
    fields
        Field of the CRM to attribute.
    own
        Fields that scores are written into: to learn from these would be to learn from ourselves.

    Raises
    ------
    ValueError
        When one says who somebody is, or is written by us.
    """
    for name, attribute in fields.items():
        reason = personal_name_reason(name) or personal_name_reason(attribute)
        if reason is not None:
            raise ValueError(f"pull_fields: {name} is not taken over: {reason}")
        if name in own:
            raise ValueError(f"pull_fields: {name} is a field that scores are written into; they do not learn from it")
