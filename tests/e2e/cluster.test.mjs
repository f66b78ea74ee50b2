// Three servers as one, each in a network of its own, a real handoff, and the server whose relay
// carries it dies while its user types. Without network namespaces they share this machine's.
// CLUSTER_KILLS says how often: a hundred times takes about twelve minutes.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Balancer, NetworkSwitch, Redis } from "./lib/cluster.mjs";
import { closeBrowser, Server, World, within } from "./lib/harness.mjs";
import { whyNoNamespaces } from "./lib/netns.mjs";

const KILLS = Number(process.env.CLUSTER_KILLS ?? 3);
/** The pace of a quick typist, in milliseconds a key. */
const PACE = 60;
/** Above it a user would think it broken; the figure, for the 95th percentile. */
const GAP_MS = 2000;

// One more than run at a time: the next server starts while the last one ends.
const net = whyNoNamespaces() ? null : new NetworkSwitch(4);

after(async () => {
  await closeBrowser();
  net?.stop();
});

/** Three servers behind a balancer, and a world that knows the balancer only. */
class Cluster {
  nodes = [];
  /** The namespaces that a server is in. */
  #taken = new Set();

  static async open(path) {
    const cluster = new Cluster();
    cluster.redis = new Redis(net?.outside);
    cluster.balancer = await Balancer.start();
    await cluster.redis.ready();
    cluster.args = [
      "--open-registration",
      "--viewer-dir",
      new URL("../../viewer", import.meta.url).pathname,
      "--redis-url",
      cluster.redis.url,
      "--public-origin",
      cluster.balancer.origin,
    ];
    const first = cluster.#place();
    const world = await World.open({
      path,
      server: [...first.args, ...cluster.args],
      wrapper: first.wrapper,
    });
    world.keep(cluster.balancer);
    world.keep(cluster.redis);
    Object.assign(cluster, { world });
    world.origin = cluster.balancer.origin;
    cluster.#add(world.server, first);
    await cluster.grow();
    await cluster.grow();
    return cluster;
  }

  async grow() {
    const place = this.#place();
    const node = this.world.keep(new Server([...place.args, ...this.args], place.wrapper));
    await node.ready();
    this.#add(node, place);
  }

  /** Where the next server can be. */
  #place() {
    if (!net) return { args: [], wrapper: [] };
    const place = net.places.find(({ name }) => !this.#taken.has(name));
    this.#taken.add(place.name);
    const at = `${place.address}:0`;
    return {
      ...place,
      args: ["--listen", at, "--relay-listen", at],
      wrapper: ["ip", "netns", "exec", place.name],
    };
  }

  #add(node, place) {
    node.ended.then(() => this.#taken.delete(place.name));
    this.nodes.push(node);
    this.balancer.backs.push(node.listen);
  }

  /** The node whose relay carries the handoff. */
  async owner() {
    for (;;) {
      for (const node of this.nodes)
        if ((await node.metric("authloop_relay_legs_connected")) > 0) return node;
      await pause(50);
    }
  }

  /** Ends the owner by this signal, and puts a new server in its place. */
  async lose(signal) {
    const node = await this.owner();
    node.kill(signal);
    const at = performance.now();
    this.nodes = this.nodes.filter((other) => other !== node);
    const gone = node.ended.then(
      () => (this.balancer.backs = this.balancer.backs.filter((back) => back !== node.listen)),
    );
    if (signal === "SIGKILL") await gone;
    await this.grow();
    return { at, gone };
  }
}

/** Follows what the remote page gets: its text, and how long nothing came, since `since()`. */
async function follow(site, typed, since, seen) {
  let [gap, records, last] = [0, [], null];
  for (;;) {
    records = await site.records(records.length + 1);
    const now = performance.now();
    if (since() && last) gap = Math.max(gap, now - Math.max(last, since()));
    last = now;
    const text = records.filter((r) => r.step === "text").at(-1)?.fields.value ?? "";
    const downs = records
      .filter((r) => r.step === "keydown")
      .map((r) => r.fields.value)
      .join("");
    Object.assign(seen, { text, downs });
    if (text.length >= typed.length && downs.length >= typed.length) return gap;
  }
}

for (const [name, signal, times] of [
  ["the relay's server is killed while its user types", "SIGKILL", KILLS],
  ["the relay's server is stopped while its user types", "SIGTERM", 1],
]) {
  test(`${name}: nothing lost, doubled or reordered`, {
    timeout: 60_000 + times * 30_000,
  }, async (t) => {
    const cluster = await Cluster.open("/extra/keys");
    const { world } = cluster;
    try {
      const { host, viewer } = await world.live("desktop");
      await viewer.page.waitForSelector("#pad[autocomplete=off]", { state: "attached" });
      const gaps = [];
      let typed = "";
      for (let n = 1; n <= times; n += 1) {
        const text = `this is typed while server ${n} goes, and on. `;
        typed += text;
        let lost = null;
        const seen = {};
        const arrived = within(
          25_000,
          () => `${JSON.stringify(typed)}: there is ${JSON.stringify(seen)}`,
          follow(world.site, typed, () => lost?.at, seen),
        );
        const typing = viewer.page.keyboard.type(text, { delay: PACE });
        await pause(6 * PACE);
        lost = await cluster.lose(signal);
        await typing;
        const gap = await arrived;
        assert.deepEqual(seen, { text: typed, downs: typed });
        gaps.push(Math.round(gap));
        await lost.gone;
        await viewer.state("live");
      }
      gaps.sort((a, b) => a - b);
      const at = (share) => gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * share))];
      const found = {
        signal,
        times,
        namespaces: net !== null,
        gap_ms: { p50: at(0.5), p95: at(0.95), max: gaps.at(-1) },
      };
      t.diagnostic(JSON.stringify(found));
      assert.ok(at(0.5) < GAP_MS, JSON.stringify(gaps));
      if (times >= 20) assert.ok(at(0.95) < GAP_MS, JSON.stringify(gaps));
      await viewer.done();
      assert.equal((await host.outcome()).code, 0);
    } catch (error) {
      await world.tell(name);
      throw error;
    } finally {
      await world.close();
    }
  });
}
