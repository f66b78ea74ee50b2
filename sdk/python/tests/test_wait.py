from __future__ import annotations

import time
from urllib.parse import parse_qs

import httpx
import pytest

import authloop_handoff as a

from .conftest import Connect
from .fake import CREATED, Host, error, ok, outcome, session


def queries(host: Host) -> list[dict[str, list[str]]]:
    return [parse_qs(request.url.query.decode()) for request in host.requests]


async def test_polls_until_the_end(connect: Connect) -> None:
    end = session("RESOLVED", 9, outcome=outcome(), cookies=3)
    host = Host(ok(CREATED), ok(session("PENDING", 1)), ok(session("ACTIVE", 4)), ok(end))
    handoff = await connect(host).handoffs.create(cdp_url="c", service="S")

    result = await handoff.wait()

    assert (result.status, result.signed_in, result.cookies) == ("RESOLVED", True, 3)
    assert (result.room, result.start, result.grants) == ("private", "fresh", ("bank.example",))
    assert result.isolation == "own_user"
    assert result.require_resolved() is result
    assert queries(host)[1:] == [{"wait": ["30"]}, {"wait": ["30"], "since": ["1"]}, {"wait": ["30"], "since": ["4"]}]


async def test_survives_a_restart_of_the_host(connect: Connect) -> None:
    host = Host(
        ok(session("ACTIVE", 4)),
        httpx.RemoteProtocolError("gone"),
        httpx.ConnectError("refused"),
        httpx.Response(503, text="starting"),
        ok(session("RESOLVED", 9, outcome=outcome())),
    )

    result = await connect(host).handoffs.wait("hs_1")

    assert result.status == "RESOLVED"
    assert [q["since"] for q in queries(host)[1:]] == [["4"]] * 4, "what it knew, it still knows"


async def test_gives_up_after_an_outage_too_long(connect: Connect) -> None:
    host = Host(httpx.ConnectError("refused"))

    with pytest.raises(a.ConnectionFailedError, match="refused"):
        await connect(host, retry=a.Retry(outage=0)).handoffs.wait("hs_1")


async def test_the_callers_time_runs_out_and_the_session_goes_on(connect: Connect) -> None:
    def late(_: httpx.Request) -> httpx.Response:
        return ok(session("PENDING", 1))

    host = Host(*[late] * 50)
    began = time.monotonic()

    with pytest.raises(a.WaitTimeoutError) as caught:
        await connect(host).handoffs.wait("hs_1", timeout=0.3)

    assert isinstance(caught.value, TimeoutError)
    assert time.monotonic() - began < 5
    assert len(host.requests) < 10, "a host that does not wait is not asked in a loop"
    assert {request.method for request in host.requests} == {"GET"}


async def test_a_session_that_never_was_is_told_at_once(connect: Connect) -> None:
    host = Host(error(404, "not_found"))

    with pytest.raises(a.NotFoundError) as caught:
        await connect(host).handoffs.wait("hs_1")

    assert not isinstance(caught.value, a.SessionForgottenError)


async def test_a_session_that_a_restarted_host_forgot_is_told_as_such(connect: Connect) -> None:
    host = Host(ok(CREATED), error(404, "not_found"), ok(session("ACTIVE", 4)), httpx.ConnectError("refused"), error(404, "not_found"))
    client = connect(host)
    handoff = await client.handoffs.create(cdp_url="c", service="S")

    with pytest.raises(a.SessionForgottenError, match="restarted"):
        await handoff.wait()
    with pytest.raises(a.SessionForgottenError):
        await client.handoffs.wait("hs_1")


@pytest.mark.parametrize(
    ("status", "verdict", "reason"),
    [
        ("CANCELLED", "not_signed_in", "declined"),
        ("TIMEOUT", "not_signed_in", "expired"),
        ("RESOLVED", "not_signed_in", "finished_anyway"),
        ("RESOLVED", "not_signed_in", "session_did_not_move"),
        ("RESOLVED", "inconclusive", "session_did_not_move"),
        ("ERROR", "inconclusive", "browser_lost"),
    ],
)
async def test_an_end_without_sign_in_can_be_made_an_error(connect: Connect, status: str, verdict: str, reason: str) -> None:
    host = Host(ok(session(status, 9, outcome=outcome(verdict, reason))))

    result = await connect(host).handoffs.wait("hs_1")

    with pytest.raises(a.NotSignedInError) as caught:
        result.require_resolved()
    assert (caught.value.status, caught.value.reason) == (status, reason)


async def test_done_without_a_condition_is_neither_yes_nor_no(connect: Connect) -> None:
    host = Host(ok(session("RESOLVED", 9, outcome=outcome("inconclusive", "no_condition"))))

    result = await connect(host).handoffs.wait("hs_1")

    assert result.signed_in is None
    assert result.require_resolved() is result


async def test_cancel_resolve_and_list(connect: Connect) -> None:
    gone = session("CANCELLED", 9)
    host = Host(ok(CREATED), ok(gone), error(409, "session_ended"), ok(gone), ok({"sessions": [session()]}))
    client = connect(host)
    handoff = await client.handoffs.create(cdp_url="c", service="S")

    cancelled = await handoff.cancel()
    with pytest.raises(a.SessionEndedError):
        await handoff.resolve()
    sessions = await client.handoffs.list()

    assert cancelled.status == "CANCELLED"
    assert [s.session_id for s in sessions] == ["hs_1"]
    asked = [(request.method, request.url.path) for request in host.requests[1:]]
    assert asked == [("DELETE", "/session/hs_1"), ("POST", "/session/hs_1/resolve"), ("GET", "/session/hs_1"), ("GET", "/sessions")]


async def test_an_end_whose_answer_was_lost_is_no_error(connect: Connect) -> None:
    cancelled, resolved = session("CANCELLED", 9), session("RESOLVED", 9, outcome=outcome("inconclusive", "agent_resolved"))
    host = Host(
        *(httpx.ReadError("lost"), error(409, "session_ended"), ok(cancelled)),
        *(httpx.ReadError("lost"), error(409, "session_ended"), ok(resolved)),
    )
    handoffs = connect(host).handoffs

    assert (await handoffs.cancel("hs_1")).status == "CANCELLED"
    assert (await handoffs.resolve("hs_1")).status == "RESOLVED"


async def test_an_expired_session_cannot_be_cancelled(connect: Connect) -> None:
    host = Host(error(410, "session_expired"), ok(session("TIMEOUT", 9)))

    with pytest.raises(a.SessionExpiredError):
        await connect(host).handoffs.cancel("hs_1")


async def test_an_id_cannot_leave_its_path(connect: Connect) -> None:
    host = Host(error(404, "not_found"))

    with pytest.raises(a.NotFoundError):
        await connect(host).handoffs.get("../sessions?x=")

    assert host.requests[0].url.raw_path == b"/session/..%2Fsessions%3Fx%3D"


async def test_a_status_that_nobody_knows_is_no_session(connect: Connect) -> None:
    host = Host(ok(session("WHATEVER")))

    with pytest.raises(a.ProtocolError, match="WHATEVER"):
        await connect(host).handoffs.get("hs_1")
