from __future__ import annotations

import httpx
import pytest

import authloop_handoff as a

from .conftest import Connect
from .fake import CREATED, Host, error, ok, session

ROOM = ("room", "start", "grants", "isolation")


async def test_says_all_that_was_asked(connect: Connect) -> None:
    host = Host(ok(CREATED))

    handoff = await connect(host).handoffs.create(
        cdp_url="http://127.0.0.1:9222",
        service="Example Bank",
        ttl=60,
        url="https://bank.example/login",
        wall_type="password",
        requester="Invoice agent",
        expected_origins=["https://bank.example"],
        done_when={"any": [{"selector": "#logout"}]},
        auto_finish=True,
        gate="reject",
        room="private",
        start="as_is",
        grants=["bank.example"],
    )

    assert (handoff.room, handoff.grants) == ("private", ("bank.example",))
    assert (handoff.id, handoff.url, handoff.cdp_url) == ("hs_1", CREATED["session_url"], "http://127.0.0.1:9333")
    request = host.requests[0]
    assert (request.method, request.url.path) == ("POST", "/session")
    assert request.headers["authorization"] == "Bearer key"
    assert host.body() == {
        "service": "Example Bank",
        "cdp_url": "http://127.0.0.1:9222",
        "ttl": 60,
        "context": {"url": "https://bank.example/login", "wall_type": "password"},
        "requester": "Invoice agent",
        "expected_origins": ["https://bank.example"],
        "done_when": {"any": [{"selector": "#logout"}]},
        "auto_finish": True,
        "gate": "reject",
        "room": "private",
        "start": "as_is",
        "grants": ["bank.example"],
    }


async def test_a_host_older_than_rooms_is_understood(connect: Connect) -> None:
    older = {name: value for name, value in CREATED.items() if name not in ROOM}
    view = {name: value for name, value in session().items() if name not in ROOM}
    host = Host(ok(older), ok(view))

    handoff = await connect(host).handoffs.create(cdp_url="c", service="S")
    status = await handoff.status()

    assert (handoff.room, handoff.grants) == (None, None)
    assert (status.room, status.start, status.grants, status.isolation) == (None, None, None, None)


async def test_retries_with_the_same_idempotency_key(connect: Connect) -> None:
    host = Host(httpx.ReadTimeout("late"), error(502, "signaling_unreachable"), ok(CREATED), ok(CREATED))
    client = connect(host)

    await client.handoffs.create(cdp_url="http://127.0.0.1:9222", service="S")
    await client.handoffs.create(cdp_url="http://127.0.0.1:9222", service="S")

    keys = [request.headers["idempotency-key"] for request in host.requests]
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]


async def test_takes_the_callers_idempotency_key(connect: Connect) -> None:
    host = Host(ok(CREATED))

    await connect(host).handoffs.create(cdp_url="c", service="S", idempotency_key="task-7")

    assert host.requests[0].headers["idempotency-key"] == "task-7"


async def test_keeps_secrets_out_of_reprs(connect: Connect) -> None:
    host = Host(ok(CREATED))

    handoff = await connect(host).handoffs.create(cdp_url="c", service="S", storage_state=True)

    for shown in (repr(handoff._real), repr(handoff._real._created)):
        assert "hs_1" in shown
        assert "c2VjcmV0" not in shown and "st_secret" not in shown


async def test_an_answer_that_is_none_does_not_leak(connect: Connect) -> None:
    host = Host(ok({"session_url": "https://authloop.example/#c2VjcmV0"}))

    with pytest.raises(a.ProtocolError) as caught:
        await connect(host).handoffs.create(cdp_url="c", service="S")

    assert "c2VjcmV0" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"wal_type": "password"}, "wal_type"),
        ({"expected_origins": "https://bank.example"}, "expected_origins"),
        ({"grants": "bank.example"}, "grants"),
    ],
)
async def test_refuses_what_it_does_not_know_before_asking(connect: Connect, options: dict[str, str], what: str) -> None:
    host = Host()

    with pytest.raises(TypeError, match=what):
        await connect(host).handoffs.create(cdp_url="c", service="S", **options)

    assert host.requests == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", a.InvalidRequestError),
        (401, "unauthorized", a.UnauthorizedError),
        (403, "forbidden", a.ForbiddenError),
        (403, "room_not_allowed", a.RoomNotAllowedError),
        (404, "not_found", a.NotFoundError),
        (409, "session_ended", a.SessionEndedError),
        (410, "session_expired", a.SessionExpiredError),
        (412, "browser_unreachable", a.BrowserUnreachableError),
        (422, "idempotency_mismatch", a.IdempotencyError),
        (418, "never_heard_of", a.ApiError),
    ],
)
async def test_errors_are_typed_by_code(connect: Connect, status: int, code: str, kind: type[a.ApiError]) -> None:
    host = Host(error(status, code, {"field": "ttl"}))

    with pytest.raises(kind) as caught:
        await connect(host).handoffs.create(cdp_url="c", service="S")

    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.details) == (status, code, {"field": "ttl"})
    assert len(host.requests) == 1, "not asked again"


async def test_a_room_that_is_not_allowed_names_the_field(connect: Connect) -> None:
    host = Host(error(403, "room_not_allowed", {"field": "room"}))

    with pytest.raises(a.RoomNotAllowedError) as caught:
        await connect(host).handoffs.create(cdp_url="c", service="S", room="in_place")

    assert caught.value.field == "room"


async def test_a_host_without_a_free_room_is_asked_again_in_time(connect: Connect) -> None:
    host = Host(error(503, "room_unavailable", headers={"Retry-After": "60"}))

    with pytest.raises(a.RoomUnavailableError) as caught:
        await connect(host).handoffs.create(cdp_url="c", service="S")

    assert caught.value.transient
    assert caught.value.retry_after == 60


async def test_an_invalid_request_names_the_field(connect: Connect) -> None:
    host = Host(error(400, "invalid_request", {"field": "ttl"}))

    with pytest.raises(a.InvalidRequestError) as caught:
        await connect(host).handoffs.create(cdp_url="c", service="S", ttl=1)

    assert caught.value.field == "ttl"


async def test_waits_as_long_as_a_limit_says(connect: Connect) -> None:
    host = Host(error(429, "rate_limited", headers={"Retry-After": "60"}))

    with pytest.raises(a.RateLimitedError) as caught:
        await connect(host).handoffs.create(cdp_url="c", service="S")

    assert caught.value.retry_after == 60, "longer than Retry bears, so it is told at once"


async def test_what_is_no_api_at_all(connect: Connect) -> None:
    host = Host(httpx.Response(404, text="<h1>nginx</h1>"), httpx.Response(200, text="<h1>nginx</h1>"))
    client = connect(host)

    with pytest.raises(a.ApiError) as caught:
        await client.handoffs.get("x")
    with pytest.raises(a.ProtocolError):
        await client.handoffs.get("x")

    assert caught.value.code == "http_404"
