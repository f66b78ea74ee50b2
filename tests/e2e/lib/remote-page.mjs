// The remote browser's page as a test looks into it, beside authloop.

import { WebSocket } from "ws";
import { within } from "./part.mjs";

export class RemotePage {
  #next = 0;
  #waiting = new Map();

  /** @param {string} cdp the browser's address */
  static async of(cdp) {
    const page = new RemotePage();
    const list = await (await fetch(`${cdp}/json/list`)).json();
    page.socket = new WebSocket(list.find((t) => t.type === "page").webSocketDebuggerUrl);
    page.socket.on("message", (data) => {
      const answer = JSON.parse(data);
      page.#waiting.get(answer.id)?.(answer);
    });
    await new Promise((resolve, reject) => page.socket.once("open", resolve).once("error", reject));
    return page;
  }

  send(method, params = {}) {
    const id = ++this.#next;
    const answered = new Promise((resolve) => this.#waiting.set(id, resolve));
    this.socket.send(JSON.stringify({ id, method, params }));
    return within(20_000, () => `an answer to ${method}`, answered).finally(() =>
      this.#waiting.delete(id),
    );
  }

  async evaluate(expression) {
    const { result } = await this.send("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    return result?.result?.value;
  }

  /** Waits until it shows a whole document of that origin. */
  async reaches(origin) {
    const seek = async () => {
      while (
        !(await this.evaluate(
          `location.origin === ${JSON.stringify(origin)} && document.readyState === "complete"`,
        ).catch(() => false))
      );
    };
    return within(20_000, () => `the page at ${origin}`, seek());
  }

  async stop() {
    this.socket.close();
  }
}
