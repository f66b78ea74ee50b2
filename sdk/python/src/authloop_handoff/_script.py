"""What to ask the host, and in which order, without any I/O.

A script is a generator: it yields a :class:`Request` or a :class:`Sleep`, is sent what came of it, and
returns the result. The synchronous and the asynchronous client only differ in who runs it.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from ._errors import (
    ConnectionFailedError,
    NotFoundError,
    ProtocolError,
    SessionEndedError,
    SessionForgottenError,
    WaitTimeoutError,
    api_error,
)
from ._models import Session, session_of

T = TypeVar("T")

POLL = 30
"""How long one poll asks the host to wait, in seconds; below the usual 60 s of proxies."""
_SLACK = 15.0
"""How much longer than asked an answer may take, in seconds."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When to ask again: a host that restarts is away for seconds only."""

    first: float = 0.25
    """The first pause, in seconds; each further one is twice as long."""
    longest: float = 5.0
    """The longest pause, in seconds."""
    outage: float = 60.0
    """How long nothing but failures are borne, in seconds; 0 asks once."""

    def pause(self, failures: int, retry_after: float | None) -> float:
        """How long to wait after so many failures in a row; jittered, so that clients part."""
        longest = min(self.longest, self.first * 2.0 ** min(failures - 1, 16))
        return max(retry_after or 0.0, longest * random.uniform(0.5, 1.0))


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = _SLACK


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``text`` may hold secrets."""

    status: int
    text: str = field(repr=False)
    retry_after: str | None = None

    def json(self) -> object:
        """The body, or an error that does not repeat it."""
        try:
            return json.loads(self.text)
        except ValueError:
            raise ProtocolError(f"the host's answer ({self.status}) is no JSON; is this the agent API?") from None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer, and why."""

    why: str


Reply = Answer | Unreachable | None
Script = Generator[Request | Sleep, Reply, T]


def path(session_id: str, *rest: str) -> str:
    """The path of a session; an id is opaque, so it is escaped."""
    return "/".join(("/session", quote(session_id, safe=""), *rest))


def ask(request: Request, retry: Retry, until: float = math.inf) -> Script[object]:
    """Asks until there is an answer, over outages as long as ``retry`` bears; gives the JSON.

    ``until`` is the caller's own limit, in seconds of :func:`time.monotonic`.
    """
    failures = 0
    limit = 0.0
    while True:
        reply = yield request
        failures += 1
        now = time.monotonic()
        if failures == 1:
            limit = min(until, now + retry.outage)
        error: Exception
        if isinstance(reply, Answer):
            if reply.status < 400:
                return reply.json()
            try:
                body = reply.json()
            except ProtocolError:
                body = None
            failed = api_error(reply.status, body, reply.retry_after)
            if not failed.transient:
                raise failed
            error, pause = failed, retry.pause(failures, failed.retry_after)
        else:
            why = reply.why if reply else "no answer"
            error, pause = ConnectionFailedError(why), retry.pause(failures, None)
        if now + pause > limit:
            raise error
        yield Sleep(pause)


def get(session_id: str, retry: Retry) -> Script[Session]:
    """The session as it is now."""
    return session_of((yield from ask(Request("GET", path(session_id)), retry)))


def wait(session_id: str, timeout: float | None, retry: Retry, *, known: bool = False) -> Script[Session]:
    """Polls until the session has ended; ``known``: the host has told of it before."""
    until = math.inf if timeout is None else time.monotonic() + timeout
    query: dict[str, str] = {}
    version: int | None = None
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise WaitTimeoutError(f"the session had not ended after {timeout:g} s")
        seconds = math.ceil(min(POLL, left))
        query["wait"] = str(seconds)
        asked = time.monotonic()
        request = Request("GET", path(session_id), dict(query), timeout=seconds + _SLACK)
        try:
            session = session_of((yield from ask(request, retry, until)))
        except NotFoundError as gone:
            if known or version is not None:
                raise _forgotten(gone) from gone
            raise
        if session.ended:
            return session
        # Something between here and the host may not let polls be long.
        if session.version == version and time.monotonic() - asked < 0.5:
            yield Sleep(min(1.0, max(0.0, until - time.monotonic())))
        version = session.version
        query["since"] = str(version)


def cancel(session_id: str, retry: Retry) -> Script[Session]:
    """Ends the session as CANCELLED."""
    return (yield from _end(Request("DELETE", path(session_id)), session_id, "CANCELLED", retry))


def resolve(session_id: str, retry: Retry) -> Script[Session]:
    """Ends the session as RESOLVED."""
    return (yield from _end(Request("POST", path(session_id, "resolve")), session_id, "RESOLVED", retry))


def _end(request: Request, session_id: str, wanted: str, retry: Retry) -> Script[Session]:
    try:
        return session_of((yield from ask(request, retry)))
    except SessionEndedError as ended:
        # It may be our own doing: the answer was lost, and this was the second attempt.
        session = yield from get(session_id, retry)
        if session.status == wanted:
            return session
        raise ended


def _forgotten(gone: NotFoundError) -> SessionForgottenError:
    why = "the host does not know this session any more: it was restarted; create a new one"
    return SessionForgottenError(gone.status, gone.code, why, gone.details)
