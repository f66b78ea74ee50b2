// The signaling socket, without a network.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

/** @type {FakeSocket[]} */
const sockets = [];
class FakeSocket {
  closed = false;
  sent = [];
  readyState = 1;
  static OPEN = 1;
  constructor() {
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
}
Object.assign(globalThis, {
  WebSocket: FakeSocket,
  addEventListener: () => {},
  removeEventListener: () => {},
  document: { visibilityState: "visible", addEventListener() {}, removeEventListener() {} },
});
const { Signaling } = await import("../js/signaling.js");

/** Opens a socket that hears `messages`, and waits a minute. */
async function afterAMinute(...messages) {
  mock.timers.enable({ apis: ["setTimeout"] });
  const heard = [];
  let wake = () => {};
  const signaling = new Signaling("ws://server", {
    authenticate: async () => ({}),
    message: (m) => {
      heard.push(m.type);
      wake();
    },
    closed: () => ({ retry: false, code: "" }),
    fatal: () => {},
    up: () => {},
  });
  signaling.connect();
  const socket = sockets.at(-1);
  for (const message of messages) {
    const came = new Promise((resolve) => (wake = () => resolve(null)));
    socket.onmessage({ data: JSON.stringify(message) });
    await came;
  }
  mock.timers.tick(60_000);
  mock.timers.reset();
  return socket.closed;
}

test("a server that does not answer is given up; another device's user may take their time", async () => {
  assert.equal(await afterAMinute(), true);
  assert.equal(await afterAMinute({ type: "welcome" }), false);
  assert.equal(await afterAMinute({ type: "waiting" }), false);
});
