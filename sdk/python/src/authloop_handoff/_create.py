"""From the arguments of ``create`` to a request, and from its answer to what a handoff knows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict, cast

from ._errors import ProtocolError
from ._models import DoneWhen, Gate, Room, RoomStart, WebhookTarget, grants_of, room_of, time_of
from ._script import Request, Retry, Script, ask
from ._storage import StorageKey


class CreateOptions(TypedDict, total=False):
    """What ``create`` takes beside ``cdp_url`` and ``service``; all of it may be left out."""

    ttl: int
    """How long the link lives, in seconds."""
    url: str
    """Where the wall stands; its origin is expected unless ``expected_origins`` says otherwise."""
    wall_type: str
    """What kind of wall, for example ``password`` or ``sms_otp``."""
    hint: str
    """Shown to the user."""
    requester: str
    """Who asks; shown to the user."""
    reason: str
    """Why; shown to the user."""
    expected_origins: Sequence[str]
    """Where the user is expected to sign in."""
    done_when: DoneWhen
    """How the host tells that the user is signed in."""
    auto_finish: bool
    """End as soon as ``done_when`` holds, without waiting for the user's Done."""
    storage_state: bool | Sequence[str]
    """Ask for the signed-in state: of these origins, or of all that the browser shows."""
    webhook: WebhookTarget
    """Where the host reports to as well."""
    gate: Gate
    """What the browser's gate does to the agent's tools meanwhile, if the user signs in in place."""
    room: Room
    """In which browser the user signs in: a private one of the host's, or the agent's (``in_place``); by default the wall decides."""
    start: RoomStart
    """With what a private room begins: the site's address alone, or the agent's page as it is; by default the wall decides."""
    grants: Sequence[str]
    """The sites whose session the agent gets from a private room, such as ``bank.example``; by default the expected origins'."""
    idempotency_key: str
    """Makes the same call in another process the same handoff; by default each call has its own."""


_SAME = ("ttl", "requester", "reason", "done_when", "auto_finish", "webhook", "gate", "room", "start")
_CONTEXT = ("url", "wall_type", "hint")
_KNOWN = CreateOptions.__optional_keys__


@dataclass(frozen=True, slots=True)
class Created:
    """A handoff's fixed facts."""

    session_id: str
    url: str = field(repr=False)
    stream_url: str
    stream_token: str = field(repr=False)
    expires_at: datetime
    cdp_url: str
    room: Room | None
    grants: tuple[str, ...] | None
    storage_key: StorageKey | None = field(repr=False)


def create(cdp_url: str, service: str, options: CreateOptions, retry: Retry) -> Script[Created]:
    """Registers a handoff. The same idempotency key goes with every retry, so that they make one session."""
    given: Mapping[str, Any] = {name: value for name, value in options.items() if value is not None}
    if strange := sorted(set(given) - _KNOWN):
        raise TypeError(f"create() got unexpected arguments: {', '.join(strange)}")
    body: dict[str, Any] = {"service": service, "cdp_url": cdp_url}
    body.update((name, given[name]) for name in _SAME if name in given)
    if context := {name: given[name] for name in _CONTEXT if name in given}:
        body["context"] = context
    if "expected_origins" in given:
        body["expected_origins"] = _texts("expected_origins", given["expected_origins"])
    if "grants" in given:
        body["grants"] = _texts("grants", given["grants"])
    storage_key = None
    wanted = given.get("storage_state", False)
    if wanted is not False:
        storage_key = StorageKey()
        body["storage_state"] = {"recipient": storage_key.recipient}
        if wanted is not True:
            body["storage_state"]["origins"] = _texts("storage_state", wanted)
    headers = {"Idempotency-Key": given.get("idempotency_key") or str(uuid.uuid4())}
    answer = yield from ask(Request("POST", "/session", body=body, headers=headers, timeout=60.0), retry)
    try:
        raw = cast(Mapping[str, Any], answer)
        return Created(
            session_id=str(raw["session_id"]),
            url=str(raw["session_url"]),
            stream_url=str(raw["stream_url"]),
            stream_token=str(raw["stream_token"]),
            expires_at=time_of(raw["expires_at"]),
            cdp_url=str(raw.get("cdp_url") or cdp_url),
            room=room_of(raw.get("room")),
            grants=grants_of(raw.get("grants")),
            storage_key=storage_key,
        )
    except (KeyError, TypeError, ValueError):
        # The answer holds the link, so it is not repeated.
        raise ProtocolError("not a created session") from None


def _texts(name: str, value: object) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a list of strings")
    return list(value)
