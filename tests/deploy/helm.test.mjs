// The chart, rendered by Helm's own engine and read as Kubernetes would.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { AUTHLOOP, DEPLOY, folder, run, TOOLS, yaml } from "./parts.mjs";

const least = { publicOrigin: "https://relay.example", apiKeys: { secretName: "authloop" } };
const balanced = { ...least, relay: { advertise: ["203.0.113.7", "203.0.113.8"], shards: 2 } };
const CASES = {
  "nothing given": {},
  "no keys": { publicOrigin: "https://relay.example", hostNetwork: true },
  "no address": least,
  "a key nobody knows": { ...balanced, replicaCount: 3 },
  "a path in the origin": { ...balanced, publicOrigin: "https://relay.example/authloop" },
  "no time to end": { ...balanced, terminationGracePeriodSeconds: 10 },
  "host network": { ...least, hostNetwork: true },
  "three alone": { ...least, hostNetwork: true, replicas: 3 },
  "Redis without the node's address": { ...balanced, redis: { secretName: "redis" } },
  "three as one": {
    ...least,
    hostNetwork: true,
    replicas: 3,
    redis: { secretName: "redis", prefix: "demo" },
  },
  balanced,
  everything: {
    ...balanced,
    viewerOrigins: ["https://view.example"],
    allowedHosts: ["authloop.monitoring"],
    embedOrigins: ["https://app.example"],
    brand: { name: "Contoso", accent: "#003366", logo: { configMapName: "brand" } },
    trustedProxies: ["10.0.0.1", "10.244.0.0/16"],
    tls: { secretName: "tls" },
    streams: { advertise: ["turns:relay.example:8443"] },
    ingress: { enabled: true, host: "relay.example", className: "nginx", tlsSecretName: "tls" },
    networkPolicy: {
      adminFrom: [{ podSelector: {} }],
      httpFrom: [
        { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ingress" } } },
      ],
    },
    serviceMonitor: { enabled: true, labels: { release: "prometheus" } },
    prometheusRule: { enabled: true },
    dashboard: { enabled: true },
    image: { digest: `sha256:${"0".repeat(64)}` },
    nodeSelector: { disk: "none" },
    priorityClassName: "high",
    imagePullSecrets: [{ name: "pull" }],
    tolerations: [{ operator: "Exists" }],
    podAnnotations: { a: "b" },
    podLabels: { c: "d" },
  },
  "ACME and an audit log": {
    ...balanced,
    http: { service: { type: "LoadBalancer", port: 443 } },
    audit: { claimName: "audit", retainDays: 90 },
    tls: { acme: { claimName: "acme", agreeTermsOfService: true, contact: ["ops@relay.example"] } },
  },
  "terms not agreed to": { ...balanced, tls: { acme: { claimName: "acme" } } },
  "two certificates": {
    ...balanced,
    tls: { secretName: "tls", acme: { claimName: "acme", agreeTermsOfService: true } },
  },
  "two writers": {
    ...least,
    hostNetwork: true,
    replicas: 2,
    redis: { secretName: "redis" },
    audit: { claimName: "audit" },
  },
  open: {
    publicOrigin: "https://relay.example",
    hostNetwork: true,
    openRegistration: true,
    podDisruptionBudget: { enabled: false },
  },
};

/** Rendered once for all tests. */
const rendered = JSON.parse(
  run(
    `${TOOLS}/python`,
    [new URL("chart.py", import.meta.url).pathname, `${DEPLOY}helm/authloop`, "1.30", "1.37"],
    { input: JSON.stringify(CASES) },
  ),
);
const docs = (name) => {
  assert.ok(rendered[name].docs, `${name}: ${rendered[name].error}`);
  return rendered[name].docs;
};
const kind = (name, wanted) => docs(name).filter((d) => d.kind === wanted);
const pod = (name) => kind(name, "Deployment")[0].spec.template.spec;
const env = (name) =>
  Object.fromEntries(pod(name).containers[0].env.map((e) => [e.name, e.value ?? e.valueFrom]));

test("Helm's linter has nothing against the chart", () => {
  assert.deepEqual(rendered.lint.errors, []);
  // 1 is information: it would like an icon.
  assert.deepEqual(
    rendered.lint.messages.filter((message) => message.severity > 1),
    [],
  );
});

test("what is missing or wrong is said before anything is installed", () => {
  for (const [name, said] of [
    ["nothing given", /publicOrigin is required/],
    ["no keys", /apiKeys.secretName is required/],
    ["no address", /relay.advertise is required/],
    ["a key nobody knows", /'replicaCount' not allowed/],
    ["a path in the origin", /publicOrigin/],
    ["no time to end", /terminationGracePeriodSeconds/],
    ["three alone", /redis.secretName is required/],
    ["Redis without the node's address", /hostNetwork is required with redis/],
    ["terms not agreed to", /agreeTermsOfService is required/],
    ["two certificates", /name one/],
    ["two writers", /has one writer/],
  ])
    assert.match(rendered[name].error ?? "rendered", said, name);
});

test("the pod has no privilege, no writable root and no token, and time to end", () => {
  for (const name of ["host network", "balanced", "everything", "ACME and an audit log", "open"]) {
    const {
      securityContext: whole,
      containers: [container],
      ...spec
    } = pod(name);
    assert.deepEqual(
      [whole.runAsNonRoot, whole.runAsUser, whole.seccompProfile.type],
      [true, 65532, "RuntimeDefault"],
    );
    const { allowPrivilegeEscalation, readOnlyRootFilesystem, privileged, capabilities } =
      container.securityContext;
    assert.deepEqual(
      [allowPrivilegeEscalation, readOnlyRootFilesystem, privileged, capabilities],
      [false, true, false, { drop: ["ALL"] }],
    );
    assert.equal(spec.automountServiceAccountToken, false);
    // With them, Kubernetes would set AUTHLOOP_PORT, which the server refuses.
    assert.equal(spec.enableServiceLinks, false);
    assert.ok(spec.terminationGracePeriodSeconds >= 45);
    assert.equal(kind(name, "Deployment")[0].spec.replicas, 1);
  }
});

test("the relay is advertised where the pod is, or where the load balancer is", () => {
  assert.equal(pod("host network").hostNetwork, true);
  assert.deepEqual(env("host network").AUTHLOOP_RELAY_ADVERTISE, {
    fieldRef: { fieldPath: "status.hostIP" },
  });
  assert.deepEqual(
    kind("host network", "Service").map((s) => s.metadata.name),
    ["demo", "demo-admin"],
  );
  assert.equal(kind("host network", "NetworkPolicy").length, 0, "it would not apply");

  assert.equal(pod("balanced").hostNetwork, undefined);
  assert.equal(env("balanced").AUTHLOOP_RELAY_ADVERTISE, "203.0.113.7,203.0.113.8");
  const relay = kind("balanced", "Service").find((s) => s.metadata.name === "demo-relay").spec;
  assert.deepEqual([relay.type, relay.externalTrafficPolicy], ["LoadBalancer", "Local"]);
  assert.deepEqual(
    relay.ports.map((p) => [p.port, p.targetPort, p.protocol]),
    [
      [3478, "relay-0", "UDP"],
      [3479, "relay-1", "UDP"],
    ],
  );
});

test("with Redis several pods act as one, and are replaced one after the other", () => {
  const { replicas, strategy } = kind("three as one", "Deployment")[0].spec;
  assert.deepEqual(
    [replicas, strategy],
    [3, { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } }],
  );
  assert.deepEqual(env("three as one").AUTHLOOP_RELAY_ADVERTISE, {
    fieldRef: { fieldPath: "status.hostIP" },
  });
  assert.equal(env("three as one").AUTHLOOP_REDIS_PREFIX, "demo");
  const { mountPath } = pod("three as one").containers[0].volumeMounts.find(
    (mount) => mount.name === "redis",
  );
  assert.equal(env("three as one").AUTHLOOP_REDIS_URL_FILE, `${mountPath}/url`);
  assert.equal(kind("host network", "Deployment")[0].spec.strategy.type, "Recreate");
});

test("what points at something finds it", () => {
  for (const name of ["host network", "three as one", "balanced", "everything", "open"]) {
    const { labels } = kind(name, "Deployment")[0].spec.template.metadata;
    const ports = new Map(pod(name).containers[0].ports.map((p) => [p.name, p.protocol]));
    for (const { spec, kind: what } of docs(name)) {
      const selector =
        what === "Service"
          ? spec.selector
          : ((spec?.podSelector ?? (what === "PodDisruptionBudget" ? spec.selector : {}))
              .matchLabels ?? {});
      for (const [key, value] of Object.entries(selector))
        assert.equal(labels[key], value, `${what} of ${name}`);
      if (what === "Service")
        for (const p of spec.ports) assert.equal(ports.get(p.targetPort), p.protocol, p.targetPort);
    }
    const volumes = new Set((pod(name).volumes ?? []).map((v) => v.name));
    for (const mount of pod(name).containers[0].volumeMounts ?? [])
      assert.ok(volumes.has(mount.name));
  }
  const [policy] = kind("everything", "NetworkPolicy");
  assert.deepEqual(
    policy.spec.egress.flatMap((rule) => rule.ports.map((p) => p.protocol)),
    ["UDP", "UDP"],
    "no connection goes out",
  );
  const [asking] = kind("ACME and an audit log", "NetworkPolicy");
  assert.deepEqual(
    asking.spec.egress.at(-1).ports.map((p) => `${p.protocol} ${p.port}`),
    ["TCP 443", "UDP 53", "TCP 53"],
  );
});

test("monitoring carries the same rules and dashboard under the job that they name", () => {
  assert.deepEqual(
    kind("everything", "PrometheusRule")[0].spec,
    yaml(`${DEPLOY}prometheus/rules.yml`),
  );
  assert.deepEqual(
    JSON.parse(kind("everything", "ConfigMap")[0].data["authloop.json"]),
    JSON.parse(readFileSync(`${DEPLOY}grafana/dashboards/authloop.json`, "utf8")),
  );
  const [monitor] = kind("everything", "ServiceMonitor");
  const services = kind("everything", "Service").filter((s) =>
    s.spec.ports.some((p) => p.name === monitor.spec.endpoints[0].port),
  );
  assert.deepEqual(
    services.map((s) => [s.metadata.name, s.spec.type]),
    [["demo-admin", "ClusterIP"]],
    "scraped once, and only from within",
  );
  assert.equal(services[0].metadata.labels[monitor.spec.jobLabel], "authloop");
  for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) {
    assert.equal(
      pod("everything").containers[0][probe].httpGet.port,
      "admin",
      "plain HTTP, whatever TLS the public port has",
    );
  }
  assert.equal(
    env("everything").AUTHLOOP_ADMIN_LISTEN,
    `0.0.0.0:${pod("everything").containers[0].ports.find((p) => p.name === "admin").containerPort}`,
  );
  assert.equal(
    kind("balanced", "ServiceMonitor").length + kind("balanced", "PrometheusRule").length,
    0,
  );
});

test("the server takes the environment that the chart gives it", (t) => {
  const home = folder(t);
  writeFileSync(`${home}/api-keys`, "0123456789abcdef0123456789abcdef\n");
  run("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    "/CN=relay.example",
    "-addext",
    "subjectAltName=DNS:relay.example",
    "-keyout",
    `${home}/tls.key`,
    "-out",
    `${home}/tls.crt`,
  ]);
  writeFileSync(`${home}/logo.svg`, '<svg xmlns="http://www.w3.org/2000/svg"/>');
  for (const name of ["host network", "balanced", "everything", "ACME and an audit log", "open"]) {
    const given = Object.entries(env(name)).map(([key, value]) => {
      if (typeof value !== "string") return [key, "127.0.0.1"];
      return [key, value.replace(/^\/(run|var\/lib)\/authloop\/(keys|tls|brand|acme|audit)/, home)];
    });
    const said = run(
      AUTHLOOP,
      [
        "check",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--relay-listen",
        "127.0.0.1:0",
      ],
      { env: { PATH: process.env.PATH, ...Object.fromEntries(given) } },
    );
    assert.match(said, /^ok {4}the configuration is valid$/m, name);
  }
});
