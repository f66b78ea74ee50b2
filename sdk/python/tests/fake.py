"""A host that answers from a list, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


def session(status: str = "PENDING", version: int = 1, **more: Any) -> dict[str, Any]:
    """The object of ``GET /session/{id}``."""
    return {
        "session_id": "hs_1",
        "status": status,
        "phase": "waiting",
        "service": "Example Bank",
        "created_at": "2026-11-25T03:39:16.000Z",
        "expires_at": "2026-11-25T03:49:16.000Z",
        "context": None,
        "version": version,
        "outcome": None,
        "cookies": None,
        "room": "private",
        "start": "fresh",
        "grants": ["bank.example"],
        "isolation": "own_user",
        **more,
    }


def outcome(verdict: str = "signed_in", reason: str = "condition_met", message: str = "It is there.") -> dict[str, Any]:
    return {"verdict": verdict, "reason": reason, "message": message, "evidence": []}


CREATED = {
    "session_id": "hs_1",
    "session_url": "https://authloop.example/#c2VjcmV0",
    "stream_token": "st_secret",
    "stream_url": "http://127.0.0.1:7300/session/hs_1/events",
    "expires_at": "2026-11-25T03:49:16.000Z",
    "cdp_url": "http://127.0.0.1:9333",
    "room": "private",
    "start": "fresh",
    "grants": ["bank.example"],
    "isolation": "own_user",
}


def error(status: int, code: str, details: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": "no", "details": details}}, headers=headers)


def ok(body: Any) -> httpx.Response:
    return httpx.Response(200, json=body)


class Host:
    """Give it as a transport to either client."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert self.replies, f"one request too many: {request.method} {request.url}"
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, httpx.Response) else reply(request)

    def body(self, index: int = 0) -> Any:
        return json.loads(self.requests[index].content)
