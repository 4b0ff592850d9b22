import assert from "node:assert/strict";
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { AgentService } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import { ClusterService } from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import { IdentityService } from "../../src/gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { quote } from "../../src/net/address.ts";
import { writeFakeIp } from "../support/fake_ip.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { BAD_VALUES, FIELDS, NOT_PARSED, REQUESTS } from "./bad_fields.ts";

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Runs an agent in memory and calls a function with it. */
function withAgent(
  use: (agent: SpawnedAgent) => Promise<void>,
): Promise<void> {
  return withTempDir(async (dir) => {
    const env = await writeFakeIp(dir);
    const args = ["--store", "kv::memory:"];
    await using agent = await spawnAgent({ args, env });
    await use(agent);
  });
}

async function post(
  agent: SpawnedAgent,
  call: string,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<Answer> {
  const response = await fetch(`${agent.url}/${call}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  return { status: response.status, body: await response.json() };
}

/** The full name of a call such as `Network/GetIP`. */
function nameOf(call: string): string {
  const found = Object.keys(REQUESTS).find((name) => name.endsWith(`.${call}`));
  assert.ok(found, call);
  return found;
}

/** A right request of a call with another value in one field, such as `owner.network` or `keep[].network`. */
function requestWith(call: string, field: string, value: unknown): string {
  const request = structuredClone(REQUESTS[nameOf(call)]!);
  const path = field.split(".");
  let at = request as Record<string, unknown>;
  for (const [i, part] of path.entries()) {
    const isList = part.endsWith("[]");
    const name = part.replace("[]", "")
      .replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    const given = isList ? (at[name] as unknown[] | undefined)?.[0] : at[name];
    const inner = i === path.length - 1 ? value : given ?? {};
    at[name] = isList ? [inner] : inner;
    at = inner as Record<string, unknown>;
  }
  return JSON.stringify(request);
}

/** How an error shows a value; of a prefix with a right length, its address. */
function quotedPart(value: string | number): string {
  if (typeof value === "number") return `${value}`;
  const quoted = quote(value);
  return /\/\d+"$/.test(quoted) ? quoted.slice(0, quoted.indexOf("/")) : quoted;
}

/** What the node, its registry and its addresses look like. */
async function snapshot(agent: SpawnedAgent): Promise<unknown[]> {
  const calls = [
    "IpamService/ListAllocations",
    "IpamService/ListHistory",
    "RegistryService/ListSubnets",
    "RegistryService/ListRoutes",
  ];
  return await Promise.all(
    calls.map((call) => post(agent, `stellar.net.v1.${call}`, "{}")),
  );
}

Deno.test("every field of every request refuses wrong values, naming itself and the value", (t) =>
  withAgent(async (agent) => {
    const before = await snapshot(agent);
    for (const [call, field, kind] of FIELDS) {
      await t.step(`${call} ${field}`, async () => {
        const name = field.replaceAll("[]", "");
        for (const value of BAD_VALUES[kind]) {
          const request = requestWith(call, field, value);
          const { status, body } = await post(agent, nameOf(call), request);
          const { code, message } = body as { code: string; message: string };
          assert.equal(`${status} ${code}`, "400 invalid_argument", request);
          const unnumbered = message.replace(/\[\d+\]/g, "");
          assert.ok(
            unnumbered.startsWith(`Invalid field "${name}": `),
            message,
          );
          assert.ok(message.includes(quotedPart(value)), message);
          assert.doesNotMatch(message, /[\p{Cc}\p{Cf}]/u);
        }
      });
    }
    assert.deepEqual(await snapshot(agent), before);
  }));

Deno.test("every field that a request has to have is asked for", (t) =>
  withAgent(async (agent) => {
    for (const [call, field, , presence] of FIELDS) {
      if (presence === "optional") continue;
      await t.step(`${call} ${field}`, async () => {
        const request = requestWith(call, field, "");
        const { status, body } = await post(agent, nameOf(call), request);
        const name = field.replaceAll("[]", "");
        const message = `Invalid field "${name}": it is empty`;
        const { details, message: found, ...error } = body as Record<
          string,
          unknown
        >;
        assert.deepEqual(
          [status, error, String(found).replace(/\[\d+\]/g, "")],
          [400, { code: "invalid_argument" }, message],
        );
        assert.deepEqual((details as { type: string }[]).map((d) => d.type), [
          "google.rpc.ErrorInfo",
          "google.rpc.BadRequest",
        ]);
      });
    }
  }));

Deno.test("every field of every request refuses values of another JSON type, naming itself", (t) =>
  withAgent(async (agent) => {
    const before = await snapshot(agent);
    for (const [call, field, kind] of FIELDS) {
      await t.step(`${call} ${field}`, async () => {
        const name = field.replaceAll("[]", "").split(".").at(-1)!;
        const wrong = kind === "limit"
          ? ["ten", 1.5, 4294967296, true, {}, []]
          : [5, true, {}, [[]]];
        for (const value of wrong) {
          const request = requestWith(call, field, value);
          const { status, body } = await post(agent, nameOf(call), request);
          const { code, message } = body as { code: string; message: string };
          assert.equal(`${status} ${code}`, "400 invalid_argument", request);
          assert.match(
            message,
            new RegExp(`^cannot decode field .*\\.${name} from JSON: `),
          );
        }
      });
    }
    assert.deepEqual(await snapshot(agent), before);
  }));

const GET_IP = "stellar.services.network.v1.Network/GetIP";
const ALLOCATE_IP = "stellar.services.network.v1.Network/AllocateIP";
const LIST_HISTORY = "stellar.net.v1.IpamService/ListHistory";

/** Bodies that are wrong as a whole, and what the error says. */
const BODIES: readonly (readonly [
  name: string,
  call: string,
  body: string | Uint8Array<ArrayBuffer>,
  says: RegExp,
])[] = [
  ["nothing", GET_IP, "", /JSON/],
  ["half an object", GET_IP, '{"id":"c"', /JSON/],
  ["an array", GET_IP, "[]", /GetIPRequest from JSON/],
  ["a number", GET_IP, "5", /GetIPRequest from JSON/],
  ["null", GET_IP, "null", /GetIPRequest from JSON/],
  ["a key twice", GET_IP, '{"id":"a","id":"b"}', /duplicate .*"id"/],
  [
    "both names of a field",
    ALLOCATE_IP,
    '{"id":"c","node":"n","subnetCidr":"10.0.0.0/8","subnet_cidr":"10.0.0.0/8"}',
    /subnet_cidr/,
  ],
  [
    "text that is no UTF-8",
    GET_IP,
    new Uint8Array([...new TextEncoder().encode('{"id":"'), 0xff, 0x22, 0x7d]),
    /^Invalid field "id": "\ufffd" is not valid/,
  ],
  [
    "half a surrogate pair",
    GET_IP,
    '{"id":"\\ud800","node":"n"}',
    /id/,
  ],
  [
    "an invalid time",
    LIST_HISTORY,
    '{"since":"yesterday"}',
    /Timestamp from JSON: /,
  ],
  [
    "a time out of range",
    LIST_HISTORY,
    '{"since":"10000-01-01T00:00:00Z"}',
    /Timestamp from JSON: /,
  ],
];

Deno.test("bodies that are not requests and unknown fields are refused", (t) =>
  withAgent(async (agent) => {
    for (const [name, call, body, says] of BODIES) {
      await t.step(name, async () => {
        const answer = await post(agent, call, body);
        const { code, message } = answer.body as Record<string, string>;
        assert.equal(`${answer.status} ${code}`, "400 invalid_argument");
        assert.match(message!, says);
      });
    }
    const more = await post(
      agent,
      GET_IP,
      '{"id":"c","node":"n","notKnown":1}',
    );
    const { code, message } = more.body as Record<string, string>;
    assert.equal(`${more.status} ${code}`, "400 invalid_argument");
    assert.match(message!, /notKnown/);
    // An empty list never means all.
    const others = "stellar.net.v1.IpamService/ReleaseOthers";
    for (
      const [body, says] of [
        ['{"network":"n"}', /"keep".*keep_none/],
        [
          '{"network":"n","keep":[{"containerId":"c"}],"keepNone":true}',
          /"keep_none"/,
        ],
      ] as const
    ) {
      const refused = await post(agent, others, body);
      assert.equal(refused.status, 400);
      assert.match((refused.body as Record<string, string>).message!, says);
    }
    const all = await post(agent, others, '{"network":"n","keepNone":true}');
    assert.equal(all.status, 200);
  }));

/** The fields of a message that hold a value, with those of messages in it. */
function fieldsOf(message: DescMessage): string[] {
  return message.fields.flatMap((field: DescField) => {
    const name = field.fieldKind === "list" ? `${field.name}[]` : field.name;
    return field.message
      ? fieldsOf(field.message).map((inner) => `${name}.${inner}`)
      : [name];
  });
}

Deno.test("the tables above hold every field of every request", () => {
  const services = [Network, IpamService, RegistryService, AgentService];
  const fields = [...services, ClusterService, IdentityService]
    .flatMap((service) =>
      service.methods.filter((m) => m.methodKind === "unary").flatMap((
        method,
      ) =>
        fieldsOf(method.input).map((field) =>
          `${service.name}/${method.name} ${field}`
        )
      )
    );
  const tested = FIELDS.map(([call, field]) => `${call} ${field}`);
  assert.deepEqual(
    [...tested, ...Object.keys(NOT_PARSED)].sort(),
    fields.sort(),
  );
});
