"""``[crm.NAME]``: the CRMs that are told scores, and that leads are pulled from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from crm.config_sections import Section
from crm.config_values import Real, Whole

__all__ = ["CRM_SECRETS", "CrmConfig", "CrmName"]

CrmName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]

CRM_SECRETS = ("url", "token", "client_id", "client_secret", "user", "hook_secret")
"""Keys in which environment variables are put; what they held is masked in errors and logs."""


class CrmConfig(Section):
    """One CRM.

    Attributes
    ----------
    kind
        Which API it speaks.
    url
        Its address, without a path where the CRM has one address for everybody.
    token
        Service key (HubSpot), API key (Odoo) or application key (Tryton).
    client_id, client_secret
        Of Salesforce's external client app.
    user, database
        Of Odoo and Tryton.
    hook_secret
        Client secret of the HubSpot app whose webhooks are taken; they are refused without.
    hook_token_sha256
        SHA-256, in hex, of the token in the address that a CRM which cannot sign posts to.
    hook_fields
        Which attribute a property of the CRM is: with it, no other property is kept of a webhook. Without it, all are,
        by their own names, but for those that say who somebody is.
    change_threshold
        A score that moved by fewer points is not sent, unless grade, MQL or decision changed.
    batch
        Most leads in one call; by default, and at most, what the CRM takes.
    """

    kind: Literal["hubspot", "salesforce", "odoo", "tryton"]
    url: str | None = None
    token: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    user: str | None = None
    database: str | None = None
    hook_secret: Annotated[str, Field(min_length=16)] | None = None
    hook_token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    hook_fields: Mapping[str, str] = Field(default_factory=dict)
    change_threshold: Annotated[Real, Field(ge=0, le=100)] = 1.0
    batch: Annotated[Whole, Field(ge=1, le=10_000)] | None = None
