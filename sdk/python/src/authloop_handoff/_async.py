"""The client for asyncio; `_sync.py`'s twin, line by line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, TypeVar, cast

import httpx
from httpx_sse import SSEError, aconnect_sse
from typing_extensions import Unpack

from . import _script
from ._create import Created, CreateOptions, create
from ._errors import ApiError, ConnectionFailedError, ProtocolError, StorageStateError
from ._http import STREAM_TIMEOUT, Stream, answer_of, base_url_of, headers_of, send_of, why
from ._models import Event, Session, StorageState, session_of
from ._script import Reply, Request, Retry, Script, Sleep, Unreachable, path

T = TypeVar("T")


class AsyncClient:
    """Talks to one ``authloop-host serve``.

    Args:
        base_url: where it listens; ``AUTHLOOP_HOST_URL``, or ``http://127.0.0.1:7300``.
        api_key: one of its keys; ``AUTHLOOP_HOST_KEY``, or none.
        retry: how outages are borne.
        transport: for tests, and for what else httpx can be told.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        retry: Retry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=base_url_of(base_url), headers=headers_of(api_key), transport=transport)
        self._retry = retry or Retry()
        self.handoffs = AsyncHandoffs(self._http, self._retry)

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


class AsyncHandoffs:
    """The handoffs of this client's key."""

    def __init__(self, http: httpx.AsyncClient, retry: Retry) -> None:
        self._http = http
        self._retry = retry

    async def create(self, *, cdp_url: str, service: str, **options: Unpack[CreateOptions]) -> AsyncHandoff:
        """Asks the user to sign in to ``service`` in the browser at ``cdp_url``."""
        return AsyncHandoff(self, await self._run(create(cdp_url, service, options, self._retry)))

    async def get(self, session_id: str) -> Session:
        """The session as it is now."""
        return await self._run(_script.get(session_id, self._retry))

    async def list(self) -> Sequence[Session]:
        """This key's sessions, newest first."""
        answer = cast(dict[str, Any], await self._run(_script.ask(Request("GET", "/sessions"), self._retry)))
        return [session_of(item) for item in answer["sessions"]]

    async def wait(self, session_id: str, timeout: float | None = None) -> Session:
        """Waits until the session has ended, over outages of the host; see :meth:`AsyncHandoff.wait`."""
        return await self._run(_script.wait(session_id, timeout, self._retry))

    async def cancel(self, session_id: str) -> Session:
        """Ends the session as CANCELLED; one that is so already is no error."""
        return await self._run(_script.cancel(session_id, self._retry))

    async def resolve(self, session_id: str) -> Session:
        """Ends the session as RESOLVED, because the agent sees that the user is done; one that is so already is no error."""
        return await self._run(_script.resolve(session_id, self._retry))

    async def events(self, session_id: str, *, stream_token: str | None = None) -> AsyncIterator[Event]:
        """Each change, from the first kept one to the end, over outages of the host."""
        stream = Stream()
        failures = 0
        since = time.monotonic()
        while not stream.over:
            error: Exception
            after = None
            try:
                async with aconnect_sse(
                    self._http, "GET", path(session_id, "events"), headers=stream.headers(stream_token), timeout=STREAM_TIMEOUT
                ) as source:
                    if source.response.status_code >= 400:
                        await source.response.aread()
                    if not stream.opened(source.response):
                        return
                    async for sse in source.aiter_sse():
                        failures = 0
                        if event := stream.take(sse):
                            yield event
                    error = ConnectionFailedError("the host closed the stream before the end")
            except ApiError as failed:
                if not failed.transient:
                    raise
                error, after = failed, failed.retry_after
            except SSEError as failed:
                raise ProtocolError("no stream of events is there") from failed
            except httpx.TransportError as failed:
                error = ConnectionFailedError(why(failed))
            if stream.over:
                return
            since = time.monotonic() if failures == 0 else since
            failures += 1
            pause = self._retry.pause(failures, after)
            if time.monotonic() + pause > since + self._retry.outage:
                raise error
            await asyncio.sleep(pause)

    async def _storage_state(self, created: Created) -> StorageState:
        if created.storage_key is None:
            raise StorageStateError("create the handoff with storage_state=True")
        sealed = await self._run(_script.ask(Request("GET", path(created.session_id, "storage-state")), self._retry))
        return created.storage_key.open(sealed, created.session_id)

    async def _run(self, script: Script[T]) -> T:
        reply: Reply = None
        while True:
            try:
                step = script.send(reply)
            except StopIteration as end:
                return cast(T, end.value)
            if isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
                reply = None
                continue
            try:
                reply = answer_of(await self._http.request(**send_of(step)))
            except httpx.TransportError as error:
                reply = Unreachable(why(error))


class AsyncHandoff:
    """One handoff. Show ``url`` to the user and to nobody else: whoever opens it first may sign in."""

    def __init__(self, handoffs: AsyncHandoffs, created: Created) -> None:
        self._handoffs = handoffs
        self._created = created
        self.id = created.session_id
        self.url = created.url
        self.cdp_url = created.cdp_url
        """Where the agent goes on."""
        self.expires_at = created.expires_at
        self.room = created.room
        """In which browser the user signs in."""
        self.grants = created.grants
        """The sites whose session the agent gets from a private room."""

    def __repr__(self) -> str:
        return f"AsyncHandoff(id={self.id!r})"

    async def status(self) -> Session:
        """The session as it is now."""
        return await self._handoffs.get(self.id)

    async def wait(self, timeout: float | None = None) -> Session:
        """Waits until the session has ended, however; ``require_resolved()`` of what it gives tells a failure.

        Raises:
            WaitTimeoutError: it had not ended after ``timeout`` seconds; it goes on.
            ConnectionFailedError: the host was away for longer than ``Retry`` bears.
            SessionForgottenError: the host was restarted, and the session ended with it.
        """
        return await self._handoffs._run(_script.wait(self.id, timeout, self._handoffs._retry, known=True))

    def events(self) -> AsyncIterator[Event]:
        """Each change until the end."""
        return self._handoffs.events(self.id, stream_token=self._created.stream_token)

    async def cancel(self) -> Session:
        """Ends the session as CANCELLED."""
        return await self._handoffs.cancel(self.id)

    async def resolve(self) -> Session:
        """Ends the session as RESOLVED."""
        return await self._handoffs.resolve(self.id)

    async def storage_state(self) -> StorageState:
        """The signed-in state, in Playwright's format; once, after RESOLVED."""
        return await self._handoffs._storage_state(self._created)
