from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from standardwebhooks import Webhook

import authloop_handoff as a

from .conftest import Connect
from .fake import CREATED, Host, error, ok, outcome, session

STATE = {"cookies": [{"name": "sid", "value": "canary"}], "origins": []}
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Sealing(Host):
    """Seals the state to the key that came with the creation, for the given session."""

    def __init__(self, session_id: str = "hs_1") -> None:
        self.session_id = session_id
        super().__init__(ok(CREATED), self._seal, error(410, "already_read"))

    def _seal(self, _: httpx.Request) -> httpx.Response:
        asked = self.body()["storage_state"]["recipient"]
        point = base64.urlsafe_b64decode(asked + "==")
        assert len(point) == 65 and point[0] == 4 and not asked.endswith("=")
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        info = f"authloop storage-state v1 {self.session_id}"
        suite = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        sealed = suite.encrypt(json.dumps(STATE).encode(), key, info=info.encode())
        return ok({"enc": b64u(sealed[:65]), "ciphertext": b64u(sealed[65:]), "info": info})


async def test_opens_the_storage_state_once(connect: Connect) -> None:
    host = Sealing()
    handoff = await connect(host).handoffs.create(cdp_url="c", service="S", storage_state=["https://bank.example"])

    state = await handoff.storage_state()

    assert state == STATE
    assert host.body()["storage_state"]["origins"] == ["https://bank.example"]
    assert host.requests[1].url.path == "/session/hs_1/storage-state"
    with pytest.raises(a.AlreadyReadError):
        await handoff.storage_state()


async def test_another_sessions_state_does_not_open(connect: Connect) -> None:
    host = Sealing("hs_2")
    handoff = await connect(host).handoffs.create(cdp_url="c", service="S", storage_state=True)

    with pytest.raises(a.StorageStateError):
        await handoff.storage_state()


async def test_a_state_that_was_not_asked_for(connect: Connect) -> None:
    host = Host(ok(CREATED))
    handoff = await connect(host).handoffs.create(cdp_url="c", service="S", storage_state=False)

    with pytest.raises(a.StorageStateError, match="storage_state=True"):
        await handoff.storage_state()

    assert "storage_state" not in host.body()


async def test_each_handoff_has_its_own_key(connect: Connect) -> None:
    host = Host(ok(CREATED), ok(CREATED))
    client = connect(host)

    await client.handoffs.create(cdp_url="c", service="S", storage_state=True)
    await client.handoffs.create(cdp_url="c", service="S", storage_state=True)

    assert host.body(0)["storage_state"] != host.body(1)["storage_state"]


def webhook(at: datetime, body: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    text = json.dumps(body)
    signature = Webhook(SECRET).sign("msg_1", at, text)
    headers = {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(int(at.timestamp())), "Webhook-Signature": signature}
    return headers, text.encode()


NOW = datetime.now(timezone.utc)
BODY = {"type": "session.resolved", "timestamp": "2026-11-25T03:39:16.000Z", "data": session("RESOLVED", 9, outcome=outcome())}


def test_reads_a_webhook_that_is_genuine() -> None:
    headers, body = webhook(NOW, BODY)

    event = a.verify_webhook(SECRET, headers, body)

    assert (event.id, event.type, event.session.signed_in) == ("msg_1", "session.resolved", True)


def test_refuses_a_webhook_that_is_not() -> None:
    headers, body = webhook(NOW, BODY)
    old_headers, old_body = webhook(NOW - timedelta(hours=1), BODY)

    for h, b in [(headers, body.replace(b"RESOLVED", b"CANCELLED")), (old_headers, old_body), ({}, body)]:
        with pytest.raises(a.WebhookError):
            a.verify_webhook(SECRET, h, b)


def test_refuses_a_genuine_webhook_of_something_else() -> None:
    headers, body = webhook(NOW, {"type": "invoice.paid"})

    with pytest.raises(a.ProtocolError):
        a.verify_webhook(SECRET, headers, body)
