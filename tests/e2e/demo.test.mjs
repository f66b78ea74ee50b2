// script/demo's program: one command, a link, a person, a signed-in browser, and nothing left
// behind.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { bin, DEVICES, Host, plainBrowser, within } from "./lib/harness.mjs";
import { Viewer } from "./lib/viewer.mjs";

let browser;
before(async () => (browser = await plainBrowser()));
after(() => browser?.close());

/** Everything below a process. */
function family(pid) {
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((child) => {
      try {
        // The name, in brackets, may hold anything; the parent is the second word after it
        // (proc(5)).
        return [
          [
            Number(child),
            Number(readFileSync(`/proc/${child}/stat`, "utf8").split(") ").at(-1).split(" ")[1]),
          ],
        ];
      } catch {
        return [];
      }
    });
  const below = (p) =>
    parents.filter(([, parent]) => parent === p).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

const zombie = (pid) => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));

/** Waits until none of them runs. */
function gone(pids) {
  let timer;
  const running = () =>
    pids.filter((pid) => {
      try {
        return existsSync(`/proc/${pid}`) && !zombie(pid);
      } catch {
        return false;
      }
    });
  const ended = new Promise(
    (resolve) => (timer = setInterval(() => running().length === 0 && resolve(), 50)),
  );
  return within(15_000, () => `the end of processes ${running()}`, ended).finally(() =>
    clearInterval(timer),
  );
}

async function play(args, act) {
  const demo = new Host("demo", bin("authloop-demo"), ["--json", ...args]);
  const context = await browser.newContext({ ...DEVICES.phone, ignoreHTTPSErrors: true });
  const viewer = await Viewer.start(context, "phone");
  try {
    await act(demo, viewer);
  } catch (error) {
    console.error(demo.tail(), await viewer.tell().catch(String));
    throw error;
  } finally {
    await context.close();
    await demo.stop();
  }
}

for (const args of [[], ["--lan"]]) {
  test(
    `the demo${args.map((a) => ` ${a}`)}: an ordinary phone browser signs in`,
    { timeout: 120_000 },
    () =>
      play(args, async (demo, viewer) => {
        const link = await demo.link();
        assert.match(
          link,
          args.length ? /^https:\/\/[\d.]+:\d+\/#/ : /^http:\/\/127\.0\.0\.1:\d+\/#/,
        );
        const children = family(demo.pid);

        await viewer.open(link);
        await viewer.claim();
        await viewer.field("username");
        await viewer.type("ada@example.com");
        await viewer.press("Tab");
        await viewer.field("current-password");
        await viewer.type("orchid-lamp-42");
        await viewer.press("Enter");
        await viewer.field("one-time-code");
        await viewer.type("271828");
        await viewer.press("Enter");
        await viewer.page.waitForFunction(
          () => !document.querySelector("#pad[autocomplete=one-time-code]"),
        );
        await viewer.done();

        assert.deepEqual(await demo.outcome(), { code: 0, event: "resolved", cookies: 1 });
        assert.deepEqual(demo.strays, [], "only JSON on standard output");
        assert.ok(children.length >= 4, "server, browser, host and guardian ran");
        await gone(children);
      }),
  );
}

for (const signal of ["SIGTERM", "SIGKILL"]) {
  test(`the demo takes everything with it on ${signal}`, { timeout: 60_000 }, () =>
    play([], async (demo) => {
      await demo.link();
      const children = family(demo.pid);
      assert.ok(children.length >= 4);

      demo.kill(signal);

      assert.notEqual(await demo.exit(), 0);
      await gone(children);
    }),
  );
}
