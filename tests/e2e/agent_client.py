"""Drives the published `authloop` package as its users do, and prints what it gave as JSON lines.

Usage: agent_client.py BASE_URL CDP_URL SCRIPT
"""

import asyncio
import dataclasses
import json
import sys

from authloop import SDK_VERSION, AuthLoop, AuthLoopError


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


async def failing(event, call):
    try:
        await call
        say(event, error=None)
    except AuthLoopError as error:
        say(event, error={"status": error.status, "code": error.code, "message": error.message, "details": error.details})


async def sign_in(client, cdp_url):
    made = await client.to_human(
        service="Northwind Bank",
        cdp_url=cdp_url,
        ttl=120,
        context={"wall_type": "password", "hint": "Use the demo account"},
    )
    say("link", url=made.session_url, session=dataclasses.asdict(made))
    status = await client.wait_for_resolution(made.session_id, poll_interval=0.2, timeout=90)
    say("status", **dataclasses.asdict(status))
    # The package reports in the background and closes its client without waiting for it.
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


async def manage(client, cdp_url):
    cancelled = await client.to_human(service="Bank", cdp_url=cdp_url)
    await client.cancel_session(cancelled.session_id)
    say("cancelled", **dataclasses.asdict(await client.get_session(cancelled.session_id)))
    await failing("cancel again", client.cancel_session(cancelled.session_id))
    resolved = await client.to_human(service="Bank", cdp_url=cdp_url)
    await client.resolve_session(resolved.session_id)
    say("resolved", **dataclasses.asdict(await client.wait_for_resolution(resolved.session_id)))
    await failing("resolve again", client.resolve_session(resolved.session_id))
    await failing("unknown", client.get_session("hs_unknown"))
    await failing("bad", client.to_human(service="Bank", cdp_url=cdp_url, ttl=1))
    await failing("no browser", client.to_human(service="Bank", cdp_url="http://127.0.0.1:1"))
    try:
        left = await client.to_human(service="Bank", cdp_url=cdp_url)
        await client.wait_for_resolution(left.session_id, poll_interval=0.1, timeout=0.3)
    except AuthLoopError as error:
        say("poll timeout", code=error.code)
    await client.cancel_session(left.session_id)


async def main(base_url, cdp_url, script):
    async with AuthLoop(api_key="any", base_url=base_url) as client:
        say("version", version=SDK_VERSION)
        await {"sign_in": sign_in, "manage": manage}[script](client, cdp_url)


asyncio.run(main(*sys.argv[1:]))
