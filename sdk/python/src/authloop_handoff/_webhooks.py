"""Webhooks, by the Standard Webhooks library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from standardwebhooks import Webhook, WebhookVerificationError

from ._errors import ProtocolError, WebhookError
from ._models import Session, session_of, time_of


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a webhook says; ``id`` is the same each time it is tried again."""

    id: str
    type: str
    timestamp: datetime
    session: Session


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes | str) -> WebhookEvent:
    """Checks a webhook's signature and age, and reads it.

    Args:
        secret: the ``whsec_`` secret that the handoff was created with.
        headers: the request's headers, in any case.
        body: the request's body, byte for byte.

    Raises:
        WebhookError: it was not signed by the secret, or is too old or too new.
        ProtocolError: it was, and is no webhook of a handoff.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        raw = cast(Mapping[str, Any], Webhook(secret).verify(body, lower))
    except WebhookVerificationError as error:
        raise WebhookError(str(error)) from error
    try:
        return WebhookEvent(
            id=lower["webhook-id"],
            type=str(raw["type"]),
            timestamp=time_of(raw["timestamp"]),
            session=session_of(raw["data"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"not a handoff's webhook: {error!r}") from error
