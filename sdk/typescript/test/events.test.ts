import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionFailedError, type HandoffEvent } from "../src/index.js";
import { CREATED, error, Host, outcome, type Reply, session } from "./fake.js";

const stream = (...events: [string, ReturnType<typeof session>][]): Reply => ({
  headers: { "content-type": "text/event-stream" },
  body: `: hello\n\n${events.map(([name, data]) => `id: ${data.version}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join("")}`,
});

const FIRST: [string, ReturnType<typeof session>] = ["session.created", session()];
const LAST: [string, ReturnType<typeof session>] = [
  "session.resolved",
  session("RESOLVED", 9, { outcome: outcome() }),
];

async function all(events: AsyncIterable<HandoffEvent>): Promise<HandoffEvent[]> {
  const seen: HandoffEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

test("gives each change to the end", async (t) => {
  const host = await Host.start(
    { status: 201, body: CREATED },
    stream(FIRST, ["session.claimed", session("ACTIVE", 2)], LAST),
  );
  t.after(() => host.stop());
  const handoff = await host.client().handoffs.create({ cdpUrl: "c", service: "S" });

  const seen = await all(handoff.events());

  assert.deepEqual(
    seen.map((event) => event.name),
    ["session.created", "session.claimed", "session.resolved"],
  );
  assert.equal(seen.at(-1)?.session.signedIn, true);
  assert.equal(
    host.asked[1]?.headers.authorization,
    "Bearer st_secret",
    "the token that opens this stream only",
  );
});

test("goes on after an outage where it was", async (t) => {
  const host = await Host.start(
    stream(FIRST),
    { drop: true },
    error(503, "starting"),
    stream(FIRST, LAST),
  );
  t.after(() => host.stop());

  const seen = await all(host.client().handoffs.events("hs_1"));

  assert.deepEqual(
    seen.map((event) => event.name),
    ["session.created", "session.resolved"],
    "nothing twice",
  );
  assert.deepEqual(
    host.asked.map((asked) => asked.headers["last-event-id"]),
    [undefined, "1", "1", "1"],
  );
});

test("a finished stream is empty; refusals and long outages are errors", async (t) => {
  const host = await Host.start(
    { status: 204 },
    error(404, "not_found"),
    { drop: true },
    { body: "hello" },
  );
  t.after(() => host.stop());
  const { handoffs } = host.client({ outage: 0 });

  assert.deepEqual(await all(handoffs.events("hs_1")), []);
  await assert.rejects(all(handoffs.events("hs_1")), { code: "not_found" });
  await assert.rejects(all(handoffs.events("hs_1")), ConnectionFailedError);
  await assert.rejects(all(handoffs.events("hs_1")), { code: "no_stream" });
});
