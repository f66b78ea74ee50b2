"""What both clients need of httpx."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypedDict

import httpx
from httpx_sse import ServerSentEvent

from ._errors import ProtocolError, api_error
from ._models import Event, session_of
from ._script import Answer, Request

DEFAULT_BASE_URL = "http://127.0.0.1:7300"
STREAM_TIMEOUT = httpx.Timeout(15.0, read=45.0)
"""The host sends a comment every 15 s, so a silence of three is a dead connection."""


class Send(TypedDict):
    """What :meth:`httpx.Client.request` takes."""

    method: str
    url: str
    params: Mapping[str, str]
    json: Mapping[str, object] | None
    headers: Mapping[str, str]
    timeout: float


def base_url_of(given: str | None) -> str:
    """``AUTHLOOP_HOST_URL``, or the host's usual address."""
    return (given or os.environ.get("AUTHLOOP_HOST_URL") or DEFAULT_BASE_URL).rstrip("/")


def headers_of(api_key: str | None) -> dict[str, str]:
    """Every request's headers; the key may come from ``AUTHLOOP_HOST_KEY``."""
    key = api_key or os.environ.get("AUTHLOOP_HOST_KEY")
    headers = {"User-Agent": "authloop-handoff-python/0.1.0", "Accept": "application/json"}
    return {**headers, "Authorization": f"Bearer {key}"} if key else headers


def send_of(request: Request) -> Send:
    """As httpx wants it."""
    return {
        "method": request.method,
        "url": request.path,
        "params": request.query,
        "json": request.body,
        "headers": request.headers,
        "timeout": request.timeout,
    }


def answer_of(response: httpx.Response) -> Answer:
    """As scripts want it."""
    return Answer(response.status_code, response.text, response.headers.get("retry-after"))


def why(error: httpx.TransportError) -> str:
    """An outage in words."""
    return f"the host is not reachable: {type(error).__name__} {error}".rstrip()


class Stream:
    """Where a stream of events stands, across its connections."""

    def __init__(self) -> None:
        self.last = ""
        self.over = False

    def headers(self, token: str | None) -> dict[str, str]:
        """The next connection's headers."""
        headers = {"Accept": "text/event-stream"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self.last:
            headers["Last-Event-ID"] = self.last
        return headers

    def opened(self, response: httpx.Response) -> bool:
        """Whether events follow; a body that explains a failure has been read before.

        Raises:
            ApiError: the host refuses the stream, or cannot give it now (``transient``).
        """
        if response.status_code == 204:
            self.over = True
            return False
        if response.status_code >= 400:
            answer = answer_of(response)
            try:
                body = answer.json()
            except ProtocolError:
                body = None
            raise api_error(answer.status, body, answer.retry_after)
        return True

    def take(self, sse: ServerSentEvent) -> Event | None:
        """The event, unless it has been seen."""
        if not sse.data or (sse.id and sse.id == self.last):
            return None
        session = session_of(Answer(200, sse.data).json())
        self.last = sse.id
        self.over = session.ended
        return Event(sse.event, session)
