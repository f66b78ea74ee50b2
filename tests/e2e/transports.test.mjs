// Where no UDP is let out: the whole sign-in over ICE-TCP, over TURN, and over TURN in TLS, all on
// the HTTP port.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after } from "node:test";
import { DEVICES, HEADLESS_SHELL, plainBrowser, scenario } from "./lib/harness.mjs";
import { Netns, whyNoNamespaces } from "./lib/netns.mjs";
import { signIn, site, submissions } from "./lib/signin.mjs";
import { Viewer } from "./lib/viewer.mjs";

const LOOPBACK = "--allow-loopback-in-peer-connection";
const namespaces = whyNoNamespaces();
const netns = namespaces ? null : new Netns();
const folder = mkdtempSync(`${tmpdir()}/authloop-tls-`);

after(() => {
  netns?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A server's certificate, and a home folder whose Chromium trusts who signed it. */
function certify(addresses) {
  const run = (file, ...args) => execFileSync(file, args, { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  run(
    "openssl",
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=authloop test CA",
  );
  run(
    "openssl",
    "req",
    ...key,
    "-keyout",
    "key.pem",
    "-out",
    "leaf.csr",
    "-subj",
    "/CN=authloop test server",
  );
  writeFileSync(
    `${folder}/leaf.ext`,
    `subjectAltName=${addresses.map((ip) => `IP:${ip}`)}\nbasicConstraints=CA:FALSE\n`,
  );
  run(
    "openssl",
    "x509",
    "-req",
    "-in",
    "leaf.csr",
    "-CA",
    "ca.pem",
    "-CAkey",
    "ca.key",
    "-CAcreateserial",
    "-days",
    "2",
    "-extfile",
    "leaf.ext",
    "-out",
    "cert.pem",
  );
  // Chromium on Linux asks this database, as it does on a company's machines.
  const db = `${folder}/home/.pki/nssdb`;
  mkdirSync(db, { recursive: true });
  run("certutil", "-d", `sql:${db}`, "-N", "--empty-password");
  run("certutil", "-d", `sql:${db}`, "-A", "-t", "C,,", "-n", "authloop test CA", "-i", "ca.pem");
}
certify(["127.0.0.1", ...(netns ? [netns.outside] : [])]);

const tls = [
  "--tls",
  "files",
  "--tls-cert",
  `${folder}/cert.pem`,
  "--tls-key",
  `${folder}/key.pem`,
];
const hostArgs = ["--server-ca", `${folder}/ca.pem`];
const env = { ...process.env, HOME: `${folder}/home` };

/** All that this page's connections use is TURN: a setting that people's browsers have, too. */
function relayOnly() {
  const Real = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Real {
    constructor(config) {
      super({ ...config, iceTransportPolicy: "relay" });
    }
  };
}

/** No TURN, as where a company's proxy lets none through. */
function withoutTurn() {
  const Real = globalThis.RTCPeerConnection;
  const bare = (config) => ({ ...config, iceServers: [] });
  globalThis.RTCPeerConnection = class extends Real {
    constructor(config) {
      super(bare(config));
    }

    setConfiguration(config) {
      super.setConfiguration(bare(config));
    }
  };
}

/** The candidate pair that carries everything. */
const chosen = (viewer) =>
  viewer.page.evaluate(async () => {
    const stats = await globalThis.peers.at(-1).getStats();
    const transport = [...stats.values()].find((s) => s.type === "transport");
    const pair = stats.get(transport.selectedCandidatePairId);
    const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
    return {
      local: {
        type: local.candidateType,
        protocol: local.protocol,
        relay: local.relayProtocol,
        tcp: local.tcpType,
      },
      remote: {
        type: remote.candidateType,
        protocol: remote.protocol,
        address: `${remote.address}:${remote.port}`,
      },
      received: pair.bytesReceived,
    };
  });

/** A host, and a user in this browser: everything up to the first frame. */
async function live(world, browser, { hostArgs = [], hook } = {}) {
  world.keep({ stop: () => browser.close() });
  const host = world.host(hostArgs);
  const context = await browser.newContext(DEVICES.desktop);
  if (hook) await context.addInitScript(hook);
  const viewer = world.keep(await Viewer.start(context, "desktop"));
  await viewer.open(await host.link());
  await viewer.claim();
  return { host, viewer };
}

async function finish(world, { host, viewer }) {
  await signIn(viewer);
  assert.deepEqual(await world.site.records(2), submissions);
  await viewer.done();
  await viewer.state("ended");
  const outcome = await host.outcome();
  assert.deepEqual([outcome.code, outcome.event], [0, "resolved"]);
}

scenario("a sign-in over TURN on the plain HTTP port", { site }, async (world) => {
  const parts = await live(world, await plainBrowser({ args: [LOOPBACK] }), { hook: relayOnly });

  const path = await chosen(parts.viewer);
  assert.deepEqual(path.local, { type: "relay", protocol: "udp", relay: "tcp", tcp: undefined });
  assert.deepEqual(path.remote, { type: "host", protocol: "udp", address: world.server.relay });
  assert.equal(await world.server.metric('authloop_streams_open{kind="turn"}'), 1);
  await finish(world, parts);
});

scenario("a sign-in over TURN in TLS on the HTTPS port", { site, server: tls }, async (world) => {
  const parts = await live(world, await plainBrowser({ args: [LOOPBACK], env }), {
    hook: relayOnly,
    hostArgs,
  });

  const path = await chosen(parts.viewer);
  assert.deepEqual(path.local, { type: "relay", protocol: "udp", relay: "tls", tcp: undefined });
  assert.deepEqual(path.remote, { type: "host", protocol: "udp", address: world.server.relay });
  assert.equal(await world.server.metric('authloop_streams_open{kind="turn"}'), 1);
  await finish(world, parts);
});

const apart = {
  site,
  skip: namespaces,
  server: [
    "--listen",
    `${netns?.outside}:0`,
    "--relay-listen",
    `${netns?.outside}:0`,
    "--open-registration",
    ...tls,
  ],
};

/** A browser that reaches nothing but the server's HTTPS port. */
async function confined(world) {
  netns.onlyTcp(world.server.listen.split(":").at(-1));
  return plainBrowser({ executablePath: netns.wrapper(HEADLESS_SHELL), env });
}

scenario("a sign-in over ICE-TCP on the HTTPS port, where UDP is dropped", apart, async (world) => {
  const parts = await live(world, await confined(world), { hostArgs, hook: withoutTurn });

  const path = await chosen(parts.viewer);
  // Peer-reflexive: an active candidate has no port before it connects (RFC 6544 section 4.1).
  assert.deepEqual(path.local, { type: "prflx", protocol: "tcp", relay: undefined, tcp: "active" });
  assert.deepEqual(path.remote, { type: "host", protocol: "tcp", address: world.server.listen });
  assert.ok(netns.droppedUdp() > 0, "UDP was not even tried");
  assert.ok((await world.server.metric('authloop_streams_open{kind="ice_tcp"}')) >= 1);
  await finish(world, parts);
});

scenario(
  "a sign-in goes on when every TCP connection breaks, where UDP is dropped",
  apart,
  async (world) => {
    const parts = await live(world, await confined(world), { hostArgs, hook: relayOnly });
    const before = await chosen(parts.viewer);

    netns.breakTcp();

    await parts.viewer.state("reconnecting");
    await parts.viewer.state("live");
    const after = await chosen(parts.viewer);
    assert.deepEqual([before.local.relay, after.local.relay], ["tls", "tls"]);
    await finish(world, parts);
  },
);
