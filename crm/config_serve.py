"""The section ``[serve]`` of the workspace file: limits of the HTTP service, and who may call it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from crm.config_values import Real, Section, Whole

__all__ = ["SERVE_SECRETS", "BotsConfig", "JwtConfig", "ServeConfig"]

SERVE_SECRETS = ("state_url", "public_url", "hook_secret")
"""Keys of ``[serve]`` in which environment variables are put."""
_WEBHOOK_KEY = r"^whsec_([A-Za-z0-9+/]{4}){8,}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
"""At least 24 bytes in base64, as Standard Webhooks asks for."""
JwtAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"
]
"""Signatures with a public key; one with a shared key would let whoever reads the public keys sign."""


def _check_place_of_keys(text: str) -> str:
    if not text.strip() or ("://" in text and not text.startswith("https://")):
        raise ValueError("expected an https address, or a file of the workspace")
    return text


class JwtConfig(Section):
    """``[serve.jwt]``: whose access tokens are accepted beside API keys (OAuth client credentials).

    Attributes
    ----------
    issuer
        Who signs them: the claim ``iss``, to the letter.
    audience
        What the service is called there: one of the claim ``aud``.
    jwks
        The issuer's public keys: an https address, or a file in the workspace.
    algorithms
        Signatures that are accepted. Only those whose keys may be public are to be had.
    scope_claim
        The claim with the scopes, a text or a list: ``scope``, ``scp``, ``roles``. Its words are the scopes of API
        keys; others are passed over.
    """

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)]
    jwks: Annotated[str, AfterValidator(_check_place_of_keys)]
    algorithms: Annotated[tuple[JwtAlgorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    scope_claim: Annotated[str, Field(min_length=1)] = "scope"


class BotsConfig(Section):
    """``[serve.bots]``: which posted clicks no person made.

    Attributes
    ----------
    links
        So many links of a lead, opened within ``seconds`` of one another, are the work of a program.
    seconds
        Width of such a burst to either side.
    upon_sending_seconds
        A click or an opening sooner than this after its mail was sent (touches of kind email_sent or email_delivered).
    """

    links: Annotated[Whole, Field(ge=2, le=100)] = 4
    seconds: Annotated[Real, Field(ge=0, le=600)] = 5.0
    upon_sending_seconds: Annotated[Real, Field(ge=0, le=600)] = 2.0


class ServeConfig(Section):
    """``[serve]``: limits of the HTTP service, and where it keeps what it is told.

    Attributes
    ----------
    port
        Port that it listens on.
    max_body_bytes
        Largest body of a request.
    max_batch
        Most leads in one request.
    state_url
        A PostgreSQL database that keeps the state; by default the file ``.kizashi/state.db``.
    durability
        ``process``: what was acknowledged survives the end of the process, however it ends; a loss of power may take
        the newest transactions of a state that is a file. ``power``: not even that, at the price of a wait for the disk
        at every commit.
    public_url
        How callers reach the service from outside, without a path: signatures of webhooks cover it.
    hook_secret
        Secret of Standard Webhooks (``whsec_...``) that senders to ``/v1/hooks/generic`` sign with.
    rescore_at
        Local time at which all leads at risk are scored anew; none for never.
    rate_per_minute
        Most requests of one key in any 60 seconds; the probes are not counted.
    log
        ``text``, or ``json`` for one JSON object a line.
    jwt
        Whose access tokens are accepted beside API keys.
    bots
        Which posted clicks no person made.
    """

    port: Annotated[Whole, Field(ge=1, le=65535)] = 3000
    max_body_bytes: Annotated[Whole, Field(ge=1_000, le=100_000_000)] = 4_000_000
    max_batch: Annotated[Whole, Field(ge=1, le=1_000)] = 1_000
    state_url: Annotated[str, Field(pattern=r"^postgres(ql)?://")] | None = None
    durability: Literal["process", "power"] = "process"
    public_url: Annotated[str, Field(pattern=r"^https?://[^/?#]+$")] | None = None
    hook_secret: Annotated[str, Field(pattern=_WEBHOOK_KEY)] | None = Field(default=None, repr=False)
    bots: BotsConfig = BotsConfig()
    rescore_at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = "03:00"
    rate_per_minute: Annotated[Whole, Field(ge=1, le=10_000_000)] = 6_000
    log: Literal["text", "json"] = "text"
    jwt: JwtConfig | None = None
