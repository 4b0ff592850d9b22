import assert from "node:assert/strict";
import { settled } from "../lab/cluster.ts";
import { Lab, secureFlags, tokenPath } from "../lab/lab.ts";
import { callWith, identityDir } from "../lab/lab_certificates.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { allDone } from "../support/all_done.ts";

const CALLS = ["AgentService/GetStatus", "RegistryService/ListNodes"]
  .concat("IdentityService/RenewCertificate");

/** A cluster: the host of its registry, and one that has joined. */
interface Cluster {
  readonly first: LabHost;
  readonly second: LabHost;
  /** An operator's folder. */
  readonly operator: string;
  readonly members: Map<LabHost, readonly string[]>;
}

function urlOf({ address }: LabHost): string {
  return `https://${address}:9000`;
}

Deno.test("two clusters on one wire get nothing of each other", async (t) => {
  await using lab = await Lab.create({
    ...{ hosts: 5, secure: true, startAgents: false },
  });
  const [a1, a2, b1, b2, stray] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost, LabHost],
  ];
  const network = (host: LabHost) => [
    ...["--network", host === b1 ? "10.0.0.0/16" : "172.16.0.0/12"],
  ];
  const joining = (host: LabHost, firsts: readonly LabHost[]) => [
    ...["--listen", `${host.address}:9000`, "--routes", "apply"],
    ...["--advertise", host.address, "--token-file", tokenPath(host)],
    ...firsts.flatMap((first) => ["--join", urlOf(first)]),
  ];
  const createToken = (first: LabHost, path: string, words: string[] = []) =>
    first.must("stellar-net", ["token", "create", "--file", path, ...words]);
  const build = async (first: LabHost, second: LabHost): Promise<Cluster> => {
    first.agent.flags = [
      ...secureFlags(first).filter((word, i, all) =>
        word !== "--join" && all[i - 1] !== "--join" &&
        word !== "--token-file" && all[i - 1] !== "--token-file"
      ),
      ...network(first),
    ];
    await first.agent.start();
    const members = new Map([[first, await first.joined()]]);
    await createToken(first, tokenPath(second));
    second.agent.flags = joining(second, [first]);
    await second.agent.start();
    members.set(second, await second.joined());
    const token = `${first.dir}/operator.token`;
    const operator = `${first.dir}/operator`;
    await createToken(first, token, ["--role", "operator", "--name", "op"]);
    await first.must("stellar-net", [
      ...["identity", "create", operator, "--name", "op"],
      ...["--join", urlOf(first), "--token-file", token],
    ]);
    await settled(members);
    return { first, second, operator, members };
  };
  const [a, b] = await allDone([build(a1, a2), build(b1, b2)]);
  const ways: readonly (readonly [Cluster, Cluster])[] = [[a!, b!], [b!, a!]];

  for (const [own, other] of ways) {
    const from = own.second;
    await t.step(`${from.name} is nobody at the other`, async () => {
      for (const dir of [identityDir(from), own.operator]) {
        for (const to of [other.first, other.second]) {
          for (const call of CALLS) {
            const answer = await callWith(from, { dir, to, call });
            assert.match(answer, /^\{"code":"unauthenticated"/);
          }
        }
      }
      const line = ["--identity", own.operator, "--url", urlOf(other.first)];
      const { code, stderr } = await from.exec("stellar-net", [
        ...[...line, "node", "list"],
      ]);
      assert.equal(code, 1);
      assert.match(stderr, /its certificate is not accepted: .* no authority/);
    });

    await t.step(`a token of ${from.name}'s lets nobody in there`, async () => {
      const token = `${from.dir}/other.token`;
      await createToken(own.first, token, [
        "--role",
        "operator",
        "--name",
        "op",
      ]);
      const { code, stderr } = await from.exec("stellar-net", [
        ...["identity", "create", `${from.dir}/other`, "--name", "op"],
        ...["--join", urlOf(other.first), "--token-file", token],
      ]);
      assert.equal(code, 1);
      assert.match(stderr, /none of its certificates is that of the token's/);
    });
  }

  await t.step(
    "a host of one cluster is refused by the other, and not fenced",
    async () => {
      await a2.agent.stop();
      await createToken(b1, tokenPath(a2));
      a2.agent.flags = joining(a2, [b1]);
      await a2.agent.start();
      await lab.waitFor("it to say why", async () => {
        const { registry: { state, problem } } = await a2.status();
        return state === "unreachable" &&
          /the node belongs to cl/.test(problem ?? "");
      });
      await a2.must("stellar-net", ["ip", "allocate", "meanwhile"]);
      await a2.agent.stop();
    },
  );

  await t.step(
    "a host with both in --join joins the one of its token",
    async () => {
      await createToken(b1, tokenPath(stray));
      stray.agent.flags = joining(stray, [a1, b1]);
      await stray.agent.start();
      b!.members.set(stray, await stray.joined());
      await settled(b!.members);
      const nodes = await a1.must("stellar-net", ["node", "list"]);
      assert.doesNotMatch(nodes, new RegExp(stray.name));
    },
  );

  await t.step("routes are each cluster's own", async () => {
    await settled(b!.members);
    await settled(a!.members, [a1]);
  });
});
