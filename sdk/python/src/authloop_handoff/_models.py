"""What goes in and what comes out, as ``docs/AGENT_API.md`` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypedDict, cast, get_args

from ._errors import NotSignedInError, ProtocolError

Status = Literal["PENDING", "ACTIVE", "RESOLVED", "CANCELLED", "TIMEOUT", "ERROR"]
Verdict = Literal["signed_in", "not_signed_in", "inconclusive"]
Gate = Literal["hold", "reject"]
Room = Literal["private", "in_place"]
RoomStart = Literal["fresh", "as_is"]
Isolation = Literal["own_user", "same_user"]

TERMINAL: frozenset[Status] = frozenset({"RESOLVED", "CANCELLED", "TIMEOUT", "ERROR"})
"""The statuses that never change again."""


class UrlCondition(TypedDict):
    """The top page's address; ``*`` and ``**`` match any text, ``?`` one character."""

    url: str


class CookieName(TypedDict, total=False):
    """Which cookie."""

    name: str
    domain: str


class CookieCondition(TypedDict):
    """The browser holds this cookie."""

    cookie: CookieName


class SelectorCondition(TypedDict):
    """A CSS selector matches in the top page's document."""

    selector: str


class NetworkAnswer(TypedDict):
    """Which answer."""

    url: str
    status: int


class NetworkCondition(TypedDict):
    """A request of the page was answered with this status."""

    network: NetworkAnswer


Condition = UrlCondition | CookieCondition | SelectorCondition | NetworkCondition


class AnyOf(TypedDict):
    """One condition is enough."""

    any: Sequence[Condition]


class AllOf(TypedDict):
    """Every condition is needed."""

    all: Sequence[Condition]


DoneWhen = AnyOf | AllOf


class WebhookTarget(TypedDict):
    """Where the host reports to, and the ``whsec_`` secret it signs with."""

    url: str
    secret: str


class StorageState(TypedDict):
    """Playwright's storage state: give it to ``browser.new_context(storage_state=...)``."""

    cookies: list[dict[str, Any]]
    origins: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One condition of ``done_when``, and whether it held."""

    condition: Mapping[str, Any]
    met: bool
    detail: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a handoff ended, and what the browser showed then."""

    verdict: Verdict
    reason: str
    message: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A handoff as the host saw it at one time."""

    session_id: str
    status: Status
    phase: str
    service: str
    created_at: datetime
    expires_at: datetime
    version: int
    context: Mapping[str, Any] | None = field(default=None, repr=False)
    outcome: Outcome | None = None
    cookies: int | None = None
    room: Room | None = None
    """In which browser the user signs in; ``None`` from a host that is older than rooms."""
    start: RoomStart | None = None
    """With what a private room begins."""
    grants: tuple[str, ...] | None = None
    """The sites whose session the agent gets from a private room."""
    isolation: Isolation | None = None
    """Whether a private room is out of reach of the programs of the host's own user."""

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in TERMINAL

    @property
    def signed_in(self) -> bool | None:
        """What the browser showed; ``None`` while it is open, and when it could not be told."""
        if self.outcome is None or self.outcome.verdict == "inconclusive":
            return None
        return self.outcome.verdict == "signed_in"

    def require_resolved(self) -> Session:
        """Returns itself if the user finished, and the browser did not show the contrary or miss the session.

        Raises:
            NotSignedInError: with the status, the reason and the message for people.
        """
        reason = self.outcome.reason if self.outcome else "unfinished"
        if self.status != "RESOLVED" or self.signed_in is False or reason == "session_did_not_move":
            message = self.outcome.message if self.outcome else ""
            raise NotSignedInError(self.status, reason, message)
        return self


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a session."""

    name: str
    session: Session


def session_of(value: object) -> Session:
    """Reads the object of ``GET /session/{id}``; what it does not know, it passes over."""
    try:
        raw = cast(Mapping[str, Any], value)
        return Session(
            session_id=_text(raw["session_id"]),
            status=cast(Status, _one_of(raw["status"], Status)),
            phase=_text(raw.get("phase", "")),
            service=_text(raw["service"]),
            created_at=time_of(raw["created_at"]),
            expires_at=time_of(raw["expires_at"]),
            version=int(raw.get("version", 0)),
            context=raw.get("context"),
            outcome=_outcome(raw.get("outcome")),
            cookies=raw.get("cookies"),
            room=room_of(raw.get("room")),
            start=cast("RoomStart | None", _one_of_or_none(raw.get("start"), RoomStart)),
            grants=grants_of(raw.get("grants")),
            isolation=cast("Isolation | None", _one_of_or_none(raw.get("isolation"), Isolation)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"not a session: {error!r}") from error


def time_of(value: object) -> datetime:
    """Reads an RFC 3339 time; Python 3.10 does not know the ``Z``."""
    return datetime.fromisoformat(_text(value).replace("Z", "+00:00"))


def _outcome(raw: Mapping[str, Any] | None) -> Outcome | None:
    if raw is None:
        return None
    return Outcome(
        verdict=cast(Verdict, _one_of(raw["verdict"], Verdict)),
        reason=_text(raw["reason"]),
        message=_text(raw.get("message") or ""),
        evidence=tuple(
            Evidence(item["condition"], bool(item["met"]), item.get("detail"))
            for item in raw.get("evidence") or ()
        ),
    )


def room_of(value: object) -> Room | None:
    """Reads a room, where the host tells one."""
    return cast("Room | None", _one_of_or_none(value, Room))


def grants_of(value: object) -> tuple[str, ...] | None:
    """Reads the granted sites, where the host tells them."""
    return None if value is None else tuple(_text(site) for site in cast(Sequence[object], value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _one_of(value: object, known: object) -> object:
    if value not in get_args(known):
        raise ValueError(f"{value!r} is none of {get_args(known)}")
    return value


def _one_of_or_none(value: object, known: object) -> object:
    return None if value is None else _one_of(value, known)
