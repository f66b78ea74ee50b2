// A user behind a bad network: `authloop-loadtest impair` between their browser and the relay.

import { bin, Part, World } from "./harness.mjs";

/**
 * @typedef {object} NetworkConditions
 * @property {number} [loss] 0..1
 * @property {number} [delay_ms] one way
 * @property {number} [jitter_ms]
 * @property {number} [rate_bps] 0: no limit
 * @property {number} [queue_ms]
 * @typedef {{passed: number, bytes: number, lost: number, overflowed: number}} Tally
 */

export class ImpairedPath extends Part {
  /** @param {string} upstream */
  constructor(upstream, seed = 1) {
    super(
      "impair",
      bin("authloop-loadtest"),
      ["impair", "--upstream", upstream, "--seed", String(seed)],
      { input: true },
    );
  }

  async ready() {
    this.udp = (await this.event((e) => e.event === "listening", "the start")).udp;
  }

  /**
   * Changes the conditions and tells what happened so far.
   * @param {{down?: NetworkConditions, up?: NetworkConditions}} change
   * @returns {Promise<{down: Tally, up: Tally}>}
   */
  setConditions(change = {}) {
    const said = this.events.length;
    this.child.stdin.write(`${JSON.stringify(change)}\n`);
    return this.event((_, n) => n >= said, "a report");
  }

  async stop() {
    this.child.stdin.end();
    await super.stop();
  }
}

/** A world whose viewers reach the relay through the bad network, and no other way. */
export async function impairedWorld(options = {}) {
  const world = await World.open({ ...options, mitm: true });
  try {
    world.impair = world.keep(new ImpairedPath(world.server.relay));
    await world.impair.ready();
    world.mitm.tamper = ({ side, from, message }) => {
      if (side !== "viewer" || from !== "server" || message.type !== "ice") return message;
      const { tcp: _, turn: __, ...ice } = message;
      return { ...ice, candidates: [world.impair.udp] };
    };
    return world;
  } catch (error) {
    await world.close();
    throw error;
  }
}
