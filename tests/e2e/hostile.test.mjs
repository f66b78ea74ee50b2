// A signaling server that lies. Whatever it does, the keyboard is never enabled, nothing that the
// user types reaches the site, and an honest message still gets through where one may.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Attacker } from "./lib/attacker.mjs";
import { closeBrowser, scenario, sideBySide } from "./lib/harness.mjs";

after(closeBrowser);

const blob = (message) => Buffer.from(message.data, "base64url");
const sealed = (bytes) => ({ type: "sealed", data: Buffer.from(bytes).toString("base64url") });
const HELLO = 1;
const RECORD = 2;
const isSealed = (side, from, kind) => (p) =>
  p.side === side && p.from === from && p.message.type === "sealed" && blob(p.message)[0] === kind;
// What each side sends, as it leaves it: the viewer its hello and answer, the host its offer.
const HELLOS = isSealed("viewer", "client", HELLO);
const ANSWERS = isSealed("viewer", "client", RECORD);
const OFFERS = isSealed("host", "client", RECORD);
const ICE = (side) => (p) => p.side === side && p.from === "server" && p.message.type === "ice";

/** Tries to type, and makes sure that it was in vain. */
async function refused(world, ...viewers) {
  for (const viewer of viewers) {
    await viewer.type("secret for nobody");
    await viewer.press("Enter");
    assert.equal(await viewer.everEnabled(), false, "the keyboard was enabled");
    assert.equal((await viewer.dataset()).verified, "false");
  }
  assert.deepEqual(await world.site.records(), [], "something reached the site");
}

/** From the link to the gesture. */
async function claim(world, host = world.host()) {
  const viewer = await world.viewer("desktop");
  await viewer.open(await host.link());
  await viewer.page.click("#open");
  return { host, viewer };
}

scenario(
  "control: the same proxy, passing everything on, hands the browser off",
  { mitm: true },
  async (world) => {
    const { host, viewer } = await world.live("desktop");

    await viewer.field("username");
    await viewer.type("ada@example.com");
    await viewer.done();

    assert.equal((await host.outcome()).code, 0);
    for (const [what, match] of Object.entries({ HELLOS, ANSWERS, OFFERS }))
      assert.ok(world.mitm.transcript.some(match), `${what} went through the proxy`);
  },
);

const invitations = {
  "another host's fingerprint": (i) => ({
    ...i,
    fingerprint: `sha-256 ${Array(32).fill("AB").join(":")}`,
  }),
  "another reason": (i) => ({ ...i, reason: "Your account is in danger. Sign in now." }),
  "another life": (i) => ({ ...i, expires: i.expires + 1 }),
  "a key more": (i) => ({ ...i, note: "" }),
};
for (const [what, change] of Object.entries(invitations)) {
  scenario(`replaced invitation: ${what}`, { mitm: true }, async (world) => {
    world.mitm.tamperHttp = (path, body) => {
      if (!/^\/v1\/sessions\/[^/]+$/.test(path)) return body;
      const answer = JSON.parse(body);
      const invitation = change(JSON.parse(Buffer.from(answer.invitation, "base64url")));
      return JSON.stringify({
        ...answer,
        invitation: Buffer.from(JSON.stringify(invitation)).toString("base64url"),
      });
    };
    const viewer = await world.viewer("phone");

    await viewer.page.goto(await world.host().link());

    assert.equal(await viewer.error(), "invitation_mismatch");
    await refused(world, viewer);
  });
}

// One place in each part of each blob: kind, key or hash, counter, ciphertext, tag.
const flips = [
  ["hello", HELLOS, [0, 1, 33, 66, -60, -1]],
  ["offer", OFFERS, [0, 4, 16, 17, -300, -1]],
  ["answer", ANSWERS, [0, 4, 16, 17, -300, -1]],
];
sideBySide("flipped bits", () => {
  for (const [what, match, places] of flips) {
    scenario(`a flipped bit anywhere in the ${what}`, { mitm: true }, async (world) => {
      let n = 0;
      world.mitm.tamper = (p) => {
        if (!match(p)) return p.message;
        // Every place for the first message, so that none passes unharmed.
        return places.map((place) => {
          const bytes = blob(p.message);
          bytes[place < 0 ? bytes.length + place : place] ^= 1 << (n++ % 8);
          return sealed(bytes);
        });
      };
      const { host, viewer } = await claim(world);

      // Nobody takes it, so the viewer tries a second time.
      await world.mitm.seen(HELLOS, "a second hello", 2, 60_000);

      await refused(world, viewer);
      assert.ok(!host.events.some((e) => e.state === "live"));
      if (what !== "offer") await host.line(/is refused/);
    });
  }
});

scenario(
  "every blob twice, and old ones again while live: once is what counts",
  { mitm: true, path: "/extra/keys" },
  async (world) => {
    world.mitm.tamper = ({ message }) => (message.type === "sealed" ? [message, message] : message);
    const { host, viewer } = await world.live("desktop");
    const { session } = world.mitm.transcript.find(HELLOS);
    await viewer.page.waitForSelector("#pad[autocomplete=off]", { state: "attached" });
    await viewer.type("one ");
    await world.site.records(12);
    const peers = await viewer.page.evaluate(() => globalThis.peers.length);

    for (const p of world.mitm.transcript.filter(HELLOS))
      world.mitm.inject(session, "host", p.message);
    for (const p of world.mitm.transcript.filter(ANSWERS))
      world.mitm.inject(session, "host", p.message);
    for (const p of world.mitm.transcript.filter(OFFERS))
      world.mitm.inject(session, "viewer", p.message);
    await viewer.type("two");

    const all = await world.site.records(3 * "one two".length);
    assert.equal(all.filter((r) => r.step === "text").at(-1).fields.value, "one two");
    assert.equal(
      all
        .filter((r) => r.step === "keydown")
        .map((r) => r.fields.value)
        .join(""),
      "one two",
    );
    assert.equal(
      await viewer.page.evaluate(() => globalThis.peers.length),
      peers,
      "the connection was kept",
    );
    await viewer.done();
    assert.equal((await host.outcome()).code, 0);
  },
);

sideBySide("not for this one", () => {
  for (const [what, towards] of [
    ["hellos", "host"],
    ["offers", "viewer"],
  ]) {
    scenario(
      `crossed ${what}: what is sealed for one session opens nothing in another`,
      { mitm: true },
      async (world) => {
        const [a, b] = [world.host(), world.host()];
        const ids = (await Promise.all([a.link(), b.link()])).map((link) =>
          Buffer.from(new URL(link).hash.slice(1), "base64url")
            .subarray(1, 17)
            .toString("base64url"),
        );
        const crossed = [];
        world.mitm.tamper = ({ side, from, session, message }) => {
          if (message.type !== "sealed" || from !== "server" || side !== towards) return message;
          const other = ids[1 - ids.indexOf(session)];
          if (world.mitm.inject(other, side, message)) crossed.push(session);
          return null;
        };

        const [{ viewer: first }, { viewer: second }] = await Promise.all([
          claim(world, a),
          claim(world, b),
        ]);
        for (const session of ids)
          await world.mitm.seen(
            (p) => HELLOS(p) && p.session === session,
            "a second hello",
            2,
            60_000,
          );

        await refused(world, first, second);
        assert.deepEqual([...new Set(crossed)].toSorted(), ids.toSorted(), "both were crossed");
        assert.ok(![...a.events, ...b.events].some((e) => e.state === "live"));
        if (towards === "host") for (const host of [a, b]) await host.line(/hello is refused/);
      },
    );
  }

  scenario("another device's key is named to the host", { mitm: true }, async (world) => {
    const attacker = await Attacker.deviceKey();
    world.mitm.tamper = ({ side, from, message }) =>
      side === "host" && from === "server" && message.device
        ? { ...message, device: attacker }
        : message;
    const { host, viewer } = await claim(world);

    await host.line(/hello of another device than the claimed one is refused/);
    await world.mitm.seen(HELLOS, "a second hello", 2, 60_000);

    await refused(world, viewer);
    assert.ok(!host.events.some((e) => e.state === "live"));
  });
});

const injections = {
  "a line in ufrag": (ice) => ({
    ...ice,
    ufrag: `${ice.ufrag}\r\na=candidate:2 1 udp 1 192.0.2.66 9 typ host`,
  }),
  "a line in pwd": (ice) => ({ ...ice, pwd: `${ice.pwd}\na=fingerprint:sha-256 00:11` }),
  "a line in a candidate": (ice) => ({
    ...ice,
    candidates: [`${ice.candidates[0]}\r\na=setup:active`],
  }),
  "a name for an address": (ice) => ({ ...ice, candidates: ["relay.example:3478"] }),
  "a short password": (ice) => ({ ...ice, pwd: "short" }),
  "no candidate": (ice) => ({ ...ice, candidates: [] }),
  "words that nobody knows": (ice) => ({ ...ice, candidates: [{ address: ice.candidates[0] }] }),
};
sideBySide("injections", () => {
  for (const side of ["viewer", "host"]) {
    scenario(
      `ICE parameters that would write SDP, to the ${side}`,
      { mitm: true },
      async (world) => {
        const ways = Object.values(injections);
        let next = 0;
        // The viewer leaves such a server and comes back, to the next; the host is given all at once.
        const all = (ice) => ways.map((way) => way(ice));
        const one = (ice) => ways[next++ % ways.length](ice);
        world.mitm.tamper = (p) =>
          ICE(side)(p) ? (side === "host" ? all : one)(p.message) : p.message;
        const { viewer } = await claim(world);

        if (side === "viewer")
          await world.mitm.seen(ICE(side), "every injection", ways.length, 60_000);
        else await world.mitm.seen(HELLOS, "a second hello", 2, 60_000);

        await refused(world, viewer);
        const descriptions = await viewer.page.evaluate(() =>
          globalThis.peers.map((pc) => pc.remoteDescription?.sdp ?? "").join(),
        );
        assert.doesNotMatch(descriptions, /192\.0\.2\.66|00:11|relay\.example/);
      },
    );
  }
});

for (const side of ["viewer", "host"]) {
  scenario(
    `a peer of the attacker's in the relay's place, before the ${side}`,
    { mitm: true },
    async (world) => {
      const attacker = await Attacker.start(world, side);
      let given = 0;
      world.mitm.tamper = (p) =>
        ICE(side)(p) ? { ...attacker.ice, generation: ++given } : p.message;
      const { host, viewer } = await claim(world);
      const local = await world.mitm.seen(
        (p) => p.side === side && p.from === "client" && p.message.type === "ice_local",
        "the victim's credentials",
      );

      // The server sees the credentials; the certificates it gets here as a present.
      await attacker.attack({
        ...local.message,
        fingerprint: await attacker.victimFingerprint(viewer, world.mitm),
      });

      assert.equal(await attacker.handshake(), "failed", "the handshake must not succeed");
      assert.deepEqual(await attacker.received(), []);
      await refused(world, viewer);
      assert.ok(!host.events.some((e) => e.state === "live"));
    },
  );
}

test("control: the same attacker gets through to a page that does not check", {
  timeout: 60_000,
}, async () => {
  assert.equal(await Attacker.control(), "connected");
});
