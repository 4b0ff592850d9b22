import assert from "node:assert/strict";
import { IpamService } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { AgentService } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import { IdentityService } from "../../src/gen/stellar/net/v1/identity_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import {
  callWithGrpcJs,
  envelope,
  FOREIGN_CLIENTS,
  type ForeignCall,
} from "../lab/foreign_clients.ts";
import { Lab, labUrl, tokenPath } from "../lab/lab.ts";
import { identityDir } from "../lab/lab_certificates.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { execArgs } from "../lab/netns.ts";
import { signalChild } from "../support/signal_child.ts";
import { curlTlsArgs } from "../support/stellar_clients.ts";
import { withTempDir } from "../support/temp_dir.ts";

const PORT = 9000;
const REGISTRY = labUrl(1).replace("http:", "https:");
const CIDR = "10.77.0.0/16";
const CUT_TIMEOUT_MS = 60_000;

/** What a node must not do to another one, or to the cluster. */
function forbidden(victim: LabHost, instanceId: string): ForeignCall[] {
  const node = victim.name;
  const owner = { network: "n", containerId: "c1", interfaceName: "eth0" };
  const { heartbeat, join, releaseSubnets, claimSubnets, removeNode } =
    RegistryService.method;
  const { addRoute, deleteRoute, reserveSubnet, reportOwners } =
    RegistryService.method;
  const { createToken, revokeCertificates, rotateAuthority } =
    IdentityService.method;
  return [
    { method: heartbeat, request: { node, instanceId } },
    {
      method: join,
      request: { node, instanceId, advertised: ["198.18.0.12"] },
    },
    { method: releaseSubnets, request: { node } },
    { method: claimSubnets, request: { node } },
    { method: reportOwners, request: { node, instanceId, owners: [] } },
    { method: removeNode, request: { node, instanceId } },
    { method: removeNode, request: { node, force: true } },
    { method: addRoute, request: { cidr: CIDR, target: victim.address } },
    { method: deleteRoute, request: { cidr: "10.88.0.0/16" } },
    { method: reserveSubnet, request: { cidr: "172.16.64.0/22" } },
    { method: IpamService.method.allocate, request: { node, owner } },
    { method: IpamService.method.release, request: { node, owner } },
    { method: Network.method.allocateIP, request: { node, id: "c2" } },
    { method: Network.method.releaseIP, request: { node, id: "held" } },
    { method: Network.method.deallocateSubnet, request: { node } },
    { method: createToken, request: { role: "ROLE_OPERATOR", name: "eve" } },
    {
      method: revokeCertificates,
      request: { role: "ROLE_NODE", name: node },
    },
    { method: rotateAuthority, request: { compromised: true } },
    { method: AgentService.method.backup, request: {} },
  ];
}

/** What the cluster is, but for when each was heard of and looked at last. */
async function stateOf(hosts: readonly LabHost[]): Promise<string> {
  const [first, ...others] = hosts as [LabHost, ...LabHost[]];
  const lists: unknown[] = [];
  for (const list of ["node", "subnet", "route", "token", "identity"]) {
    lists.push(await first.ask(`${list} list`));
  }
  for (const host of [first, ...others]) lists.push(await host.ask("ip list"));
  // These change by themselves.
  const passing = ["seenAt", "lookedAt", "report", "reportedAt"];
  return JSON.stringify(
    lists,
    (key, value) => passing.includes(key) ? null : value,
  );
}

/** A connection or stream of somebody, for as long as it lasts. */
interface Held {
  readonly what: string;
  readonly child: Deno.ChildProcess;
  /** When it ended, as performance.now() has it. */
  readonly ended: Promise<number>;
}

/** Starts a program on a host that holds a connection, and waits until it prints something. */
async function hold(
  [what, from, line]: readonly [string, LabHost, readonly string[]],
  stdin = "",
): Promise<Held> {
  const child = new Deno.Command("ip", {
    args: execArgs(from.netns, line),
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin));
  if (stdin !== "") await writer.close();
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  assert.equal(done, false, `${what} ended at once`);
  const ended = (async () => {
    while (!(await reader.read()).done);
    await child.status;
    await writer.close().catch(() => {});
    return performance.now();
  })();
  return { what, child, ended };
}

Deno.test("a host that was broken into has its own rights, until it is removed", (t) =>
  withTempDir(async (dir) => {
    await using lab = await Lab.create({ hosts: 3, secure: true });
    const [first, second, third] = lab.hosts as [LabHost, LabHost, LabHost];
    // What a thief takes away.
    const chain = await Deno.readTextFile(`${identityDir(second)}/chain.pem`);
    const tls = {
      certPath: `${dir}/chain.pem`,
      keyPath: `${dir}/key.pem`,
      caPath: `${dir}/ca.pem`,
    };
    await Deno.writeTextFile(tls.certPath, chain);
    await Deno.writeTextFile(
      tls.caPath,
      chain.slice(chain.lastIndexOf("---BEGIN") - 2),
    );
    await Deno.copyFile(`${identityDir(second)}/key.pem`, tls.keyPath);
    const { instanceId } = await third.ask<{ instanceId: string }>("status");
    await third.must("stellar-net", ["ip", "allocate", "held"]);
    await first.must("stellar-net", [
      ...["route", "add", "10.88.0.0/16", second.address],
    ]);
    const calls = forbidden(third, instanceId);
    const before = await stateOf([first, third]);

    for (const [name, client] of Object.entries(FOREIGN_CLIENTS)) {
      await t.step(`${name} may not speak as another node`, async () => {
        for (const to of [first, third]) {
          const outcomes = await client({ from: third, to, tls }, calls);
          for (const [index, outcome] of outcomes.entries()) {
            const { method } = calls[index]!;
            assert.ok("code" in outcome, `${method.name} is answered`);
            const { code, message } = outcome;
            assert.equal(
              code,
              "permission_denied",
              `${method.name}: ${message}`,
            );
            assert.match(
              message,
              new RegExp(
                `^Cannot call ${method.name}: (?:node "host2" may .*--identity|the certificate is for node "host2", and the request is of node "host3": )`,
              ),
            );
          }
          assert.equal(outcomes.length, calls.length);
        }
      });
    }
    await t.step("nothing has changed", async () => {
      assert.equal(await stateOf([first, third]), before);
    });
    await t.step("the audit has the attempt", async () => {
      const { records } = await first.ask<{
        records: readonly Record<string, string>[];
      }>("audit");
      const seen = records.filter(({ caller }) => caller === "node host2")
        .filter(({ outcome }) => outcome === "permission_denied");
      for (const { method } of calls.slice(1)) {
        const row = seen.find(({ call }) => call === method.name);
        assert.equal(row?.from, third.address, method.name);
      }
    });

    await t.step("what it holds is cut when it is removed", async () => {
      const watch = `${RegistryService.typeName}/Watch`;
      const shown = ["-cert", tls.certPath, "-key", tls.keyPath];
      const connect = (to: LabHost) => [
        ...["openssl", "s_client", "-connect", `${to.address}:${PORT}`],
        ...[...shown, "-cert_chain", tls.certPath],
      ];
      const held = [
        await hold(["its watch", third, [
          ...["curl", "--silent", "--no-buffer", ...curlTlsArgs(tls)],
          ...["--header", "content-type: application/connect+json"],
          ...["--data-binary", "@-", `${REGISTRY}/${watch}`],
        ]], envelope("{}")),
        await hold(["a connection to host1", third, connect(first)]),
        await hold(["a connection to host3", third, connect(third)]),
      ];
      try {
        const fromMs = performance.now();
        await first.must("stellar-net", [
          ...["node", "remove", second.name, "--force"],
        ]);
        for (const { what, child, ended } of held) {
          const timer = setTimeout(
            () => signalChild(child, "SIGTERM"),
            CUT_TIMEOUT_MS,
          );
          const ms = await ended - fromMs;
          clearTimeout(timer);
          console.log(`${what} was cut after ${Math.round(ms)} ms`);
          assert.ok(ms < CUT_TIMEOUT_MS, `${what} was not cut`);
        }
      } finally {
        for (const { child } of held) signalChild(child, "SIGKILL");
        await Promise.all(held.map(({ ended }) => ended));
      }
    });

    await t.step("its agent says so", async () => {
      const says =
        /other hosts do not accept this one: .*it was revoked at .*run "stellar-net token create --name host2"/;
      await lab.waitFor("it to say so", async () => {
        return says.test((await second.status()).warnings.join());
      });
    });

    // It is looked at while other things are tried.
    await Deno.remove(tokenPath(second));
    await lab.admit(second, ["--name", second.name]);
    const fromMs = performance.now();

    await t.step("its certificate is good for nothing", async () => {
      for (const to of [first, third]) {
        const outcomes = await callWithGrpcJs({ from: third, to, tls }, [
          { method: RegistryService.method.listNodes, request: {} },
          { method: AgentService.method.getStatus, request: {} },
          { method: IdentityService.method.renewCertificate, request: {} },
        ]);
        for (const outcome of outcomes) {
          assert.ok("code" in outcome);
          assert.equal(outcome.code, "unauthenticated");
          assert.match(outcome.message, /it was revoked at \S+/);
        }
      }
    });

    await t.step("a socket has its node's rights beyond it", async () => {
      const add = ["route", "add", CIDR, third.address];
      const refused = await third.exec("stellar-net", add);
      assert.equal(refused.code, 1);
      assert.match(
        refused.stderr,
        /Cannot call AddRoute: node "host3" may not, only an operator; use --identity with an operator's certificate/,
      );
      const alice = `${dir}/alice`;
      await first.must("stellar-net", [
        ...["token", "create", "--role", "operator", "--name", "alice"],
        ...["--file", `${alice}.token`],
      ]);
      await third.must("stellar-net", [
        ...["identity", "create", alice, "--name", "alice"],
        ...["--join", REGISTRY, "--token-file", `${alice}.token`],
      ]);
      await third.must("stellar-net", ["--identity", alice, ...add]);
      const there = `https://${third.address}:${PORT}`;
      await third.must("stellar-net", [
        ...["--identity", alice, "--url", there, "route", "delete", CIDR],
      ]);
    });

    await t.step("it comes back with a token of its name", async () => {
      await lab.waitFor("it to be certified", async () => {
        return (await second.status()).warnings.length === 0;
      });
      await second.joined();
      const ms = performance.now() - fromMs;
      console.log(`host2 was back ${Math.round(ms)} ms after its token`);
    });
  }));
