// A network of its own for a browser, from which only one TCP port of one address can be reached.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";

const run = (file, args, input) =>
  execFileSync(file, args, { input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
export const ip = (...args) => run("ip", args);

/**
 * Brings these links up, and returns once they are. Chromium gives up all that it is loading
 * whenever a link or an address comes (`ERR_NETWORK_CHANGED`), and a link is up only some time
 * after it was told to be; an IPv6 address that Linux gives itself would come later still.
 */
export function bringUp(...links) {
  for (const link of links) {
    ip("link", "set", link, "addrgenmode", "none");
    ip("link", "set", link, "up");
  }
  const states = () =>
    JSON.parse(ip("-json", "link", "show", "up"))
      .filter(({ ifname }) => links.includes(ifname))
      .map(({ operstate }) => operstate);
  for (
    let left = 100;
    states().filter((state) => state === "UP").length < links.length;
    left -= 1
  ) {
    if (left === 0) throw new Error(`links are not up: ${links} are ${states()}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

/** Why there can be none here, or `false`. */
export function whyNoNamespaces() {
  if (process.getuid() !== 0) return "network namespaces need root";
  try {
    const name = `al-probe-${process.pid}`;
    ip("netns", "add", name);
    try {
      run("ip", ["netns", "exec", name, "nft", "add", "table", "inet", "probe"]);
    } finally {
      ip("netns", "del", name);
    }
    return false;
  } catch (error) {
    return `no network namespace with nftables here: ${error.message}`;
  }
}

/**
 * Eight addresses of a namespace's own. A namespace goes some time after it was told to, with the
 * last process in it: the next one with its addresses would speak to the old one's link.
 */
function subnet() {
  const n = (process.pid + nextSubnet++) % 4096;
  const address = (host) => `10.213.${128 + (n >> 5)}.${(n % 32) * 8 + host}`;
  return { outside: address(1), inside: address(2), elsewhere: address(3) };
}
let nextSubnet = 0;

export class Netns {
  #subnet = subnet();
  /** This side's address: what runs outside of the namespace listens here. */
  outside = this.#subnet.outside;
  inside = this.#subnet.inside;
  #name = `al${process.pid}`;
  #folder = mkdtempSync(`${tmpdir()}/authloop-netns-`);

  constructor() {
    const [near, far] = [`${this.#name}a`, `${this.#name}b`];
    ip("netns", "add", this.#name);
    try {
      ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", this.#name);
      ip("addr", "add", `${this.outside}/29`, "dev", near);
      ip("-n", this.#name, "addr", "add", `${this.inside}/29`, "dev", far);
      ip("-n", this.#name, "link", "set", far, "addrgenmode", "none");
      for (const link of [far, "lo"]) ip("-n", this.#name, "link", "set", link, "up");
      bringUp(near);
      ip("-n", this.#name, "route", "add", "default", "via", this.outside);
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Lets nothing out but TCP to this port, and counts the UDP that is dropped. */
  onlyTcp(port) {
    this.#nft(`
      table inet only
      delete table inet only
      table inet only {
        counter tried { }
        chain out {
          type filter hook output priority 0; policy drop;
          oif lo accept
          ip daddr ${this.outside} tcp dport ${port} accept
          meta l4proto udp counter name tried drop
        }
      }`);
  }

  /** How many UDP datagrams were dropped. */
  droppedUdp() {
    const [, packets] = /packets (\d+)/.exec(
      this.#exec("nft", "list", "counter", "inet", "only", "tried"),
    );
    return Number(packets);
  }

  /** Another address in here, and not the old one any more: as from Wi-Fi to the mobile network. */
  changeAddress() {
    const far = `${this.#name}b`;
    const old = this.inside;
    const { inside, elsewhere } = this.#subnet;
    this.inside = old === inside ? elsewhere : inside;
    ip("-n", this.#name, "addr", "del", `${old}/29`, "dev", far);
    ip("-n", this.#name, "addr", "add", `${this.inside}/29`, "dev", far);
    ip("-n", this.#name, "route", "replace", "default", "via", this.outside);
  }

  /** Stops everything that runs in here, as a phone does with its screen locked. */
  sleep() {
    this.#signal("SIGSTOP");
  }

  wake() {
    this.#signal("SIGCONT");
  }

  /** Every TCP connection out of here breaks, as when a phone changes its network. */
  breakTcp() {
    this.#exec("ss", "--kill", "--tcp", "state", "established");
  }

  /** A program that runs `file` inside, for whoever can be told a path only. */
  wrapper(file) {
    const path = `${this.#folder}/run`;
    writeFileSync(path, `#!/bin/sh\nexec ip netns exec ${this.#name} ${file} "$@"\n`, {
      mode: 0o755,
    });
    return path;
  }

  stop() {
    ip("netns", "del", this.#name);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #signal(signal) {
    for (const pid of ip("netns", "pids", this.#name).split("\n").filter(Boolean))
      process.kill(Number(pid), signal);
  }

  #nft(rules) {
    run("ip", ["netns", "exec", this.#name, "nft", "-f", "-"], rules);
  }

  #exec(...command) {
    return run("ip", ["netns", "exec", this.#name, ...command]);
  }
}
