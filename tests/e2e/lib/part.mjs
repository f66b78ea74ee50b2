// A child process whose lines can be waited for.

import { spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { createWriteStream, mkdirSync } from "node:fs";
import { createInterface } from "node:readline";

export const ARTIFACTS = new URL("../../artifacts/", import.meta.url).pathname;
mkdirSync(ARTIFACTS, { recursive: true });

const MAX_LINES_KEPT = 400;
// Settings of whoever runs the tests must not reach what is tested.
const ENV = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("AUTHLOOP_")),
);
const living = new Set();
let started = 0;
// Whatever ends this process ends what it started.
process.on("exit", () => {
  for (const part of living) part.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** Rejects with what was waited for, instead of hanging. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms / 1000} s in vain for ${what()}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class Part {
  /** JSON objects that it printed on stdout. */
  events = [];
  /** What else it printed there. */
  strays = [];
  /** Its last lines, stdout and stderr. */
  lines = [];
  #changed = new EventEmitter().setMaxListeners(0);
  #code = null;

  /**
   * @param {string} name
   * @param {string} file
   * @param {string[]} args
   * @param {{env?: Record<string, string>, group?: boolean, input?: boolean}} [options] `group`: it
   *   has children that must die too; `input`: it is told things on its standard input
   */
  constructor(name, file, args, { env = {}, group = false, input = false } = {}) {
    this.name = name;
    this.group = group;
    this.logFile = `${ARTIFACTS}${name}.${process.pid}-${started++}.log`;
    const log = createWriteStream(this.logFile);
    this.child = spawn(file, args, {
      env: { ...ENV, ...env },
      detached: group,
      stdio: [input ? "pipe" : "ignore", "pipe", "pipe"],
    });
    living.add(this);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        log.write(`${line}\n`);
        this.lines.push(line);
        if (this.lines.length > MAX_LINES_KEPT) this.lines.shift();
        if (stream === this.child.stdout)
          line.startsWith("{") ? this.events.push(JSON.parse(line)) : this.strays.push(line);
        this.#changed.emit("change");
      });
    }
    this.ended = new Promise((resolve) => {
      const over = (code) => {
        this.#code ??= code;
        living.delete(this);
        log.end();
        this.#changed.emit("change");
        resolve(this.#code);
      };
      this.child.on("error", (error) => {
        this.lines.push(String(error));
        over("it could not be started");
      });
      this.child.on("close", (code, signal) => over(code ?? signal));
    });
  }

  get pid() {
    return this.child.pid;
  }

  /** Waits until `look` gives something, each time the process says something. */
  #until(look, what, ms) {
    let check;
    const found = new Promise((resolve, reject) => {
      check = () => {
        const result = look();
        if (result !== undefined) resolve(result);
        else if (this.#code !== null)
          reject(new Error(`${this.name} ended (${this.#code}) before ${what}\n${this.tail()}`));
      };
      this.#changed.on("change", check);
      check();
    });
    return within(ms, () => `${what} of ${this.name}; it last said\n${this.tail()}`, found).finally(
      () => this.#changed.off("change", check),
    );
  }

  /** The first event for which `match` holds, past or to come. */
  event(match, what, ms = 30_000) {
    return this.#until(() => this.events.find(match), what, ms);
  }

  /** The first line that `pattern` matches, past or to come; gives the match. */
  line(pattern, ms = 30_000) {
    return this.#until(
      () => this.lines.map((line) => pattern.exec(line)).find((m) => m) ?? undefined,
      `a line like ${pattern}`,
      ms,
    );
  }

  /** Its exit code. */
  exit(ms = 30_000) {
    return within(ms, () => `the end of ${this.name}; it last said\n${this.tail()}`, this.ended);
  }

  kill(signal) {
    if (this.#code !== null || !this.pid) return;
    try {
      process.kill(this.group ? -this.pid : this.pid, signal);
    } catch {
      // It ended in this moment.
    }
  }

  async stop() {
    this.kill("SIGTERM");
    await within(5000, () => "", this.ended).catch(() => this.kill("SIGKILL"));
    await this.ended;
  }

  tail(lines = 25) {
    return this.lines
      .slice(-lines)
      .map((line) => `  ${this.name}| ${line}`)
      .join("\n");
  }
}
