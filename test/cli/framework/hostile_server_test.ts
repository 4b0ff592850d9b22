import assert from "node:assert/strict";
import {
  create,
  type DescField,
  type DescMessage,
  type DescService,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { type FakeIoOptions, runFake } from "../fake_io.ts";

/** Clears a terminal in two ways, rings, goes up a line, hides and turns text round. */
const HOSTILE =
  "a\x1b[2J\x9b2J\x07\rb\x1b]0;t\x07\nc\x08\u202ed\u2066e\u2028f\u2029g\x7f\0";
/** What no output may hold. */
const UNSAFE = /[^\P{Cc}\n]|[\p{Bidi_Control}\u2028\u2029]/u;

/** Commands that show what an agent says. */
const COMMANDS: readonly string[] = [
  "status",
  "doctor",
  "ip list",
  "ip get c1",
  "ip history",
  "ip list --reserved",
  "ip reserve 172.16.0.9",
  "ip allocate c1",
  "ip release c1",
  "subnet list",
  "subnet reserve 172.16.4.0/22",
  "node list",
  "node leave",
  "node remove n1",
  "route list",
  "route plan",
  "route add 10.0.0.0/8 198.18.0.9",
];

/** Texts that have to be something for a command to get as far as to show the others. */
const TEXTS: Readonly<Record<string, string>> = {
  next_page_token: "",
  capacity: "1021",
};

/** Fills a message: hostile texts wherever there may be some. */
function fill(schema: DescMessage, depth = 0): Message {
  const values = schema.fields.map((field): [string, unknown] => [
    field.localName,
    fillField(field, depth),
  ]);
  const given = values.filter(([, value]) => value !== undefined);
  return create(schema, Object.fromEntries(given) as never);
}

function fillField(field: DescField, depth: number): unknown {
  if (field.oneof || field.fieldKind === "map" || depth > 4) return undefined;
  const value = field.message
    ? field.message.typeName.startsWith("google.protobuf.")
      ? create(field.message)
      : fill(field.message, depth + 1)
    : field.enum
    ? field.enum.values.at(-1)!.number
    : fillScalar(field);
  return field.fieldKind === "list" ? [value, value] : value;
}

function fillScalar(field: DescField): unknown {
  switch (field.scalar) {
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return 7n;
    case ScalarType.INT32:
    case ScalarType.UINT32:
    case ScalarType.DOUBLE:
      return 7;
    case ScalarType.BOOL:
      return true;
    default:
      return TEXTS[field.name] ?? HOSTILE;
  }
}

/** Answers each call with a filled message. */
function answerAll(service: DescService): Record<string, unknown> {
  return Object.fromEntries(service.methods.map((method) => [
    method.localName,
    method.methodKind === "unary"
      ? () => fill(method.output)
      : () => [fill(method.output)],
  ]));
}

/** Refuses each call. */
function refuseAll(service: DescService): Record<string, unknown> {
  return Object.fromEntries(
    service.methods.map(({ localName }) => [localName, () => {
      throw new ConnectError(HOSTILE, Code.FailedPrecondition);
    }]),
  );
}

function handlers(
  make: (service: DescService) => Record<string, unknown>,
): FakeIoOptions {
  return {
    agent: make(AgentService),
    ipam: make(IpamService),
    registry: make(RegistryService),
  };
}

Deno.test("no command prints control characters from an agent's answer", async (t) => {
  for (const line of COMMANDS) {
    for (const format of [[], ["--json"]]) {
      const args = [...line.split(" "), ...format];
      await t.step(args.join(" "), async () => {
        const { stdout, stderr } = await runFake(args, handlers(answerAll));
        assert.doesNotMatch(stdout, UNSAFE);
        assert.doesNotMatch(stderr, UNSAFE);
        assert.doesNotMatch(stderr, /unexpected error/);
        assert.match(stdout, /a\\u001b\[2J\\u009b2J/, stderr);
      });
    }
  }
});

Deno.test("no command prints control characters from an agent's error", async (t) => {
  for (const line of COMMANDS) {
    await t.step(line, async () => {
      const run = await runFake(line.split(" "), handlers(refuseAll));
      assert.equal(run.stdout, "");
      assert.equal(run.code, 1);
      assert.doesNotMatch(run.stderr, UNSAFE);
      assert.match(run.stderr, /^stellar-net: Cannot .*a\\u001b\[2J.*\n$/);
    });
  }
});
