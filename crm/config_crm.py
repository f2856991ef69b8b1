"""``[crm.NAME]``: the CRMs that are told scores, and that leads are pulled from."""

from __future__ import annotations

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
    hook_secret: str | None = None
    change_threshold: Annotated[Real, Field(ge=0, le=100)] = 1.0
    batch: Annotated[Whole, Field(ge=1, le=10_000)] | None = None
