// Every screen, light and dark, phone and laptop: clean for axe-core, nothing cut off.
// SHOTS=dir node --test test/browser/screens.test.mjs also writes pictures to look at.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { violationsIn } from "../support/axe.mjs";
import { bench, enabled, inState } from "../support/browser.mjs";

const shots = process.env.SHOTS;
const only = process.env.ONLY;
if (shots) mkdirSync(shots, { recursive: true });

const DEVICES = {
  narrow: {
    viewport: { width: 320, height: 568 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
  },
  phone: {
    viewport: { width: 390, height: 760 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
  },
  desktop: { viewport: { width: 1200, height: 800 } },
};

let b;
before(async () => {
  b = await bench();
});
after(async () => {
  await b?.stop();
});

async function check(page, name) {
  await page.waitForTimeout(150);
  if (shots) await page.screenshot({ path: `${shots}/${name}.png` });
  assert.deepEqual(
    (await violationsIn(page)).map(
      (v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join(" | ")}`,
    ),
    [],
    name,
  );
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wide, false, `${name} scrolls sideways`);
  const cut = await page.evaluate(() =>
    [...document.querySelectorAll("button, p, h1, strong")]
      .filter(
        (x) =>
          x.checkVisibility({ visibilityProperty: true }) && !x.closest(".sr") && !x.matches(".sr"),
      )
      .filter((x) => {
        const r = x.getBoundingClientRect();
        return r.width > 0 && (r.left < -1 || r.right > innerWidth + 1);
      })
      .map((x) => x.id || x.textContent),
  );
  assert.deepEqual(cut, [], `${name}: cut off at a side`);
  const over = await page.evaluate(() => {
    const shown = [...document.querySelectorAll(".tools button")]
      .filter((x) => x.checkVisibility({ visibilityProperty: true }))
      .map((x) => [x.id || x.textContent, x.getBoundingClientRect()]);
    return shown.flatMap(([a, r], i) =>
      shown
        .slice(i + 1)
        .filter(
          ([, q]) =>
            r.left < q.right - 1 &&
            q.left < r.right - 1 &&
            r.top < q.bottom - 1 &&
            q.top < r.bottom - 1,
        )
        .map(([b]) => `${a} over ${b}`),
    );
  });
  assert.deepEqual(over, [], `${name}: buttons over each other`);
  const small = await page.evaluate(() =>
    [...document.querySelectorAll("button, [role=button]")]
      .filter(
        (x) =>
          x.checkVisibility({ visibilityProperty: true }) &&
          (x.offsetHeight < 44 || x.offsetWidth < 44),
      )
      .map((x) => x.id),
  );
  assert.deepEqual(small, [], `${name}: targets below 44 px`);
}

// Each theme, each size, and a script that runs from right to left; MATRIX=all plays every one of
// them with every locale.
const ALL = ["en-US", "de", "es", "fr", "ja", "ar"].flatMap((l) =>
  ["light", "dark"].flatMap((c) => Object.keys(DEVICES).map((d) => [l, c, d])),
);
const SOME = [
  ["en-US", "light", "phone"],
  ["en-US", "dark", "desktop"],
  ["de", "light", "narrow"],
  ["ar", "dark", "narrow"],
];
for (const [locale, scheme, device] of process.env.MATRIX === "all" ? ALL : SOME) {
  const tag = `${locale}-${scheme}-${device}`;
  if (only && !tag.includes(only)) continue;
  /** The invitation, in a viewer of its own. */
  const open = async (t, invitation) => {
    const s = await b.session(invitation);
    const v = await b.viewer({
      ...DEVICES[device],
      colorScheme: scheme,
      locale,
      reducedMotion: device === "narrow" ? "reduce" : "no-preference",
      contrast: device === "desktop" ? "more" : "no-preference",
    });
    t.after(() => v.context.close());
    await v.page.goto(s.link);
    await inState(v.page, "invitation");
    return { s, ...v };
  };
  test(tag, async (t) => {
    const { s, page, errors } = await open(t);
    await check(page, `${tag}-1-invitation`);

    b.stub.tamper = (m) => (m.type === "ice" ? null : m);
    await page.click("#open");
    await page.waitForFunction(
      () => document.querySelector("[aria-current=step]")?.dataset.step === "host",
    );
    await check(page, `${tag}-2-connecting`);
    const turning = await page.evaluate(() => document.getAnimations().map((a) => a.animationName));
    assert.deepEqual(
      [...new Set(turning)],
      [device === "narrow" ? "pulse" : "spin"],
      "what moves while one waits",
    );
    b.stub.tamper = null;
    b.stub.cut(s.id);
    await enabled(page);
    await page.waitForFunction(() => document.documentElement.dataset.firstFrame);
    await page.waitForTimeout(800);
    await check(page, `${tag}-3-live`);

    const w = 65535;
    await s.host.evaluate((f) => fake.output(f), {
      t: "field",
      field: {
        kind: "email",
        inputmode: "",
        autocomplete: "username",
        enterkeyhint: "next",
        secret: false,
        multiline: false,
        length: 0,
        rect: [w * 0.2, w * 0.27, w * 0.6, w * 0.07].map(Math.round),
      },
    });
    await page.waitForTimeout(200);
    await check(page, `${tag}-4-field`);
    await s.host.evaluate(() =>
      fake.setPage({
        connection: "secure",
        certificate: {
          subject: "login.example.com",
          issuer: "Example Trust Services R3",
          valid_to: 1_800_000_000,
        },
      }),
    );
    await s.host.evaluate((f) => fake.output(f), {
      t: "field",
      field: {
        id: 7,
        kind: "password",
        inputmode: "",
        autocomplete: "",
        enterkeyhint: "",
        secret: true,
        multiline: false,
        length: 0,
        rect: [w * 0.2, w * 0.27, w * 0.6, w * 0.07].map(Math.round),
        origin: "https://payments.example.net",
        expected: false,
      },
    });
    await page.waitForSelector("#unexpected:not([hidden])");
    await check(page, `${tag}-4-frame-unexpected`);
    await page.click("#unexpected-continue");
    await page.click("#site");
    await page.waitForSelector("#sheet-site[open]");
    await check(page, `${tag}-4-site`);
    await page.click("#sheet-site [data-close]");
    await s.host.evaluate(() => fake.output({ t: "field", field: null }));
    await s.host.evaluate(() =>
      fake.setPage({
        connection: "broken",
        secure: false,
        certificate: {
          subject: "accounts.example",
          issuer: "Nobody in particular",
          valid_to: 1_600_000_000,
          problem: "net::ERR_CERT_DATE_INVALID",
        },
        origin: "https://accounts.google.signin.security.check.xn--pple-43d-very-long-name.com",
        expected: false,
        epoch: 2,
        loading: true,
      }),
    );
    await page.waitForSelector("#unexpected:not([hidden])");
    await check(page, `${tag}-5-unexpected`);
    await page.click("#site");
    await check(page, `${tag}-5-site-unexpected`);
    await page.click("#sheet-site [data-close]");
    await page.click("#unexpected-continue");
    await s.host.evaluate(() =>
      fake.output({
        t: "dialog",
        id: 1,
        kind: "prompt",
        message: "Enter the name of this device:",
        default: "My phone",
      }),
    );
    await page.waitForSelector("#page-dialog[open]");
    await check(page, `${tag}-6-dialog`);
    await page.click("#page-dialog-ok");
    await page.click("#decline");
    await check(page, `${tag}-7-decline`);
    await page.click("#sheet-decline [data-close]");
    await page.click("#compose");
    await check(page, `${tag}-8-compose`);
    await page.click("#sheet-compose [data-close]");
    await s.host.evaluate(() =>
      fake.output({ t: "checked", verdict: "not_signed_in", message: "" }),
    );
    await page.waitForSelector("#sheet-checked[open]");
    await check(page, `${tag}-8-checked`);
    await page.click("#checked-retry");
    await s.host.evaluate(() =>
      fake.output({ t: "checked", verdict: "inconclusive", message: "" }),
    );
    await page.waitForSelector("#sheet-checked[open]");
    await check(page, `${tag}-8-unclear`);
    await page.click("#checked-retry");
    await s.host.evaluate(() => fake.output({ t: "notice", code: "second_claim", message: "" }));
    await page.waitForSelector("#notices li");
    b.stub.relay.dead = true;
    await inState(page, "reconnecting");
    await check(page, `${tag}-9-reconnecting`);
    b.stub.relay.dead = false;
    await inState(page, "live", 30_000);
    await page.click("#done");
    await inState(page, "ended");
    await check(page, `${tag}-a-ended`);
    await page.goto("about:blank");
    await page.goto(`${b.stub.origin}/#abc`);
    await inState(page, "error");
    assert.equal(await page.textContent("#error-code"), "link_incomplete");
    await check(page, `${tag}-b-error`);
    assert.deepEqual(errors, []);
    await s.closeHost();
  });
  test(`${tag}, private`, async (t) => {
    const sites = [
      "bank.example",
      "xn--bcher-kva.example",
      "a-rather-long-name-of-a-company.example",
    ];
    const { s, page, errors } = await open(t, { room: { start: "as_is", sites } });
    await check(page, `${tag}-c-invitation`);
    await page.click("#open");
    await enabled(page);
    await page.waitForFunction(() => document.documentElement.dataset.firstFrame);
    await check(page, `${tag}-d-live`);
    await page.click("#site");
    await check(page, `${tag}-d-site`);
    await page.click("#sheet-site [data-close]");
    await page.click("#done");
    await check(page, `${tag}-e-done`);
    await page.click("#sheet-done [data-close]");
    if (device === "desktop") await page.click("#start-over");
    else {
      await page.click("#site");
      await page.click("#site-start-over");
    }
    await check(page, `${tag}-f-start-over`);
    await page.click("#sheet-start-over [data-close]");
    const say = (json) => s.host.evaluate((o) => fake.output(o), json);
    await say({ t: "moving" });
    await page.waitForSelector("#overlay:not([hidden])");
    await check(page, `${tag}-g-moving`);
    await say({ t: "not_moved", in_place: true, message: "" });
    await page.waitForSelector("#sheet-not-moved[open]");
    await check(page, `${tag}-h-not-moved`);
    await page.click("#not-moved-in-place");
    await say({ t: "in_place" });
    await enabled(page);
    await check(page, `${tag}-i-in-place`);
    await page.click("#done");
    await inState(page, "ended");
    assert.deepEqual(errors, []);
    await s.closeHost();
  });
}
