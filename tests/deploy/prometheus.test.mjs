// Rules and dashboard against a real server, watched by a real Prometheus.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  DEPLOY,
  exercise,
  folder,
  freePort,
  Host,
  metricNames,
  Part,
  run,
  Server,
  seriesNames,
  within,
} from "./parts.mjs";

const RULES = `${DEPLOY}prometheus/rules.yml`;
const DASHBOARD = `${DEPLOY}grafana/dashboards/authloop.json`;
const read = (path) => readFileSync(path, "utf8");
const rules = read(RULES);
const dashboard = JSON.parse(read(DASHBOARD));
const expressions = dashboard.panels.flatMap((panel) =>
  (panel.targets ?? []).map((target) => target.expr),
);
const variables = dashboard.templating.list;
const wake = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test("promtool takes the rules and the configuration, and its tests of the rules pass", () => {
  run("promtool", ["check", "rules", RULES]);
  run("promtool", ["check", "config", `${DEPLOY}prometheus/prometheus.yml`]);
  run("promtool", ["test", "rules", `${DEPLOY}prometheus/rules.test.yml`]);
});

test("every alert is seen ringing, and says what it is and what to do", () => {
  const alerts = [...rules.matchAll(/- alert: (\w+)([\s\S]*?)(?=- alert:|$)/g)];
  const tests = read(`${DEPLOY}prometheus/rules.test.yml`);
  assert.ok(alerts.length >= 20, `${alerts.length} alerts`);
  for (const [, name, body] of alerts) {
    assert.match(tests, new RegExp(`alertname="${name}"`), `${name} has no test`);
    for (const part of ["severity: ", "summary: ", "action: "])
      assert.ok(body.includes(part), `${name} has no ${part}`);
  }
});

test("the dashboard stands on its own variables and the provisioned data source", () => {
  const source = read(`${DEPLOY}grafana/provisioning/datasources/prometheus.yml`);
  assert.match(source, new RegExp(`uid: ${variables[0].current.value}\n`));
  const ids = dashboard.panels.map((panel) => panel.id);
  assert.equal(new Set(ids).size, ids.length, "ids twice");
  for (const panel of dashboard.panels) {
    assert.ok(panel.type === "row" || panel.targets.length > 0, `${panel.title} shows nothing`);
    for (const { datasource } of panel.targets ?? []) {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of Grafana's.
      assert.equal(datasource.uid, "${datasource}", panel.title);
    }
    const { x, w } = panel.gridPos;
    assert.ok(x + w <= 24, `${panel.title} is off the grid`);
  }
  const known = new Set([
    "datasource",
    ...variables.map((variable) => variable.name),
    "__rate_interval",
  ]);
  for (const expr of expressions)
    for (const [, name] of expr.matchAll(/\$\{?(\w+)/g))
      assert.ok(known.has(name), `$${name} in ${expr}`);
});

test("rules and dashboard name only metrics that server and host publish, and the dashboard shows them all", {
  timeout: 60_000,
}, async (t) => {
  const server = await Server.start(t);
  await exercise(server);
  const host = await Host.start(t, server);
  const published = new Set([
    ...seriesNames(await server.metrics()),
    ...seriesNames(await host.metrics()),
  ]);

  const shown = metricNames(
    [...expressions, ...variables.map((v) => v.definition ?? "")].join("\n"),
  );
  const ruled = metricNames(
    rules
      .split("\n")
      .filter((line) => !/^\s*(#|summary:|action:)/.test(line))
      .join("\n"),
  );
  for (const [where, names] of [
    ["the rules", ruled],
    ["the dashboard", shown],
  ]) {
    assert.ok(names.size > 10, `${where} name too few to be true: ${[...names]}`);
    assert.deepEqual(
      [...names].filter((name) => !published.has(name)),
      [],
      `${where} name what is not there`,
    );
  }
  const base = (name) => name.replace(/_(bucket|sum|count)$/, "");
  const visible = new Set([...shown].map(base));
  assert.deepEqual(
    [...published].filter((name) => name.startsWith("authloop_") && !visible.has(base(name))),
    [],
    "nobody would see these",
  );
  const written = new Set([...rules.matchAll(/record: (\S+)/g)].map(([, name]) => name));
  const used = [...expressions.join("\n").matchAll(/authloop:[a-z0-9_:]+/g)].map(([name]) => name);
  assert.deepEqual(
    used.filter((name) => !written.has(name)),
    [],
    "recordings that no rule makes",
  );
});

test("a real Prometheus scrapes a real server and host, loads the rules, and answers the dashboard's queries", {
  timeout: 120_000,
}, async (t) => {
  const server = await Server.start(t);
  await exercise(server);
  const host = await Host.start(t, server);
  const home = folder(t);
  const config = read(`${DEPLOY}prometheus/prometheus.yml`)
    .replaceAll(/(scrape|evaluation)_interval: 15s/g, "$1_interval: 1s")
    .replace("[rules.yml]", `["${home}/rules.yml"]`)
    .replace("authloop:7444", server.admin)
    .concat(
      `  - job_name: authloop-host\n    static_configs: [{ targets: ["${host.scraped}"] }]\n`,
    );
  writeFileSync(`${home}/prometheus.yml`, config);
  writeFileSync(`${home}/rules.yml`, rules.replaceAll("interval: 30s", "interval: 1s"));
  const port = await freePort();
  const prometheus = new Part("prometheus", "prometheus", [
    `--config.file=${home}/prometheus.yml`,
    `--storage.tsdb.path=${home}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  t.after(() => prometheus.stop());
  await prometheus.line(/Server is ready to receive web requests/);
  const api = async (path, query = {}) => {
    const answer = await fetch(
      `http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(query)}`,
    );
    const { status, data, error } = await answer.json();
    assert.equal(status, "success", `${error}: ${JSON.stringify(query)}`);
    return data;
  };
  const value = async (query) => Number((await api("query", { query })).result[0]?.value[1] ?? NaN);
  const until = (query, wanted) =>
    within(
      60_000,
      () => `${query} to be ${wanted}; it said\n${prometheus.tail()}`,
      (async () => {
        while ((await value(query)) !== wanted) await wake(200);
      })(),
    );

  await until('up{job="authloop"}', 1);
  await until('authloop_sessions_ended_total{job="authloop",outcome="resolved"}', 1);
  await until('authloop_claims_total{job="authloop"}', 1);
  await until('authloop_host_sessions_open{job="authloop-host"}', 0);
  await until('authloop_second_claims_total{job="authloop"}', 1);
  // A recording rule ran on what was scraped.
  await until('count(authloop:sessions_registered:rate5m{job="authloop"})', 1);
  assert.equal(await value('sum(authloop_sessions{job="authloop",state="created"})'), 0);
  const groups = (await api("rules")).groups;
  assert.equal(groups.length, 6);
  assert.deepEqual(
    groups.flatMap((g) => g.rules).filter((r) => r.health === "err"),
    [],
  );
  for (const expr of expressions) {
    const query = expr
      .replaceAll("$job", "authloop")
      .replaceAll("$host_job", "authloop-host")
      .replaceAll("$instance", ".*")
      .replaceAll("$__rate_interval", "1m");
    await api("query", { query });
  }
});
