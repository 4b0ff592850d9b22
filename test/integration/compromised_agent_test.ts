import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { encodeReport } from "../../src/api/messages/cluster.ts";
import { createSigningRequest } from "../../src/security/pki/signing_request.ts";
import { ROOT } from "../generate.ts";
import { createNamespace } from "../support/namespace.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";
import { withTempDir } from "../support/temp_dir.ts";

const PORT = 9000;
const HOSTS = ["198.18.0.1", "198.18.0.2", "198.18.0.3", "198.18.0.4"] as const;
const [HOSTING, STOLEN, HEALTHY, LEFT] = HOSTS.map((address) =>
  `https://${address}:${PORT}`
) as [string, string, string, string];
const NETWORK = "ip link set lo up\n" +
  HOSTS.map((address) => `ip address add ${address}/32 dev lo`).join("\n");
const FLOOD = `${ROOT}/test/lab/renewal_flood.ts`;
const FAKE_AGENT = `${ROOT}/test/lab/fake_agent.ts`;

Deno.test("an agent with a stolen key changes neither an operator's trust nor another host", (t) =>
  withTempDir(async (dir) => {
    await using namespace = await createNamespace("net", NETWORK);
    const { within } = namespace;
    const [command, ...words] = within;
    const cli = (...args: readonly string[]) =>
      run(command!, [...words, Deno.execPath(), ...FROM_SOURCE, ...args], {
        cwd: ROOT,
      });
    const must = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await cli(...args);
      assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
      return stdout;
    };
    const flags = (host: number) => {
      const address = HOSTS[host - 1]!;
      return ["--listen", `${address}:${PORT}`, "--advertise", address];
    };
    await using first = await spawnAgent({ within, args: flags(1) });
    const socket = ["--socket", first.socketPath];
    const token = `${dir}/token`;
    await must(...socket, "token", "create", "--uses", "3", "--file", token);
    const join = ["--join", HOSTING, "--token-file", token];
    const stolen = `${dir}/stolen`;
    const left = `${dir}/left`;
    let instanceId = "";
    for (const [number, thief] of [[2, stolen], [4, left]] as const) {
      const node = `node${number}`;
      await using agent = await spawnAgent({
        ...{ within, node, args: [...flags(number), ...join] },
      });
      await waitFor(
        `${node} to join`,
        async () => (await must(...socket, "node", "list")).includes(node),
      );
      await run("cp", ["-r", `${agent.stateDir}/identity`, thief]);
      if (thief === stolen) {
        const own = ["--socket", agent.socketPath];
        ({ instanceId } = JSON.parse(await must(...own, "status", "--json")));
      }
      // It revokes nothing.
      if (thief === left) {
        await must("--socket", agent.socketPath, "node", "leave");
      }
    }
    await using third = await spawnAgent({
      within,
      node: "node3",
      args: [...flags(3), ...join],
    });
    const operator = `${dir}/alice`;
    const person = ["--role", "operator", "--name", "alice"];
    const file = ["--file", `${dir}/alice.token`];
    await must(...socket, "token", "create", ...person, ...file);
    await must(
      ...["identity", "create", operator, "--name", "alice"],
      ...["--join", HOSTING, "--token-file", `${dir}/alice.token`],
    );
    const trust = () => Deno.readTextFile(`${operator}/trust.json`);
    const before = await trust();
    const { clusterId } = JSON.parse(before).authorities[0];

    /** Calls the registry with the stolen key. @returns its answer in JSON */
    const callAsStolen = async (call: string, request: object) => {
      const { stdout } = await run(command!, [
        ...[...words, "curl", "-sk", "--cert", `${stolen}/chain.pem`],
        ...["--key", `${stolen}/key.pem`, "-d", JSON.stringify(request)],
        ...["-H", "content-type: application/json"],
        `${HOSTING}/stellar.net.v1.${call}`,
      ]);
      return stdout;
    };

    const attack = async (script: string, ...args: readonly string[]) => {
      const process = new Deno.Command(command!, {
        args: [...words, Deno.execPath(), "run", "-A", script, ...args],
        cwd: ROOT,
        stdout: "piped",
      }).spawn();
      const output = process.stdout.getReader();
      await output.read();
      output.releaseLock();
      return {
        async [Symbol.asyncDispose]() {
          process.kill("SIGKILL");
          await process.stdout.cancel();
          await process.status;
        },
      };
    };

    {
      await using _fake = await attack(
        ...[FAKE_AGENT, HOSTS[1], String(PORT), stolen, clusterId, HEALTHY],
        LEFT,
      );
      await using _accomplice = await attack(
        ...[FAKE_AGENT, HOSTS[3], String(PORT), left, clusterId, HEALTHY],
      );
      const as = ["--identity", operator, "--url"];

      await t.step("its own authority is ignored, and said so", async () => {
        const { code, stderr } = await cli(...as, STOLEN, "node", "list");
        assert.equal(code, 0, stderr);
        assert.match(stderr, /Ignored the agent's trust: .* has signed it/);
        assert.equal(await trust(), before);
        await must(...as, HOSTING, "node", "list");
      });

      await t.step("no other host leaves by its advice", async () => {
        const { code, stderr } = await cli(...as, STOLEN, "node", "leave");
        assert.equal(code, 1);
        assert.match(stderr, /198\.18\.0\.3:9000 was not asked/);
        const status = await must("--socket", third.socketPath, "status");
        assert.match(status, /joined/);
      });

      await t.step("no host that has left answers by its advice", async () => {
        const words = ["subnet", "reserve", "172.16.20.0/22"];
        const { code, stderr } = await cli(...as, STOLEN, ...words);
        assert.equal(code, 1, stderr);
        assert.match(stderr, /it is node "node4", which \S+ does not list/);
        // Only its certificate is valid: a deliberate call of an operator reaches it.
        await must(...as, LEFT, ...words);
      });

      await t.step(
        "an answer that names another agent says which agent answered",
        async () => {
          const { code, stderr } = await cli(
            ...[...as, HEALTHY, "subnet", "reserve", "172.16.16.0/22"],
          );
          assert.equal(code, 0, stderr);
          assert.match(stderr, /198\.18\.0\.1:9000 has answered/);
        },
      );

      await t.step("a search shows no lie of it", async () => {
        const { stdout } = await cli(...socket, "find", "truth");
        assert.equal(
          stdout.trim(),
          '"truth" (eth0 in default) holds 172.16.4.9 on node2',
        );
      });

      await t.step("a true rotation is followed", async () => {
        await must(...socket, "identity", "rotate", "--announce", "1s");
        await must(...as, HEALTHY, "node", "list");
        assert.match(await trust(), /"generation": 2/);
      });
    }

    await t.step("it gets no certificate for addresses of others", async () => {
      const key = await Deno.readTextFile(`${stolen}/key.pem`);
      const renew = (address: string) =>
        callAsStolen("IdentityService/RenewCertificate", {
          signingRequest: createSigningRequest(key),
          addresses: [address],
        });
      const rows: readonly [address: string, says: RegExp][] = [
        ["127.0.0.1", /"permission_denied".*is loopback/],
        ["0.0.0.0", /"permission_denied".*is this network/],
        ["224.0.0.1", /"permission_denied".*is multicast/],
        ["255.255.255.255", /"permission_denied".*is reserved/],
        ["172.16.0.1", /"permission_denied".*in the subnet of node .*node1/],
        [HOSTS[0], /"permission_denied".*node .*node1/],
        [HOSTS[1], /"chain":"-----BEGIN CERTIFICATE-----/],
      ];
      for (const [address, says] of rows) {
        assert.match(await renew(address), says, address);
      }
    });

    await t.step(
      "its report and its events show it alone, and no escapes",
      async () => {
        const use = (cidr: string) => ({
          ...{ cidr, capacity: 1e300, held: 1e15, cooling: -1 },
          ...{ perDay: NaN, fullAtMs: 8e15 },
        });
        const report = encodeReport({
          ...{ version: "lie\u001b[2J", startedAtMs: 1, bootId: "lie\n" },
          subnets: ["lie", "172.16.0.0/22", "172.16.4.0/22"].map(use),
          ...{ leaked: -1, queued: -1 },
          routes: { wanted: -1, installed: -1, conflicts: -1, unresolved: -1 },
          problems: [
            {
              ...{
                code: "lie\n",
                severity: "error",
                text: "lie\u001b[2J\nhost1",
              },
              fix: "true\nrm -rf lie",
            } as const,
            ...Array.from({ length: 200 }, (_, i) => ({
              ...{
                code: `z${i}`,
                severity: "error",
                text: "x",
                fix: "",
              } as const,
            })),
          ],
        });
        const answer = await callAsStolen("RegistryService/Heartbeat", {
          ...{ node: "node2", instanceId },
          report: Buffer.from(report).toString("base64"),
          events: [
            // A kind that only the registry records, and a time to come.
            ...[["left", "lie"], ["problem", "lie\u001b[2J\nhost1 left"]],
            ["fenced", "lie"],
          ].map(([kind, text], i) => ({
            ...{ kind, text, subject: "node1\n", number: i + 1 },
            at: new Date(Date.now() + 3_600_000).toISOString(),
          })),
        });
        assert.match(answer, /"intervalMs"/);
        const overview = JSON.parse(await must(...socket, "cluster", "--json"));
        const host = overview.hosts.find((
          { node }: { readonly node: { readonly name: string } },
        ) => node.name === "node2");
        assert.deepEqual(
          host.report.subnets.map(({ cidr, capacity, held }: typeof host) => ({
            ...{ cidr, capacity, held },
          })),
          [{ cidr: "172.16.4.0/22", capacity: 1024, held: 1024 }],
        );
        assert.equal(host.report.problems.length, 12);
        // Three hosts of one subnet each.
        assert.ok(overview.networks[0].held <= 3 * 1024);
        for (const words of [["cluster"], ["events"], ["events", "--json"]]) {
          const stdout = await must(...socket, ...words);
          assert.match(stdout, /lie/);
          for (const text of ["\u001b", "\\u001b", "rm -rf"]) {
            assert.ok(!stdout.includes(text), stdout);
          }
        }
      },
    );

    await t.step(
      "its events are of its own kinds, and not of the future",
      async () => {
        const shown = await must(...socket, "events", "--json");
        const { events } = JSON.parse(shown) as {
          readonly events: readonly Record<
            "kind" | "node" | "text" | "at",
            string
          >[];
        };
        const lies = events.filter(({ text }) => text.includes("lie"));
        assert.deepEqual(lies.map(({ kind, node }) => `${kind} ${node}`), [
          "problem node2",
        ]);
        assert.ok(Date.parse(lies[0]!.at) < Date.now() + 120_000);
      },
    );

    await t.step("a changed backup is not restored", async () => {
      const backup = `${dir}/backup`;
      const identity = `${first.stateDir}/identity`;
      await must(...socket, "backup", backup, "--sign", identity);
      const restore = [
        // Its own agent runs on: nothing is written.
        ...["restore", backup, "--state", `${dir}/restored`, "--force"],
        ...["--dry-run", "--verify"],
      ];
      const { stderr } = await cli(...restore, operator);
      assert.match(stderr, /^Signed by node node1$/m);
      // The checksum is made anew, as whoever changes it would.
      const lines = (await Deno.readTextFile(backup)).trimEnd().split("\n");
      const { entries } = JSON.parse(lines.pop()!);
      const text = `${lines.join("\n")}\n`.replace('"node1"', '"node9"');
      const sha256 = createHash("sha256").update(text).digest("hex");
      const trailer = JSON.stringify({ entries, sha256 });
      await Deno.writeTextFile(backup, `${text}${trailer}\n`);
      // Its checksum is right, and tells nothing.
      const unsigned = await cli(...restore.slice(0, -1));
      assert.equal(unsigned.code, 0, unsigned.stderr);
      const changed = await cli(...restore, operator);
      assert.equal(changed.code, 1);
      assert.match(changed.stderr, /it is not the file that node "node1" has/);
    });

    await t.step("its renewals do not keep operators waiting", async () => {
      await using _flood = await attack(FLOOD, HOSTING, stolen);
      for (let i = 0; i < 3; i++) {
        const path = `${dir}/during${i}`;
        await must(...socket, "token", "create", "--file", path);
      }
      await must(...socket, "node", "remove", "node2", "--force");
      const listed = await must(...socket, "identity", "list", "--json");
      const { certificates } = JSON.parse(listed);
      const own = certificates.filter(
        ({ name }: { readonly name: string }) => name === "node2",
      );
      assert.ok(own.length <= 10, `${own.length} certificates`);
    });
  }));
