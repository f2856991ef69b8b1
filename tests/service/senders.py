"""How HubSpot, a Standard Webhooks library and Odoo send, written down without our code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

PUBLIC_URL = "https://score.example.com"
CLIENT_SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
HOOK_KEY = b"0123456789abcdef0123456789abcdef"
TOKEN = "odoo-token-0123456789-0123456789-0123456789"
HUBSPOT = "/v1/hooks/hubspot"
GENERIC = "/v1/hooks/generic"
ODOO = f"/v1/hooks/odoo/{TOKEN}"

# No push goes out, and nothing is asked: the CRMs of the tests are nowhere.
HOOKS_FILE = f"""
public_url = "{PUBLIC_URL}"
hook_secret = "whsec_{base64.b64encode(HOOK_KEY).decode()}"
[crm.hubspot]
kind = "hubspot"
url = "http://127.0.0.1:9"
token = "pat-0123456789-0123456789"
hook_secret = "{CLIENT_SECRET}"
push_every = 0
[crm.odoo]
kind = "odoo"
url = "http://127.0.0.1:9"
token = "0123456789-0123456789"
hook_token_sha256 = "{hashlib.sha256(TOKEN.encode()).hexdigest()}"
push_every = 0
"""


def as_bytes(content: object) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def hubspot_v3(
    body: bytes, *, path: str = HUBSPOT, shift_ms: int = 0, secret: str = CLIENT_SECRET, url: str = PUBLIC_URL
):
    """Headers of version 3: base64 of HMAC-SHA256(secret, method + address + body + milliseconds)."""
    sent = str(int(time.time() * 1000) + shift_ms)
    source = f"POST{url}{path}".encode() + body + sent.encode()
    signature = base64.b64encode(hmac.new(secret.encode(), source, hashlib.sha256).digest()).decode()
    return {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": sent}


def hubspot_v2(
    body: bytes, *, path: str = HUBSPOT, secret: str = CLIENT_SECRET, url: str = PUBLIC_URL
) -> dict[str, str]:
    """Headers of version 2: hex of SHA-256(secret + method + address + body)."""
    signature = hashlib.sha256(f"{secret}POST{url}{path}".encode() + body).hexdigest()
    return {"X-HubSpot-Signature": signature, "X-HubSpot-Signature-Version": "v2"}


def standard(body: bytes, message_id: str = "msg_1", *, shift: int = 0, key: bytes = HOOK_KEY) -> dict[str, str]:
    """Headers of Standard Webhooks: base64 of HMAC-SHA256(key, id.seconds.body)."""
    sent = str(int(time.time()) + shift)
    digest = hmac.new(key, f"{message_id}.{sent}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": message_id, "webhook-timestamp": sent, "webhook-signature": signature}


def event(**changes: Any) -> dict[str, Any]:
    """One event of a subscription."""
    return {
        "eventId": 3_816_279_480,
        "subscriptionId": 22,
        "portalId": 33,
        "appId": 1_160_452,
        "occurredAt": int(time.time() * 1000) - 5_000,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": 123,
        "propertyName": "company_size",
        "propertyValue": "51-200",
        "changeSource": "CRM",
    } | changes
