import assert from "node:assert/strict";
import { test } from "node:test";
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "@hpke/core";
import { Webhook } from "standardwebhooks";
import { ProtocolError, StorageStateError } from "../src/index.js";
import { verifyWebhook, WebhookError } from "../src/webhooks.js";
import { type Asked, CREATED, error, Host, outcome, type Reply, session } from "./fake.js";

const STATE = { cookies: [{ name: "sid", value: "canary" }], origins: [] };
const OPTIONS = { cdpUrl: "c", service: "S" };

/** Seals the state to the key that came with the creation, for the given session. */
async function sealing(id: string): Promise<Host> {
  let recipient = "";
  const created = (asked: Asked): Reply => {
    recipient = asked.body.storage_state.recipient;
    return { status: 201, body: CREATED };
  };
  const sealed = async (): Promise<Reply> => {
    const suite = new CipherSuite({
      kem: new DhkemP256HkdfSha256(),
      kdf: new HkdfSha256(),
      aead: new Aes256Gcm(),
    });
    const point = Buffer.from(recipient, "base64url");
    assert.equal(point.length, 65);
    const info = `authloop storage-state v1 ${id}`;
    const recipientPublicKey = await suite.kem.deserializePublicKey(new Uint8Array(point));
    const { enc, ct } = await suite.seal(
      { recipientPublicKey, info: new TextEncoder().encode(info) },
      new TextEncoder().encode(JSON.stringify(STATE)),
    );
    const b64u = (bytes: ArrayBuffer) => Buffer.from(bytes).toString("base64url");
    return { body: { enc: b64u(enc), ciphertext: b64u(ct), info } };
  };
  return Host.start(created, sealed, error(410, "already_read"));
}

test("opens the storage state once", async (t) => {
  const host = await sealing("hs_1");
  t.after(() => host.stop());
  const handoff = await host
    .client()
    .handoffs.create({ ...OPTIONS, storageState: ["https://bank.example"] });

  assert.deepEqual(await handoff.storageState(), STATE);

  assert.deepEqual(host.asked[0]?.body.storage_state.origins, ["https://bank.example"]);
  assert.equal(host.asked[1]?.path, "/session/hs_1/storage-state");
  await assert.rejects(handoff.storageState(), { code: "already_read" });
});

test("another session's state does not open", async (t) => {
  const host = await sealing("hs_2");
  t.after(() => host.stop());
  const handoff = await host.client().handoffs.create({ ...OPTIONS, storageState: true });

  await assert.rejects(handoff.storageState(), StorageStateError);
});

test("a state that was not asked for", async (t) => {
  const host = await Host.start({ status: 201, body: CREATED });
  t.after(() => host.stop());
  const handoff = await host.client().handoffs.create(OPTIONS);

  await assert.rejects(handoff.storageState(), StorageStateError);

  const [asked] = host.asked;
  assert.ok(asked && !("storage_state" in asked.body));
});

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const NOW = new Date();

function webhook(at: Date, body: object): [Record<string, string>, string] {
  const text = JSON.stringify(body);
  const stamp = String(Math.floor(at.getTime() / 1000));
  return [
    {
      "Webhook-Id": "msg_1",
      "Webhook-Timestamp": stamp,
      "Webhook-Signature": new Webhook(SECRET).sign("msg_1", at, text),
    },
    text,
  ];
}

const BODY = {
  type: "session.resolved",
  timestamp: "2026-11-25T03:39:16.000Z",
  data: session("RESOLVED", 9, { outcome: outcome() }),
};

test("reads a webhook that is genuine", () => {
  const event = verifyWebhook(SECRET, ...webhook(NOW, BODY));

  assert.deepEqual(
    [event.id, event.type, event.session.signedIn],
    ["msg_1", "session.resolved", true],
  );
});

test("refuses a webhook that is not, or is of something else", () => {
  const [headers, body] = webhook(NOW, BODY);

  assert.throws(
    () => verifyWebhook(SECRET, headers, body.replace("RESOLVED", "CANCELLED")),
    WebhookError,
  );
  assert.throws(
    () => verifyWebhook(SECRET, ...webhook(new Date(NOW.getTime() - 3_600_000), BODY)),
    WebhookError,
  );
  assert.throws(() => verifyWebhook(SECRET, {}, body), WebhookError);
  assert.throws(
    () => verifyWebhook(SECRET, ...webhook(NOW, { type: "invoice.paid" })),
    ProtocolError,
  );
});
