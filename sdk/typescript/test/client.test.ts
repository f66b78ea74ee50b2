import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { inspect } from "node:util";
import * as a from "../src/index.js";
import { CREATED, error, Host, outcome, type Replies, type Reply, session } from "./fake.js";

const OPTIONS = { cdpUrl: "http://127.0.0.1:9222", service: "Example Bank" };

async function start(t: TestContext, ...replies: Replies): Promise<Host> {
  const host = await Host.start(...replies);
  t.after(() => host.stop());
  return host;
}

/** The error of a promise that must fail. */
// biome-ignore lint/suspicious/noExplicitAny: what it is, the assertions find out.
async function failure(of: Promise<unknown>): Promise<any> {
  return of.then(
    () => assert.fail("it did not fail"),
    (reason: unknown) => reason,
  );
}

test("says all that was asked", async (t) => {
  const host = await start(t, { status: 201, body: CREATED });

  const handoff = await host.client().handoffs.create({
    ...OPTIONS,
    ttl: 60,
    url: "https://bank.example/login",
    wallType: "password",
    requester: "Invoice agent",
    expectedOrigins: ["https://bank.example"],
    doneWhen: { any: [{ selector: "#logout" }] },
    autoFinish: true,
    gate: "reject",
    room: "private",
    start: "as_is",
    grants: ["bank.example"],
  });

  assert.deepEqual(
    [handoff.id, handoff.url, handoff.cdpUrl],
    ["hs_1", CREATED.session_url, "http://127.0.0.1:9333"],
  );
  assert.deepEqual([handoff.room, handoff.grants], ["private", ["bank.example"]]);
  const [asked] = host.asked;
  assert.deepEqual(
    [asked?.method, asked?.path, asked?.headers.authorization],
    ["POST", "/session", "Bearer key"],
  );
  assert.deepEqual(asked?.body, {
    service: "Example Bank",
    cdp_url: "http://127.0.0.1:9222",
    ttl: 60,
    context: { url: "https://bank.example/login", wall_type: "password" },
    requester: "Invoice agent",
    expected_origins: ["https://bank.example"],
    done_when: { any: [{ selector: "#logout" }] },
    auto_finish: true,
    gate: "reject",
    room: "private",
    start: "as_is",
    grants: ["bank.example"],
  });
});

test("understands a host that is older than rooms", async (t) => {
  const none = { room: undefined, start: undefined, grants: undefined, isolation: undefined };
  const host = await start(
    t,
    { status: 201, body: { ...CREATED, ...none } },
    { body: session("PENDING", 1, none) },
  );

  const handoff = await host.client().handoffs.create(OPTIONS);
  const status = await handoff.status();

  assert.deepEqual([handoff.room, handoff.grants], [null, null]);
  assert.deepEqual(
    [status.room, status.start, status.grants, status.isolation],
    Array(4).fill(null),
  );
});

test("retries with the same idempotency key", async (t) => {
  const created = { status: 201, body: CREATED };
  const host = await start(
    t,
    { drop: true },
    error(502, "signaling_unreachable"),
    created,
    created,
    created,
  );
  const { handoffs } = host.client();

  await handoffs.create(OPTIONS);
  await handoffs.create(OPTIONS);
  await handoffs.create({ ...OPTIONS, idempotencyKey: "task-7" });

  const keys = host.asked.map((asked) => asked.headers["idempotency-key"]);
  assert.equal(new Set(keys.slice(0, 3)).size, 1);
  assert.notEqual(keys[3], keys[0]);
  assert.equal(keys[4], "task-7");
});

test("keeps secrets out of logs and JSON", async (t) => {
  const host = await start(t, { status: 201, body: CREATED });

  const handoff = await host.client().handoffs.create(OPTIONS);

  for (const shown of [inspect(handoff, { depth: 9 }), JSON.stringify(handoff)]) {
    assert.match(shown, /hs_1/);
    assert.doesNotMatch(shown, /c2VjcmV0|st_secret/);
  }
});

for (const [status, code] of [
  [400, "invalid_request"],
  [401, "unauthorized"],
  [403, "room_not_allowed"],
  [412, "browser_unreachable"],
  [418, "teapot"],
] as const) {
  test(`tells ${code} by its code, without asking again`, async (t) => {
    const host = await start(t, error(status, code, { field: "ttl" }));

    const failed = await failure(host.client().handoffs.create(OPTIONS));

    assert.ok(failed instanceof a.ApiError && failed instanceof a.AuthloopError);
    assert.deepEqual(
      [failed.name, failed.status, failed.code, failed.field],
      ["ApiError", status, code, "ttl"],
    );
    assert.equal(host.asked.length, 1);
  });
}

test("tells a limit that is longer than it may wait", async (t) => {
  const host = await start(t, error(429, "rate_limited", null, { "retry-after": "60" }));

  const failed = await failure(host.client().handoffs.create(OPTIONS));

  assert.deepEqual([failed.code, failed.retryAfter], ["rate_limited", 60]);
});

test("tells what is no API, without repeating it", async (t) => {
  const host = await start(
    t,
    { status: 404, body: "<h1>" },
    { body: "<h1>secret" },
    { body: { session_url: "secret" } },
    { body: session("WHATEVER") },
  );
  const { handoffs } = host.client();

  const notFound = await failure(handoffs.get("x"));
  const wrong = [
    await failure(handoffs.get("x")),
    await failure(handoffs.create(OPTIONS)),
    await failure(handoffs.get("x")),
  ];

  assert.equal(notFound.code, "http_404");
  for (const each of wrong) {
    assert.ok(each instanceof a.ProtocolError, String(each));
    assert.doesNotMatch(inspect(each), /secret/);
  }
});

test("waits over polls and a restart of the host", async (t) => {
  const end = session("RESOLVED", 9, { outcome: outcome(), cookies: 3 });
  const host = await start(
    t,
    { status: 201, body: CREATED },
    { body: session() },
    { body: session("ACTIVE", 4) },
    { drop: true },
    { status: 503, body: "starting" },
    { body: end },
  );
  const handoff = await host.client().handoffs.create(OPTIONS);

  const result = await handoff.wait();

  assert.deepEqual([result.status, result.signedIn, result.cookies], ["RESOLVED", true, 3]);
  assert.equal(result.requireResolved(), result);
  const queries = host.asked.slice(1).map((asked) => asked.query);
  const known = { wait: "30", since: "4" };
  assert.deepEqual(queries, [{ wait: "30" }, { wait: "30", since: "1" }, known, known, known]);
});

test("gives up after an outage too long, and at a session that is gone", async (t) => {
  const host = await start(t, { drop: true }, error(404, "not_found"));
  const { handoffs } = host.client({ outage: 0 });

  assert.ok((await failure(handoffs.wait("hs_1"))) instanceof a.ConnectionFailedError);
  assert.equal((await failure(handoffs.wait("hs_1"))).code, "not_found");
});

test("a session that a restarted host forgot is told as such", async (t) => {
  const host = await start(
    t,
    { body: CREATED },
    error(404, "not_found"),
    { body: session("ACTIVE", 4) },
    { drop: true },
    error(404, "not_found"),
  );
  const { handoffs } = host.client();
  const handoff = await handoffs.create({ cdpUrl: "c", service: "S" });

  assert.ok((await failure(handoff.wait())) instanceof a.SessionForgottenError);
  assert.ok((await failure(handoffs.wait("hs_1"))) instanceof a.SessionForgottenError);
});

test("an end whose answer was lost is no error", async (t) => {
  const host = await start(
    t,
    { drop: true },
    error(409, "session_ended"),
    { body: session("CANCELLED", 9) },
    { drop: true },
    error(409, "session_ended"),
    { body: session("RESOLVED", 9) },
    error(410, "session_expired"),
    { body: session("TIMEOUT", 9) },
  );
  const { handoffs } = host.client();

  assert.equal((await handoffs.cancel("hs_1")).status, "CANCELLED");
  assert.equal((await handoffs.resolve("hs_1")).status, "RESOLVED");
  assert.equal((await failure(handoffs.cancel("hs_1"))).code, "session_expired");
});

test("the caller's time runs out, and the session goes on", async (t) => {
  const host = await start(t, ...Array<Reply>(50).fill({ body: session() }));

  const failed = await failure(host.client().handoffs.wait("hs_1", { timeout: 300 }));

  assert.ok(failed instanceof a.WaitTimeoutError);
  assert.ok(host.asked.length < 10, "a host that does not wait is not asked in a loop");
  assert.ok(host.asked.every((asked) => asked.method === "GET"));
});

test("the caller's signal ends the wait", async (t) => {
  const stop = new AbortController();
  const host = await start(t, () => {
    stop.abort(new Error("enough"));
    return new Promise<Reply>(() => {});
  });

  const failed = await failure(host.client().handoffs.wait("hs_1", { signal: stop.signal }));

  assert.equal(failed.message, "enough");
});

for (const [status, verdict, reason] of [
  ["CANCELLED", "not_signed_in", "declined"],
  ["RESOLVED", "not_signed_in", "finished_anyway"],
  ["RESOLVED", "inconclusive", "session_did_not_move"],
  ["ERROR", "inconclusive", "browser_lost"],
] as const) {
  test(`${status} by ${reason} can be made an error`, async (t) => {
    const host = await start(t, {
      body: session(status, 9, { outcome: outcome(verdict, reason) }),
    });

    const result = await host.client().handoffs.wait("hs_1");

    assert.throws(
      () => result.requireResolved(),
      (e) => e instanceof a.NotSignedInError && e.status === status && e.reason === reason,
    );
  });
}

test("cancels, resolves, lists, and keeps an id in its path", async (t) => {
  const host = await start(
    t,
    { body: session("CANCELLED", 9) },
    error(409, "session_ended"),
    { body: session("CANCELLED", 9) },
    { body: { sessions: [session()] } },
    error(404, "not_found"),
  );
  const { handoffs } = host.client();

  assert.equal((await handoffs.cancel("hs_1")).status, "CANCELLED");
  assert.equal((await failure(handoffs.resolve("hs_1"))).code, "session_ended");
  assert.deepEqual(
    (await handoffs.list()).map((s) => s.id),
    ["hs_1"],
  );
  await failure(handoffs.get("../sessions?x="));

  assert.deepEqual(
    host.asked.map((asked) => `${asked.method} ${asked.path}`),
    [
      "DELETE /session/hs_1",
      "POST /session/hs_1/resolve",
      "GET /session/hs_1",
      "GET /sessions",
      "GET /session/..%2Fsessions%3Fx%3D",
    ],
  );
});
