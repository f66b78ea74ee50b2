from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

import authloop_handoff as a

from .conftest import Connect
from .fake import CREATED, Host, error, ok, outcome, session


def stream(*events: tuple[str, dict[str, Any]]) -> httpx.Response:
    text = ": hello\n\n" + "".join(
        f"id: {data['version']}\nevent: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events
    )
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=text)


END = ("session.resolved", session("RESOLVED", 9, outcome=outcome()))


async def test_gives_each_change_to_the_end(connect: Connect) -> None:
    host = Host(ok(CREATED), stream(("session.created", session()), ("session.claimed", session("ACTIVE", 2)), END))
    handoff = await connect(host).handoffs.create(cdp_url="c", service="S")

    events = [event async for event in handoff.events()]

    assert [event.name for event in events] == ["session.created", "session.claimed", "session.resolved"]
    assert events[-1].session.signed_in is True
    assert host.requests[1].headers["authorization"] == "Bearer st_secret", "the token that opens this stream only"


async def test_goes_on_after_an_outage_where_it_was(connect: Connect) -> None:
    host = Host(
        stream(("session.created", session())),
        httpx.ConnectError("refused"),
        error(503, "starting"),
        stream(("session.created", session()), END),
    )

    events = [event async for event in connect(host).handoffs.events("hs_1")]

    assert [event.name for event in events] == ["session.created", "session.resolved"], "nothing twice"
    assert [request.headers.get("last-event-id") for request in host.requests] == [None, "1", "1", "1"]


async def test_a_finished_stream_is_empty(connect: Connect) -> None:
    host = Host(httpx.Response(204))

    assert [event async for event in connect(host).handoffs.events("hs_1")] == []


async def test_refusals_and_long_outages_are_errors(connect: Connect) -> None:
    host = Host(error(404, "not_found"), httpx.ConnectError("refused"), httpx.Response(200, text="hello"))
    client = connect(host, retry=a.Retry(outage=0))

    with pytest.raises(a.NotFoundError):
        [event async for event in client.handoffs.events("hs_1")]
    with pytest.raises(a.ConnectionFailedError, match="refused"):
        [event async for event in client.handoffs.events("hs_1")]
    with pytest.raises(a.ProtocolError, match="no stream"):
        [event async for event in client.handoffs.events("hs_1")]
