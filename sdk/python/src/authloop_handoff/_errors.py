"""Every error that this package raises; each is an :class:`AuthloopError`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AuthloopError(Exception):
    """The root of them all."""


class ConnectionFailedError(AuthloopError):
    """The host did not answer for as long as :class:`Retry` allows."""


class ProtocolError(AuthloopError):
    """The host answered something that this package does not understand."""


class WaitTimeoutError(AuthloopError, TimeoutError):
    """The session had not ended when the caller's own time ran out; it goes on."""


class StorageStateError(AuthloopError):
    """The storage state was not asked for, or cannot be opened."""


class WebhookError(AuthloopError):
    """A webhook was not signed by the secret, or is too old."""


class NotSignedInError(AuthloopError):
    """The handoff ended, and the user is not signed in."""

    def __init__(self, status: str, reason: str, message: str) -> None:
        super().__init__(f"{status}: {message or reason}")
        self.status = status
        self.reason = reason
        self.message = message


class ApiError(AuthloopError):
    """The host refused; ``code`` is stable, ``message`` is for people."""

    def __init__(self, status: int, code: str, message: str, details: Any = None, retry_after: float | None = None) -> None:
        super().__init__(f"{message} ({code}, {status})")
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (429, 502, 503, 504) or self.code == "idempotency_in_flight"


class InvalidRequestError(ApiError):
    """A member of the request is wrong; ``field`` names it."""

    @property
    def field(self) -> str | None:
        """The member's name, where the host told it."""
        return _field(self.details)


class UnauthorizedError(ApiError):
    """No API key, or a wrong one."""


class ForbiddenError(ApiError):
    """A foreign ``Host``, or an ``Origin``."""


class RoomNotAllowedError(ApiError):
    """The operator does not allow the room that was asked for; ``field`` names the member."""

    @property
    def field(self) -> str | None:
        """``room``, ``start`` or ``grants``."""
        return _field(self.details)


class NotFoundError(ApiError):
    """No such session of this key, or no storage state was asked for."""


class SessionForgottenError(NotFoundError):
    """The host knew this session and does not any more: it was restarted, and with it the session ended."""


class SessionEndedError(ApiError):
    """The session is already in a terminal state."""


class SessionExpiredError(SessionEndedError):
    """The session's time ran out."""


class NotResolvedError(ApiError):
    """There is a storage state only once the session is RESOLVED."""


class AlreadyReadError(ApiError):
    """The storage state can be read once only."""


class IdempotencyError(ApiError):
    """The idempotency key is in use, or was used for something else."""


class BrowserUnreachableError(ApiError):
    """Nothing that speaks CDP answers at ``cdp_url``."""


class RateLimitedError(ApiError):
    """Too many requests, or too many open sessions."""


class RoomUnavailableError(ApiError):
    """There is no private room: the host has no browser for one, or all are taken."""


class SignalingUnreachableError(ApiError):
    """The authloop server does not answer the host."""


_BY_CODE: dict[str, type[ApiError]] = {
    "invalid_request": InvalidRequestError,
    "body_too_large": InvalidRequestError,
    "unsupported_media_type": InvalidRequestError,
    "unauthorized": UnauthorizedError,
    "forbidden": ForbiddenError,
    "room_not_allowed": RoomNotAllowedError,
    "room_unavailable": RoomUnavailableError,
    "not_found": NotFoundError,
    "session_ended": SessionEndedError,
    "session_expired": SessionExpiredError,
    "not_resolved": NotResolvedError,
    "already_read": AlreadyReadError,
    "idempotency_in_flight": IdempotencyError,
    "idempotency_mismatch": IdempotencyError,
    "browser_unreachable": BrowserUnreachableError,
    "rate_limited": RateLimitedError,
    "too_many_sessions": RateLimitedError,
    "signaling_unreachable": SignalingUnreachableError,
}


def api_error(status: int, body: object, retry_after: str | None) -> ApiError:
    """The typed error of an answer of 400 and above, whoever sent it."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        error = {}
    code = str(error.get("code") or f"http_{status}")
    message = str(error.get("message") or f"the host answered {status}")
    return _BY_CODE.get(code, ApiError)(status, code, message, error.get("details"), _seconds(retry_after))


def _field(details: object) -> str | None:
    name = details.get("field") if isinstance(details, Mapping) else None
    return name if isinstance(name, str) else None


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None
