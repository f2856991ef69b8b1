"""``[crm.NAME]``: the CRMs that are told scores, and that leads are pulled from."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from crm.config_pull import PULL_FIELDS, PULL_STAGES, check_pull_fields
from crm.config_values import Flag, Real, Section, Whole

__all__ = ["CRM_SECRETS", "FIELDS", "CrmConfig", "CrmName", "ScoreField"]

CrmName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]

CRM_SECRETS = ("url", "token", "client_id", "client_secret", "user", "hook_secret")
"""Keys in which environment variables are put; what they held is masked in errors and logs."""

ScoreField = Literal[
    "score",
    "scored_at",
    "grade",
    "is_mql",
    "decision",
    "reasons",
    "p_sql",
    "p_won",
    "expected_value",
    "percentile",
    "model_version",
    "line_version",
]
"""What a CRM can be told of a lead."""

StageName = Literal["mql", "accepted", "sql", "opportunity", "closed_won", "closed_lost", "disqualified", "recycled"]

_BARE = ("score", "scored_at", "grade", "is_mql", "decision", "reasons")

FIELDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "hubspot": {name: "ml_lead_" + {"scored_at": "score_at"}.get(name, name) for name in _BARE},
        "salesforce": {
            "score": "ML_Score__c",
            "scored_at": "ML_Score_At__c",
            "grade": "ML_Grade__c",
            "is_mql": "ML_Is_MQL__c",
            "decision": "ML_Decision__c",
            "reasons": "ML_Reasons__c",
        },
        "odoo": {name: f"x_kizashi_{name}" for name in _BARE},
        "tryton": {"p_won": "conversion_probability"},
    }
)
"""Fields of each CRM that are written unless ``[crm.NAME.fields]`` says otherwise. ``hubspot.score`` is a property of
its own, never the CRM's own score; Tryton has a field for a probability, and ours belongs there."""

_HUBSPOT = "https://api.hubapi.com"
_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "hubspot": ("token",),
        "salesforce": ("url", "client_id", "client_secret"),
        "odoo": ("url", "token"),
        "tryton": ("url", "token", "database"),
    }
)
_NEVER: Mapping[str, tuple[str, ...]] = MappingProxyType({"odoo": ("probability", "automated_probability")})


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


FieldName = Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z0-9_]{0,99})?$")]
Pattern = Annotated[str, AfterValidator(_check_pattern)]


class CrmConfig(Section):
    """``[crm.NAME]``: one CRM, under a name of your choice. Only the fields named here are ever written.

    Attributes
    ----------
    kind
        Which API it speaks.
    url
        Its address, without a path. HubSpot has one for everybody.
    token
        Service key (HubSpot), API key (Odoo) or application key (Tryton).
    client_id, client_secret
        Of Salesforce's external client app with the client-credentials flow.
    user
        Of Odoo, where ``protocol`` is ``jsonrpc``.
    database
        Of Tryton and Odoo; Odoo's JSON-2 needs it only where one server has several.
    protocol
        How Odoo is spoken to: ``json2`` from 19 on, ``jsonrpc`` for 18 and before.
    object
        Kind of record that leads are: ``contacts`` (HubSpot), ``crm.lead`` (Odoo), ``sale.opportunity`` (Tryton).
        Salesforce tells by the id: 00Q is a Lead, 003 a Contact.
    fields
        What is written into which field of the record; an empty text leaves one out. The keys: ``score``,
        ``scored_at``, ``grade``, ``is_mql``, ``decision``, ``reasons``, ``p_sql``, ``p_won``, ``expected_value``,
        ``percentile``, ``model_version``, ``line_version``. By default the first six, as ``ml_lead_score`` and so on
        (HubSpot), ``ML_Score__c`` (Salesforce) or ``x_kizashi_score`` (Odoo); Tryton is told ``p_won`` as
        ``conversion_probability``.
    lead_ids
        A regular expression: only leads whose id it is found in are told. For leads that come from several CRMs.
    change_threshold
        A score that moved by fewer points is not sent, unless grade, MQL or decision changed.
    batch
        Most leads in one call; by default, and at most, what the CRM takes.
    write_back
        Whether this CRM is told scores at all. Not possible where ``hash_ids = true``: a hash names no record.
    push_every
        Seconds between two looks of the service for scores to send; 0 leaves it to ``kizashi push``.
    allow_http
        Send the key to another machine without TLS, over a network that nobody else listens to.
    pull
        Whether ``kizashi pull`` reads this CRM.
    pull_fields
        Which attribute a field of the CRM becomes; with it, no other field is taken over. Without it ``hook_fields``
        counts, and without either a short list of fields that say nothing about who somebody is: industry, job title,
        country, size and turnover of the company, source (Odoo: also medium and language; Tryton: amount and payment
        term). A field that says who somebody is, or that scores are written into, is refused.
    pull_stages
        Which stage a value of the CRM's own field for a lead's state means, over the defaults; an empty text is none.
        The field is ``lifecyclestage`` and ``hs_lead_status`` (HubSpot), ``Status`` (Salesforce), the name of the
        stage (Odoo), ``state`` (Tryton).
    hook_secret
        Client secret of the HubSpot app whose webhooks are taken.
    hook_token_sha256
        SHA-256, in hex, of the token that ends the address which a CRM that cannot sign (Odoo) posts to.
    hook_fields
        Which attribute a property of the CRM is: with it, no other property is kept of a webhook. Without it, all are,
        by their own names, but for those that say who somebody is.
    """

    kind: Literal["hubspot", "salesforce", "odoo", "tryton"]
    url: str | None = None
    token: str | None = Field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = Field(default=None, repr=False)
    user: str | None = None
    database: str | None = None
    protocol: Literal["json2", "jsonrpc"] = "json2"
    object: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")] | None = None
    fields: Mapping[ScoreField, FieldName] = Field(default_factory=dict)
    lead_ids: Pattern | None = None
    change_threshold: Annotated[Real, Field(ge=0, le=100)] = 1.0
    batch: Annotated[Whole, Field(ge=1, le=10_000)] | None = None
    write_back: Flag = True
    push_every: Annotated[Real, Field(ge=0, le=86_400)] = 10.0
    allow_http: Flag = False
    pull: Flag = True
    pull_fields: Mapping[str, FieldName] = Field(default_factory=dict)
    pull_stages: Mapping[str, StageName | Literal[""]] = Field(default_factory=dict)
    hook_secret: Annotated[str, Field(min_length=16)] | None = Field(default=None, repr=False)
    hook_token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    hook_fields: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_called(self) -> CrmConfig:
        needed = (*_NEEDED[self.kind], *(("user", "database") if self.protocol == "jsonrpc" else ()))
        missing = [key for key in needed if not getattr(self, key)]
        if missing:
            raise ValueError(f"{missing[0]}: {self.kind} needs this key")
        self._check_address()
        self._check_fields()
        return self

    def _check_address(self) -> None:
        address = urlsplit(self.address)
        if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc:
            raise ValueError("url: expected https:// and a host, without user or password")
        if address.query or address.fragment or address.path not in ("", "/"):
            raise ValueError("url: expected an address without a path")
        if address.scheme == "http" and not (self.allow_http or _is_this_machine(address.hostname)):
            raise ValueError("url: the key would travel in the clear; expected https://, or allow_http = true")

    def _check_fields(self) -> None:
        for name in self.written.values():
            if name in _NEVER.get(self.kind, ()):
                raise ValueError(
                    f"fields: writing {name} switches {self.kind}'s own scoring off; name a field of its own"
                )
        if len(set(self.written.values())) < len(self.written):
            raise ValueError("fields: two values would go into one field")
        check_pull_fields(self.pull_fields, frozenset(self.written.values()))

    @property
    def address(self) -> str:
        """Where its API answers, without a slash at the end."""
        return (self.url or (_HUBSPOT if self.kind == "hubspot" else "")).rstrip("/")

    @property
    def written(self) -> Mapping[str, str]:
        """What is written into which field: the defaults of its kind, with ``fields`` over them."""
        named = {**FIELDS[self.kind], **self.fields}
        return {what: field for what, field in named.items() if field}

    @property
    def pulled(self) -> Mapping[str, str]:
        """Which fields are taken over, and as which attributes; never those that scores are written into."""
        named = self.pull_fields or self.hook_fields or PULL_FIELDS[self.kind]
        own = frozenset(self.written.values())
        return {field: attribute for field, attribute in named.items() if attribute and field not in own}

    @property
    def stages(self) -> Mapping[str, str]:
        """Which stage a value of the CRM's own state means: the defaults, with ``pull_stages`` over them."""
        named = {**PULL_STAGES[self.kind], **self.pull_stages}
        return {value: stage for value, stage in named.items() if stage}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen in a message."""
        return tuple(secret for secret in (self.token, self.client_secret, self.hook_secret) if secret)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
