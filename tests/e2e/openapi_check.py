"""Holds the served OpenAPI document against the routes: openapi_check.py URL KEY CDP.

First one session after the other as agents have them, each answer checked against the document; then whatever the
document's own schemas make Schemathesis think of.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import openapi_spec_validator
import schemathesis

url, key, cdp = sys.argv[1:]
bearer = {"Authorization": f"Bearer {key}"}
# P-256's generator is as good a public key as any.
POINT = base64.urlsafe_b64encode(
    bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
).decode().rstrip("=")


def served() -> dict[str, object]:
    with urllib.request.urlopen(f"{url}/openapi.json") as answer:
        return json.load(answer)


def walk() -> int:
    """Every operation in its good cases, which no generator finds."""
    api = schemathesis.openapi.from_url(f"{url}/openapi.json")
    steps = 0

    def step(method: str, path: str, status: int, **parts: object) -> dict[str, object]:
        nonlocal steps
        case = api[path][method].Case(headers={**bearer, **parts.pop("headers", {})}, **parts)
        answer = case.call_and_validate(timeout=30)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        steps += 1
        return answer.json() if answer.headers.get("content-type", [""])[0] == "application/json" else {}

    def session(**more: object) -> dict[str, str]:
        made = step("POST", "/session", 201, body={"service": "Bank", "cdp_url": cdp, **more}, media_type="application/json")
        return {"id": made["session_id"]}

    full = session(
        context={"url": "https://bank.example/", "wall_type": "password", "more": [1]},
        done_when={"any": [{"cookie": {"name": "sid"}}, {"network": {"url": "**", "status": 200}}]},
        storage_state={"recipient": POINT},
        gate="reject",
        # Of a private room, nothing moves by the agent's word, so that there is no storage state.
        room="in_place",
    )
    step("GET", "/session/{id}", 200, path_parameters=full, query={"wait": 0})
    step("GET", "/session/{id}", 304, path_parameters=full, headers={"If-None-Match": '"1"'})
    step("GET", "/session/{id}/storage-state", 409, path_parameters=full)
    step("POST", "/session/{id}/resolve", 200, path_parameters=full)
    step("GET", "/session/{id}/storage-state", 200, path_parameters=full)
    step("GET", "/session/{id}/storage-state", 410, path_parameters=full)
    step("GET", "/session/{id}/events", 200, path_parameters=full)
    step("GET", "/session/{id}/events", 204, path_parameters=full, headers={"Last-Event-ID": "99"})
    step("DELETE", "/session/{id}", 409, path_parameters=full)
    plain = session()
    step("DELETE", "/session/{id}", 200, path_parameters=plain)
    private = session(
        context={"url": "https://bank.example/", "wall_type": "totp"}, room="private", start="fresh", grants=["bank.example"]
    )
    step("GET", "/session/{id}", 200, path_parameters=private)
    step("DELETE", "/session/{id}", 200, path_parameters=private)
    step("GET", "/session/{id}/storage-state", 404, path_parameters=plain)
    step("GET", "/sessions", 200)
    event = {"schema_version": 1, "wall_type": "password", "service_host": "h", "decision": "human_handoff", "outcome": "error"}
    event |= {"session_id": plain["id"], "duration_ms": 1, "sdk_version": "0", "runtime": "other"}
    step("POST", "/audit", 202, body=event, media_type="application/json")
    step("GET", "/healthz", 200)
    return steps


def fuzz() -> int:
    tool = Path(sys.executable).with_name("schemathesis")
    header = f"Authorization: Bearer {key}"
    # No schema says which points lie on a curve, or which names are URLs that webhooks may go to.
    bounds = ["--max-examples", "8", "--max-time", "12", "--generation-deterministic", "--exclude-checks", "positive_data_acceptance"]
    run = [str(tool), "run", f"{url}/openapi.json", "-H", header, "--no-color", "--phases", "examples,coverage,fuzzing", *bounds]
    # It leaves notes where it runs.
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(run, check=False, cwd=folder).returncode


openapi_spec_validator.validate(served())
print(json.dumps({"event": "walked", "steps": walk()}), flush=True)
sys.exit(fuzz())
