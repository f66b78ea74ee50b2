// Looks into the remote page, as its agent could: where things are, and what it shows.

import { once } from "node:events";
import { WebSocket } from "ws";

export class Probe {
  #id = 0;
  #waiting = new Map();

  /** The page at the remote browser whose address begins so. */
  static async open(cdp, address) {
    const targets = await (await fetch(`${cdp}/json/list`)).json();
    const target = targets.find((t) => t.type === "page" && t.url.startsWith(address));
    if (!target) throw new Error(`no page at ${address}: ${targets.map((t) => t.url)}`);
    const probe = new Probe();
    probe.ws = new WebSocket(target.webSocketDebuggerUrl, { perMessageDeflate: false });
    await once(probe.ws, "open");
    probe.ws.on("message", (data) => {
      const { id, result, error } = JSON.parse(data);
      const [resolve, reject] = probe.#waiting.get(id) ?? [];
      probe.#waiting.delete(id);
      error ? reject?.(new Error(error.message)) : resolve?.(result);
    });
    return probe;
  }

  send(method, params = {}) {
    const id = ++this.#id;
    this.ws.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#waiting.set(id, [resolve, reject]));
  }

  async eval(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits inside the page until an expression is true. */
  until(expression) {
    return this.eval(
      `new Promise((done) => { const look = () => (${expression}) ? done(true) : setTimeout(look, 20); look(); })`,
    );
  }

  async goto(url) {
    await this.send("Page.navigate", { url });
    await this.until(
      `location.href.startsWith(${JSON.stringify(url)}) && document.readyState === "complete"`,
    );
  }

  /** The middle of an element, in fractions of the visible page. */
  async middle(element) {
    await this.until(
      `(() => { const b = ${element}?.getBoundingClientRect(); return b && b.height > 0; })()`,
    );
    return this.eval(`(() => { const e = ${element}; e.scrollIntoView({ block: "nearest" }); const b = e.getBoundingClientRect();
      return [(b.x + b.width / 2) / innerWidth, (b.y + b.height / 2) / innerHeight]; })()`);
  }

  async stop() {
    this.ws.close();
  }
}
