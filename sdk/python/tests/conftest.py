"""Each test of the clients runs with both, behind one asynchronous face."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import pytest

from authloop_handoff import AsyncClient, Client, Retry

from .fake import Host

QUICK = Retry(first=0.001, longest=0.002, outage=5.0)


class Connect(Protocol):
    def __call__(self, host: Host, retry: Retry = QUICK, api_key: str | None = "key") -> Any: ...


class Face:
    """Whatever a client's method gives, can be awaited; whatever it iterates, asynchronously."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if name == "handoffs":
            return Face(value)
        if not callable(value):
            return value
        if name == "events":
            return lambda *a, **k: _each(value(*a, **k))
        return lambda *a, **k: _later(value, a, k)


async def _later(method: Any, args: Any, named: Any) -> Any:
    result = method(*args, **named)
    result = await result if inspect.isawaitable(result) else result
    return Face(result) if hasattr(result, "storage_state") else result


async def _each(items: Any) -> AsyncIterator[Any]:
    if isinstance(items, Iterator):
        for item in items:
            yield item
    else:
        async for item in items:
            yield item


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    def make(host: Host, retry: Retry = QUICK, api_key: str | None = "key") -> Any:
        if request.param == "sync":
            return Face(Client("http://host:7300", api_key, retry=retry, transport=host.transport))
        return Face(AsyncClient("http://host:7300", api_key, retry=retry, transport=host.transport))

    return make
