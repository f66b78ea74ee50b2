// The relay and signaling never hold what the user types, nor the link's secret: searched for in
// the server's memory, logs, metrics, packets and messages, in every usual encoding, at three
// phases. The same search must each time find what was planted, or it proves nothing.

import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, hkdfSync, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { after } from "node:test";
import { WebSocket } from "ws";
import { asRoot, needlesOf, search, secret } from "./lib/canary.mjs";
import { ARTIFACTS, closeBrowser, Part, scenario, within } from "./lib/harness.mjs";

after(closeBrowser);

/** Every form that the search knows, in bytes. */
function formsOf(text) {
  const utf16 = (t) => Buffer.from(t, "utf16le");
  const hex = Buffer.from(text).toString("hex");
  const base64 = [0, 1, 2].map((n) => Buffer.from("y".repeat(n) + text).toString("base64"));
  const plain = [text, hex, hex.toUpperCase(), ...base64].map((t) => Buffer.from(t));
  return [...plain, utf16(text), utf16(text).swap16()];
}
const FORMS = [
  "utf-8",
  "hex",
  "hex-upper",
  "base64+0",
  "base64+1",
  "base64+2",
  "utf-8/utf-16le",
  "utf-8/utf-16be",
];

/**
 * A marker in the server's memory, by its public door: blobs in the mailbox of a session of our
 * own.
 */
async function plantInMemory(server, marker) {
  const id = randomBytes(16);
  const { x, y } = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({
    format: "jwk",
  });
  const hpke = Buffer.concat([
    Buffer.from([4]),
    Buffer.from(x, "base64url"),
    Buffer.from(y, "base64url"),
  ]);
  const invitation = JSON.stringify({
    v: 1,
    id: id.toString("base64url"),
    hpke: hpke.toString("base64url"),
    fingerprint: `sha-256 ${Array(32).fill("AB").join(":")}`,
    requester: "canary",
    reason: "a positive control",
    origins: [],
    expires: Math.floor(Date.now() / 1000) + 600,
  });
  const created = await fetch(`${server.url}/v1/sessions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      id: id.toString("base64url"),
      invitation: Buffer.from(invitation).toString("base64url"),
      claim_hash: randomBytes(32).toString("base64url"),
      // Only for a viewer that has the session does anything wait.
      device: hpke.toString("base64url"),
    }),
  });
  assert.equal(created.status, 201, await created.clone().text());
  const { host_token } = await created.json();
  const ws = new WebSocket(
    `${server.url.replace("http", "ws")}/v1/sessions/${id.toString("base64url")}/host`,
  );
  const welcome = new Promise((resolve, reject) => {
    ws.on("message", (data) => {
      const message = JSON.parse(data);
      if (message.type === "challenge") ws.send(JSON.stringify({ type: "attach", host_token }));
      if (message.type === "welcome") resolve();
      if (message.type === "error") reject(new Error(message.message));
    });
    ws.on("error", reject);
  });
  await within(10_000, () => "a welcome", welcome);
  for (const form of formsOf(marker))
    ws.send(JSON.stringify({ type: "sealed", data: form.toString("base64url") }));
  // The answer to a ping says that what went before has been read.
  const pong = new Promise((resolve) => ws.once("pong", resolve));
  ws.ping();
  await within(10_000, () => "a pong", pong);
  return { ws, id };
}

/** Captures loopback's packets to and from the server until `stop`. */
async function capture(server, phase) {
  const pcap = `${ARTIFACTS}canary-${phase}.pcap`;
  rmSync(pcap, { force: true });
  const [relay, http] = [server.relay, server.url].map((address) => address.split(":").at(-1));
  const [file, args] = asRoot(
    "tcpdump",
    "-i",
    "lo",
    "-U",
    "--immediate-mode",
    "-B",
    "16384",
    "-s",
    "0",
    "-Z",
    "root",
    "-w",
    pcap,
    `udp port ${relay} or tcp port ${http}`,
  );
  const tcpdump = new Part("tcpdump", file, args);
  await tcpdump.line(/listening on lo/);
  return {
    pcap,
    /** Ends with marker packets: when they are in the file, so is everything before them. */
    async stop(marker) {
      const udp = createSocket("udp4");
      for (const form of formsOf(marker))
        await new Promise((sent) => udp.send(form, Number(relay), "127.0.0.1", sent));
      udp.close();
      const deadline = Date.now() + 15_000;
      let found;
      do found = needlesOf(search({ secrets: [{ name: "marker", text: marker }], files: [pcap] }));
      while (!FORMS.every((form) => found.has(`marker/${form}`)) && Date.now() < deadline);
      await tcpdump.stop();
      return found;
    },
  };
}

scenario(
  "no secret ever lies open in the relay, in signaling or on the wire",
  { mitm: true, server: ["--log", "trace"] },
  async (world, t) => {
    const { server, mitm } = world;
    const typed = secret();
    const pasted = secret();
    const marker = secret();
    const planted = await plantInMemory(server, marker);
    t.after(() => planted.ws.terminate());

    /**
     * Searches everything that the server has or had; the controls must be found, and nothing else.
     */
    async function clean(phase, packets, secrets) {
      const onWire = await packets.stop(marker);
      const metrics = `${ARTIFACTS}canary-${phase}.metrics`;
      const messages = `${ARTIFACTS}canary-${phase}.messages`;
      writeFileSync(metrics, await server.metrics());
      // WebSocket frames are masked on the wire (RFC 6455 section 5.3): here they are as the server
      // reads them.
      writeFileSync(messages, mitm.transcript.map((m) => JSON.stringify(m)).join("\n"));
      const controls = [{ name: "marker", text: marker }];

      const inMemory = needlesOf(search({ secrets: controls, pids: [server.pid] }));
      for (const form of FORMS) {
        assert.ok(
          inMemory.has(`marker/${form}`),
          `${phase}: the search missed the ${form} marker in memory`,
        );
        assert.ok(
          onWire.has(`marker/${form}`),
          `${phase}: the search missed the ${form} marker in packets`,
        );
      }
      // The log has the planted session's number, in base64url.
      const logged = needlesOf(
        search({
          secrets: [{ name: "log", hex: planted.id.toString("hex") }],
          files: [server.logFile],
        }),
      );
      assert.equal(logged.size, 1, `${phase}: the search missed the log's marker`);
      const measured = needlesOf(
        search({ secrets: [{ name: "metric", text: "authloop_" }], files: [metrics] }),
      );
      assert.ok(measured.has("metric/utf-8"), `${phase}: the search missed the metrics' marker`);

      const found = search({
        secrets,
        pids: [server.pid],
        files: [server.logFile, metrics, packets.pcap, messages],
      });
      assert.deepEqual(found.hits, [], phase);
      t.diagnostic(
        `${phase}: ${secrets.length} secrets not in ${(found.bytes / 1e6).toFixed(1)} MB`,
      );
    }

    let packets = await capture(server, "created");
    const host = world.host();
    const link = new URL(await host.link());
    const bytes = Buffer.from(link.hash.slice(1), "base64url");
    const [id, S] = [bytes.subarray(1, 17), bytes.subarray(17, 49)];
    const length = Buffer.alloc(4);
    length.writeUInt32BE(world.origin.length);
    const salt = Buffer.concat([
      Buffer.from("authloop/1 salt"),
      length,
      Buffer.from(world.origin),
      id,
    ]);
    const derive = (label) => Buffer.from(hkdfSync("sha256", S, salt, label, 32));
    const T = derive("authloop/1 claim");
    const K = derive("authloop/1 psk");
    const ours = [
      { name: "S", hex: S.toString("hex") },
      { name: "K", hex: K.toString("hex") },
      { name: "typed", text: typed },
      { name: "pasted", text: pasted },
      // What an input frame would say if it were not sealed.
      { name: "key event", text: '{"t":"key","' },
      { name: "paste event", text: '{"t":"paste"' },
    ];
    await host.state("waiting");
    await clean("created", packets, [...ours, { name: "T", hex: T.toString("hex") }]);
    const hash = search({
      secrets: [{ name: "H(T)", hex: createHash("sha256").update(T).digest("hex") }],
      pids: [server.pid],
    });
    assert.ok(needlesOf(hash).has("H(T)/raw"), "what stands for T was there to be found");

    packets = await capture(server, "typing");
    const viewer = await world.viewer("desktop");
    await viewer.open(link.href);
    await viewer.claim();
    await viewer.context.grantPermissions(["clipboard-read", "clipboard-write"], {
      origin: world.origin,
    });
    await viewer.field("username");
    await viewer.page.evaluate(
      (text) => navigator.clipboard.writeText(text),
      `${pasted}@example.com`,
    );
    await viewer.page.click("#paste");
    await viewer.field("username");
    await viewer.press("Tab");
    await viewer.field("current-password");
    await viewer.type(typed);
    await viewer.press("Enter");
    assert.deepEqual((await world.site.records(1))[0].fields, {
      user: `${pasted}@example.com`,
      password: typed,
    });
    const { received } = await viewer.path();
    await clean("typing", packets, ours);
    assert.ok(
      received > 0 && statSync(packets.pcap).size > received,
      "the capture has all that the viewer received",
    );

    packets = await capture(server, "ended");
    await viewer.done();
    await viewer.state("ended");
    assert.equal((await host.outcome()).code, 0);
    await clean("ended", packets, ours);
  },
);
