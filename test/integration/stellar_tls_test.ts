import assert from "node:assert/strict";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { enrolWithin } from "../support/enrol_within.ts";
import { createNamespace, type Namespace } from "../support/namespace.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { createClientWithin } from "../support/stellar_client_within.ts";
import {
  curlTlsArgs,
  STELLAR_TLS_CLIENTS,
  type StellarClient,
} from "../support/stellar_clients.ts";
import { withTempDir } from "../support/temp_dir.ts";
import {
  type ShownCertificate,
  TestAuthority,
} from "../support/test_authority.ts";
import { assertOutcome, STEPS } from "./stellar_service_steps.ts";

const ADDRESS = "198.18.0.1";
const URL_OF_AGENT = `https://${ADDRESS}:9000`;
const NETWORK = `ip link set lo up\nip address add ${ADDRESS}/32 dev lo`;
const LISTEN = ["--listen", `${ADDRESS}:9000`, "--advertise", ADDRESS];
/** An agent that others reach takes the first subnet: the steps have it be this node's. */
const NODE = "node0";

/** A host with an agent, and what its clients show. */
interface Host {
  readonly namespace: Namespace;
  /** Of an operator. */
  readonly operator: ShownCertificate;
  readonly readonly: ShownCertificate;
}

/** Runs an agent with the cluster's own authority, and makes an operator's folder and another's. */
async function withCluster(use: (host: Host) => Promise<void>): Promise<void> {
  await withTempDir(async (dir) => {
    await using namespace = await createNamespace("net", NETWORK);
    const { within } = namespace;
    await using agent = await spawnAgent({ within, node: NODE, args: LISTEN });
    const { socketPath } = agent;
    const enrol = (role: "operator" | "readonly") =>
      enrolWithin(namespace, { socketPath, url: URL_OF_AGENT, role, dir });
    const operator = await enrol("operator");
    await use({ namespace, operator, readonly: await enrol("readonly") });
  });
}

/** Runs an agent with certificates of an authority that somebody else keeps. */
async function withGiven(use: (host: Host) => Promise<void>): Promise<void> {
  await withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const { certPath, keyPath, caPath } = await authority.issue(NODE, {
      names: `IP:${ADDRESS},DNS:${NODE}`,
    });
    const enrol = (role: string) =>
      authority.issue(role, {
        subject: `/OU=${role}/CN=${role}1`,
        usage: "clientAuth",
      });
    await using namespace = await createNamespace("net", NETWORK);
    await using _agent = await spawnAgent({
      within: namespace.within,
      node: NODE,
      args: [
        ...[...LISTEN, "--tls-cert", certPath],
        ...["--tls-key", keyPath, "--tls-ca", caPath],
      ],
    });
    const operator = await enrol("operator");
    await use({ namespace, operator, readonly: await enrol("readonly") });
  });
}

function connect(
  { namespace }: Host,
  kind: string,
  tls: ShownCertificate,
): StellarClient {
  const target = { url: URL_OF_AGENT, serverName: NODE, tls };
  return createClientWithin(namespace, kind, target);
}

const MODES = {
  "the cluster's own authority": withCluster,
  "given certificates": withGiven,
};
const KINDS = Object.keys(STELLAR_TLS_CLIENTS);

for (const [mode, withHost] of Object.entries(MODES)) {
  for (const kind of KINDS) {
    Deno.test(`an operator has all of Stellar's calls by ${mode}, over ${kind}`, (t) =>
      withHost(async (host) => {
        await using client = connect(host, kind, host.operator);
        for (const [what, call, request, expected] of STEPS) {
          await t.step(`${call}: ${what}`, async () => {
            assertOutcome(await client.call(call, request), expected);
          });
        }
        await t.step("Subnets: all there are", async () => {
          const outcome = await client.call("Subnets");
          assert.equal(
            (outcome as { answer: { subnets: unknown[] } }).answer.subnets
              .length,
            1024,
          );
        });
      }));
  }
}

const ON_B = { node: "b" };
/** Each call, and whether it only reads. */
const CALLS: readonly [call: string, request: StepRequest, reads: boolean][] = [
  ["Info", {}, true],
  ["AllocateSubnet", ON_B, false],
  ["GetSubnet", { node: NODE }, true],
  ["DeallocateSubnet", ON_B, false],
  ["Subnets", {}, true],
  ["AllocateIP", { node: NODE, id: "c1" }, false],
  ["GetIP", { node: NODE, id: "c1" }, true],
  ["ReleaseIP", { node: NODE, id: "c1" }, false],
  ["Configure", {}, false],
  ["AddRoute", { cidr: "10.1.0.0/16", target: "192.0.2.1" }, false],
  ["DeleteRoute", { cidr: "10.1.0.0/16", target: "192.0.2.1" }, false],
  ["Routes", {}, true],
];
type StepRequest = Readonly<Record<string, string>>;

Deno.test("the calls that others than operators make are all of Stellar's", () => {
  assert.deepEqual(
    CALLS.map(([call]) => call).sort(),
    Network.methods.map(({ name }) => name).sort(),
  );
});

for (const [mode, withHost] of Object.entries(MODES)) {
  Deno.test(`a caller that is readonly by ${mode} may make the calls that only read`, (t) =>
    withHost(async (host) => {
      for (const kind of KINDS) {
        await t.step(kind, async () => {
          await using client = connect(host, kind, host.readonly);
          for (const [call, request, reads] of CALLS) {
            const outcome = await client.call(call, request);
            const { code = "ok" } = outcome as { code?: string };
            assert.equal(code, reads ? "ok" : "permission_denied", call);
          }
          for (const [call, request] of CALLS.filter(([, , reads]) => !reads)) {
            assertOutcome(await client.call(call, request), {
              code: "permission_denied",
              says: new RegExp(`^Cannot call ${call}: readonly "readonly1"`),
            });
          }
        });
      }
    }));
}

Deno.test("without a certificate every call is UNAUTHENTICATED", (t) =>
  withCluster(async (host) => {
    const { caPath } = host.operator;
    for (const kind of KINDS) {
      await t.step(kind, async () => {
        await using client = connect(host, kind, { caPath });
        for (const [call, request] of CALLS) {
          assertOutcome(await client.call(call, request), {
            code: "unauthenticated",
            says: new RegExp(`^Cannot call ${call}: .*certificate`),
          });
        }
      });
    }
  }));

Deno.test("without a certificate there is no answer where certificates are given", (t) =>
  withGiven(async (host) => {
    const { caPath } = host.operator;
    for (const kind of KINDS) {
      await t.step(kind, async () => {
        await using client = connect(host, kind, { caPath });
        const outcome = await client.call("Info");
        assert.equal((outcome as { code?: string }).code, "unavailable");
      });
    }
  }));

Deno.test("clients of an agent speak TLS 1.3, and HTTP/2 or HTTP/1.1", (t) =>
  withCluster(async ({ namespace, operator }) => {
    const curl = (...words: readonly string[]) => [
      ...["curl", "--silent", "--show-error", "--max-time", "10", ...words],
      ...curlTlsArgs(operator),
      ...["--write-out", " %{http_version}", "--json", "{}"],
      `${URL_OF_AGENT}/${Network.typeName}/Info`,
    ];
    const s_client = (...words: readonly string[]) =>
      ["openssl", "s_client", "-connect", `${ADDRESS}:9000`, ...words]
        .concat("-cert", operator.certPath!, "-key", operator.keyPath!)
        .concat("-CAfile", operator.caPath, "-verify_ip", ADDRESS);
    const answer = '{"id":"stellar.services.network.v1"}';
    const rows: readonly [
      what: string,
      line: readonly string[],
      code: number,
      says: RegExp,
    ][] = [
      ["curl", curl(), 0, new RegExp(`^${answer} 2$`)],
      [
        "curl by HTTP/1.1",
        curl("--http1.1"),
        0,
        new RegExp(`^${answer} 1.1$`),
      ],
      ["curl by TLS 1.2", curl("--tls-max", "1.2"), 35, /alert protocol vers/],
      ["ALPN h2", s_client("-alpn", "h2"), 0, /TLSv1\.3[^]*ALPN protocol: h2/],
      [
        "ALPN http/1.1",
        s_client("-alpn", "http/1.1"),
        0,
        /Verification: OK[^]*ALPN protocol: http\/1\.1/,
      ],
      ["TLS 1.2", s_client("-tls1_2"), 1, /alert protocol version/],
    ];
    const { within } = namespace;
    for (const [what, line, code, says] of rows) {
      await t.step(what, async () => {
        const [command, ...words] = [...within, ...line];
        const result = await run(command!, words);
        assert.match(result.stdout + result.stderr, says);
        assert.equal(result.code, code);
      });
    }
  }));
