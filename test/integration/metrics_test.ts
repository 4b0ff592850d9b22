import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { parseExposition, valuesOf } from "../support/exposition.ts";
import { freePort } from "../support/free_port.ts";
import { createNamespace } from "../support/namespace.ts";
import { missingIn } from "../support/promql.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { TestAuthority } from "../support/test_authority.ts";
import { waitFor } from "../support/wait_for.ts";

/** The part of a dashboard that is looked at. */
interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly type: string;
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
  readonly templating: {
    readonly list: readonly { readonly name: string }[];
  };
}

/** What stands in a query for what Grafana puts in. */
function fillIn(query: string): string {
  return query.replaceAll("$__rate_interval", "5m")
    .replaceAll("$instance", ".*");
}

/** GET with curl. @returns status and body */
async function curl(
  ...args: readonly string[]
): Promise<readonly [number, string]> {
  const { code, stdout, stderr } = await run("curl", [
    ...["--silent", "--show-error", "--max-time", "10"],
    ...["--write-out", "\n%{http_code}", ...args],
  ]);
  assert.equal(code, 0, stderr);
  const at = stdout.lastIndexOf("\n");
  return [Number(stdout.slice(at + 1)), stdout.slice(0, at)];
}

/** Asks the agent at a socket for an address, over Connect. */
async function allocate(socketPath: string, id: string): Promise<void> {
  const [status, body] = await curl(
    ...[
      "--unix-socket",
      socketPath,
      "--data",
      JSON.stringify({ id, node: "node1" }),
    ],
    ...["--header", "content-type: application/json"],
    "http://localhost/stellar.services.network.v1.Network/AllocateIP",
  );
  assert.equal(status, 200, body);
}

Deno.test("an agent serves metrics and health on --metrics, and at its API", async (t) => {
  const port = freePort();
  await using agent = await spawnAgent({
    args: ["--metrics", `127.0.0.1:${port}`, "--metrics", "[::1]:0"],
  });
  const { socketPath } = agent;
  await allocate(socketPath, "c1");
  const places: readonly (readonly [name: string, args: readonly string[]])[] =
    [
      ["metrics", [`http://127.0.0.1:${port}`]],
      ["API", [agent.url]],
      ["socket", ["--unix-socket", socketPath, "http://localhost"]],
      ["API, HTTP/2", ["--http2-prior-knowledge", agent.url]],
    ];
  for (const [name, args] of places) {
    await t.step(name, async () => {
      const get = (path: string) =>
        curl(...args.slice(0, -1), `${args.at(-1)}${path}`);
      const [status, text] = await get("/metrics");
      assert.equal(status, 200);
      const created = valuesOf(text, "stellar_net_allocations_total").created;
      assert.equal(created, 1);
      for (const path of ["/healthz", "/readyz"]) {
        const [status, body] = await get(path);
        assert.deepEqual([status, JSON.parse(body).status], [200, "ok"]);
      }
    });
  }
  await t.step("no call at the address of metrics", async () => {
    const [status] = await curl(
      ...["--data", "{}", "--header", "content-type: application/json"],
      `http://127.0.0.1:${port}/stellar.services.network.v1.Network/Info`,
    );
    assert.equal(status, 404);
  });
});

Deno.test("an agent that has never reached its registry is alive and not ready", async () => {
  await using agent = await spawnAgent({
    args: ["--join", `http://127.0.0.1:${freePort()}`],
  });
  const [live] = await curl(`${agent.url}/healthz`);
  assert.equal(live, 200);
  await waitFor("the first attempt", async () => {
    const [, body] = await curl(`${agent.url}/readyz`);
    return /nothing listens there/.test(body);
  });
  const [ready, body] = await curl(`${agent.url}/readyz`);
  assert.equal(ready, 503);
  const failed = JSON.parse(body).checks.filter(
    ({ status }: { status: string }) => status === "failed",
  );
  assert.deepEqual(failed.map(({ name }: { name: string }) => name), [
    "registry",
    "subnet",
  ]);
  const [, text] = await curl(`${agent.url}/metrics`);
  const value = (name: string) => valuesOf(text, `stellar_net_${name}`)[""];
  assert.equal(value("registry_reachable"), 0);
  assert.equal(value("registry_last_answer_timestamp_seconds"), 0);
});

Deno.test("an agent that has joined reports the registry's last answer, and works without it", async () => {
  await using host = await spawnAgent({ node: "host1" });
  await using agent = await spawnAgent({
    node: "host2",
    args: ["--join", host.url],
  });
  const read = async () => {
    const [, text] = await curl(`${agent.url}/metrics`);
    return (name: string) => valuesOf(text, `stellar_net_${name}`);
  };
  const joined = await waitFor("the first news", async () => {
    const value = await read();
    assert.ok(value("registry_revision")[""]! > 0);
    return value;
  });
  assert.equal(joined("registry_link").joined, 1);
  const at = joined("registry_last_answer_timestamp_seconds")[""]!;
  assert.ok(Math.abs(Date.now() / 1000 - at) < 60);
  const [, text] = await curl(`${host.url}/metrics`);
  const head = valuesOf(text, "stellar_net_registry_head_revision")[""];
  assert.equal(joined("registry_revision")[""], head);
  await host.kill("SIGKILL");
  await waitFor(
    "the loss",
    async () => (await read())("registry_reachable")[""] === 0,
  );
  const [ready, body] = await curl(`${agent.url}/readyz`);
  assert.equal(ready, 200);
  assert.match(
    body,
    /the registry has been unreachable since .*; this node keeps its addresses/,
  );
  await host.start();
  await waitFor("the return", async () => {
    const value = await read();
    return value("registry_reachable")[""] === 1 &&
      value("registry_watch_restarts_total")[""]! > 0;
  });
});

/** Waits for a metric of an agent, and returns all that it has. */
async function readWith(
  { socketPath }: { readonly socketPath: string },
  metric: string,
): Promise<string> {
  return await waitFor(metric, async () => {
    const [, text] = await curl(
      ...["--unix-socket", socketPath, "http://localhost/metrics"],
    );
    assert.ok(Object.keys(valuesOf(text, metric)).length > 0);
    return text;
  });
}

Deno.test("the dashboard and the alerts ask for metrics that an agent has", async (t) => {
  await using host = await createNamespace(
    "net",
    "ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 up && ip address add 198.18.0.1/24 dev v0 && ip address add 198.18.0.2/24 dev v0",
  );
  const { within } = host;
  const dir = await Deno.makeTempDir({ prefix: "stellar-net-" });
  const paths = await (await TestAuthority.create(dir)).issue("node1");
  await using agent = await spawnAgent({
    within,
    args: ["--routes", "apply", "--advertise", "198.18.0.1"].concat(
      ["--tls-cert", paths.certPath, "--tls-key", paths.keyPath],
      ["--tls-ca", paths.caPath],
    ),
  });
  const { socketPath } = agent;
  await allocate(socketPath, "c1");
  const text = await readWith(
    agent,
    "stellar_net_routes_last_look_timestamp_seconds",
  );
  await using joined = await spawnAgent({
    ...{ within, node: "node2" },
    args: ["--join", agent.url, "--advertise", "198.18.0.2"]
      .concat("--routes", "apply", "--route-protocol", "84"),
  });
  const probed = await readWith(agent, "stellar_net_probe_round_trip_seconds");
  const series = [
    // Its store is etcd in another life.
    ...parseExposition(
      text.replaceAll(
        /^(stellar_net_store_\w+\{store=")kv(.*)$/gm,
        "$&\n$1etcd$2",
      ),
    ),
    ...parseExposition(probed).filter(({ name }) => /_probe_/.test(name)),
    ...parseExposition(
      await readWith(joined, "stellar_net_clock_offset_seconds"),
    ),
  ];
  await Deno.remove(dir, { recursive: true });
  await t.step("promtool takes them", async () => {
    const { code, stderr } = await run("promtool", ["check", "metrics"], {
      stdin: text,
    });
    assert.equal(code, 0, stderr);
  });
  const rules = await Deno.readTextFile(join(ROOT, "docs/alerts.yml"));
  const alerts = [...rules.matchAll(/alert: (\w+)\n +expr: (.+)$/gm)];
  assert.ok(alerts.length > 0);
  for (const [, alert, query] of alerts) {
    await t.step(alert!, () => {
      assert.deepEqual(missingIn(query!, series), []);
    });
  }
  const dashboard: Dashboard = JSON.parse(
    await Deno.readTextFile(join(ROOT, "docs/dashboard.json")),
  );
  const { panels, templating } = dashboard;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  assert.deepEqual(templating.list.map(({ name }) => name), [
    "datasource",
    "instance",
  ]);
  const rows = panels.filter(({ type }) => type === "row");
  assert.deepEqual(rows.map(({ title }) => title), [
    "The cluster, as its registry sees it",
    "Addresses",
    "Leaks",
    "Routes",
    "Paths",
    "Registry",
    "Certificates, clocks and backups",
    "RPC",
    "Store",
    "Process",
  ]);
  const graphs = panels.filter(({ type }) => type !== "row");
  for (const { title, targets = [] } of graphs) {
    await t.step(`dashboard: ${title}`, async () => {
      assert.ok(targets.length > 0);
      for (const query of targets.map(({ expr }) => fillIn(expr))) {
        assert.deepEqual(missingIn(query, series), []);
        // As a rule, promtool says whether it is PromQL.
        const rule = {
          groups: [{ name: "g", rules: [{ record: "a", expr: query }] }],
        };
        const { code, stdout, stderr } = await run(
          "promtool",
          ["check", "rules", "/dev/stdin"],
          { stdin: JSON.stringify(rule) },
        );
        assert.equal(code, 0, `${query}\n${stdout}${stderr}`);
      }
    });
  }
  const used = [
    rules,
    ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ].join("\n");
  await t.step("every metric of ours is shown or watched", () => {
    const names = new Set(
      series.map(({ name }) => name.replace(/_(?:bucket|sum|count)$/, "")),
    );
    const unused = [...names].filter((name) =>
      name.startsWith("stellar_net_") && !used.includes(name)
    );
    assert.deepEqual(unused, ["stellar_net_node_info"]);
  });
});
