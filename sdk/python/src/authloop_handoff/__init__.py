"""Hand a browser that an agent drives to its user, and get it back signed in.

    from authloop_handoff import Client

    with Client() as client:
        handoff = client.handoffs.create(cdp_url="http://127.0.0.1:9222", service="Example Bank")
        print(handoff.url)
        handoff.wait().require_resolved()

:class:`AsyncClient` is the same with ``await``. The host's API is described in ``docs/AGENT_API.md``.
"""

from ._async import AsyncClient, AsyncHandoff, AsyncHandoffs
from ._create import CreateOptions
from ._errors import (
    AlreadyReadError,
    ApiError,
    AuthloopError,
    BrowserUnreachableError,
    ConnectionFailedError,
    ForbiddenError,
    IdempotencyError,
    InvalidRequestError,
    NotFoundError,
    NotResolvedError,
    NotSignedInError,
    ProtocolError,
    RateLimitedError,
    SessionEndedError,
    SessionExpiredError,
    SessionForgottenError,
    SignalingUnreachableError,
    StorageStateError,
    UnauthorizedError,
    WaitTimeoutError,
    WebhookError,
)
from ._models import (
    TERMINAL,
    AllOf,
    AnyOf,
    Condition,
    CookieCondition,
    CookieName,
    DoneWhen,
    Event,
    Evidence,
    Gate,
    NetworkAnswer,
    NetworkCondition,
    Outcome,
    SelectorCondition,
    Session,
    Status,
    StorageState,
    UrlCondition,
    Verdict,
    WebhookTarget,
)
from ._script import Retry
from ._sync import Client, Handoff, Handoffs
from ._webhooks import WebhookEvent, verify_webhook

__all__ = [
    "TERMINAL",
    "AllOf",
    "AlreadyReadError",
    "AnyOf",
    "ApiError",
    "AsyncClient",
    "AsyncHandoff",
    "AsyncHandoffs",
    "AuthloopError",
    "BrowserUnreachableError",
    "Client",
    "Condition",
    "ConnectionFailedError",
    "CookieCondition",
    "CookieName",
    "CreateOptions",
    "DoneWhen",
    "Event",
    "Evidence",
    "ForbiddenError",
    "Gate",
    "Handoff",
    "Handoffs",
    "IdempotencyError",
    "InvalidRequestError",
    "NetworkAnswer",
    "NetworkCondition",
    "NotFoundError",
    "NotResolvedError",
    "NotSignedInError",
    "Outcome",
    "ProtocolError",
    "RateLimitedError",
    "Retry",
    "SelectorCondition",
    "Session",
    "SessionEndedError",
    "SessionExpiredError",
    "SessionForgottenError",
    "SignalingUnreachableError",
    "Status",
    "StorageState",
    "StorageStateError",
    "UnauthorizedError",
    "UrlCondition",
    "Verdict",
    "WaitTimeoutError",
    "WebhookError",
    "WebhookEvent",
    "WebhookTarget",
    "verify_webhook",
]
