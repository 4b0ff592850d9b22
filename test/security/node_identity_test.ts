import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import { addressesOf, readCertificate } from "../../src/security/pki/x509.ts";
import { readIdentity } from "../../src/security/pki/certificate_identity.ts";
import { parsePem } from "../../src/security/pki/pem.ts";
import { createToken } from "../../src/security/pki/token.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
} from "../../src/net/address.ts";
import {
  ADDRESSES,
  serialOf,
  START_MS,
  TOKEN,
  withNode,
  World,
} from "./node_identity_world.ts";

const HOUR_MS = 3600_000;
const OTHER_TOKEN = createToken(`sha256:${"a".repeat(64)}`);

Deno.test("NodeIdentity joins with its token, keeps its credentials, and needs no token again", () =>
  withNode(async (node, world) => {
    assert.deepEqual(world.calls, ["enrol host2 token"]);
    const { cert, key, ca } = node.material!;
    assert.match(key, /^-----BEGIN PRIVATE KEY-----/);
    assert.equal(
      ca,
      (await world.registry.trust()).authorities[0]!.certificate,
    );
    const [own] = parsePem("CERTIFICATE", cert);
    assert.equal(readIdentity(own!).name, "host2");
    assert.deepEqual(certifiedAddresses(cert).map(formatAddress), [
      "198.18.0.2",
    ]);
    assert.equal(node.fault(world.time.nowMs), "");
    assert.deepEqual(node.warnings(world.time.nowMs), []);
    assert.deepEqual(world.files.written, [
      "key.pem",
      "chain.pem",
      "trust.json",
    ]);

    const again = await world.identity();
    again.setAddresses(ADDRESSES);
    again.start();
    await world.time.idle(2);
    await world.time.pass(60_000);
    assert.deepEqual(world.calls, ["enrol host2 token"]);
    assert.deepEqual(again.material, node.material);
    await again.stop();
  }));

Deno.test("NodeIdentity asks for nothing before it knows its addresses", async () => {
  const world = await World.open();
  const node = await world.identity();
  node.start();
  await world.time.pass(60_000);
  assert.deepEqual(world.calls, []);
  node.setAddresses([]);
  await world.time.pass(1);
  assert.deepEqual(world.calls, ["enrol host2 token"]);
  await node.stop();
  await world.close();
});

Deno.test("NodeIdentity tries again until it is admitted, with the token that is there then", () =>
  withNode(async (node, world) => {
    assert.equal(node.material, undefined);
    assert.match(
      node.warnings(world.time.nowMs)[0]!,
      /^this host has no certificate yet, .*: Cannot join with this token: used up$/,
    );
    await world.time.pass(60_000);
    assert.ok(world.calls.length > 4, world.calls.join());
    assert.ok(world.calls.length < 12, world.calls.join());
    world.token = OTHER_TOKEN;
    world.refusal = undefined;
    await world.time.pass(15_000);
    assert.equal(world.calls.at(-1), "enrol host2 other token");
    assert.deepEqual(node.warnings(world.time.nowMs), []);
  }, {
    prepare: (world) =>
      world.refusal = new NetError(
        "permission_denied",
        "Cannot join with this token: used up",
      ),
  }));

Deno.test("NodeIdentity says when there is no token, or it cannot be used", async (t) => {
  const rows: readonly [what: string, token: World["token"], says: RegExp][] = [
    [
      "none",
      undefined,
      /no token to get one with; .*token create.*--token-file$/,
    ],
    [
      "a bad one",
      new NetError("failed_precondition", 'Cannot use "token": bad'),
      /: Cannot use "token": bad$/,
    ],
  ];
  for (const [what, token, says] of rows) {
    await t.step(what, () =>
      withNode((node, world) => {
        assert.deepEqual(world.calls, []);
        const warnings = node.warnings(world.time.nowMs);
        assert.equal(warnings.length, 1);
        assert.match(warnings[0]!, says);
        return Promise.resolve();
      }, { prepare: (world) => world.token = token }));
  }
});

Deno.test("NodeIdentity renews after two thirds of its certificate's time, or a little earlier", () =>
  withNode(async (node, world) => {
    const first = serialOf(node);
    let changes = 0;
    node.onChange(() => changes++);
    await world.time.pass(14 * HOUR_MS);
    assert.deepEqual(world.calls, ["enrol host2 token"]);
    await world.time.pass(2 * HOUR_MS);
    assert.deepEqual(world.calls, ["enrol host2 token", "renew"]);
    assert.notEqual(serialOf(node), first);
    assert.equal(changes, 1);
    const keys = world.files.written.filter((file) => file === "key.pem");
    assert.equal(keys.length, 1);
  }));

Deno.test("NodeIdentity renews on request, and tries until it succeeds", () =>
  withNode(async (node, world) => {
    const first = serialOf(node);
    world.refusal = new NetError("unavailable", "Cannot reach it: off");
    node.renewNow();
    await world.time.pass(1_000);
    assert.equal(serialOf(node), first);
    world.refusal = undefined;
    await world.time.pass(60_000);
    const second = serialOf(node);
    assert.notEqual(second, first);
    await world.time.pass(HOUR_MS);
    assert.equal(serialOf(node), second);
    node.renewNow();
    await world.time.pass(1);
    assert.notEqual(serialOf(node), second);
  }));

Deno.test("NodeIdentity goes on trying to renew, and warns near the end", () =>
  withNode(async (node, world) => {
    world.refusal = new NetError("unavailable", "Cannot reach it: off");
    await world.time.pass(20 * HOUR_MS);
    assert.deepEqual(node.warnings(world.time.nowMs), []);
    await world.time.pass(2 * HOUR_MS);
    assert.match(
      node.warnings(world.time.nowMs).join(),
      /^this host's certificate is valid until 2026-01-02T00:00:00.000Z only, and is not renewed: Cannot reach it: off$/,
    );
    await world.time.pass(3 * HOUR_MS);
    assert.match(
      node.warnings(world.time.nowMs).join(),
      /^other hosts do not accept this one: .* it was valid until \S+ \(Cannot reach it: off\); it is renewed as soon as a host of the registry is reached$/,
    );
    assert.equal(world.calls.includes("enrol host2 other token"), false);
    // One that has ended renews itself.
    world.refusal = undefined;
    await world.time.pass(60_000);
    assert.deepEqual(node.warnings(world.time.nowMs), []);
  }));

Deno.test("NodeIdentity whose renewal is refused says why its token cannot be used, unless there is none", async (t) => {
  const unusable = 'Cannot use the token in "token": its mode is 0644';
  const refused = "Cannot certify it: its certificate ended long ago";
  const rows: readonly (readonly [NetError["code"], says: string])[] = [
    ["failed_precondition", unusable],
    ["not_found", refused],
  ];
  for (const [code, says] of rows) {
    await t.step(code, () =>
      withNode(async (node, world) => {
        world.token = new NetError(code, unusable);
        world.refusal = new NetError("unavailable", "Cannot reach it: off");
        await world.time.pass(25 * HOUR_MS);
        const warning = () => node.warnings(world.time.nowMs).join();
        assert.match(warning(), /\(Cannot reach it: off\)/);
        world.refusal = new NetError("permission_denied", refused);
        await world.time.pass(HOUR_MS);
        assert.ok(warning().includes(`(${says})`), warning());
      }));
  }
});

Deno.test("NodeIdentity renews nothing while its state is a copy, and uses a token", () =>
  withNode(async (node, world) => {
    world.mayRenew = false;
    node.setAddresses([parseAddress("198.18.0.77")]);
    node.renewNow();
    await world.time.pass(700_000);
    assert.deepEqual(world.calls, ["enrol host2 token"]);
    world.isInCluster = false;
    world.token = OTHER_TOKEN;
    await world.time.pass(90_000);
    assert.deepEqual(world.calls, [
      "enrol host2 token",
      "enrol host2 other token",
    ]);
  }));

Deno.test("NodeIdentity gets a new certificate when its addresses change", () =>
  withNode(async (node, world) => {
    node.setAddresses([...ADDRESSES, parseAddress("2001:2::2")]);
    await world.time.pass(1);
    assert.deepEqual(world.calls, ["enrol host2 token", "renew"]);
    const { chain } = node.state.certificate!;
    assert.deepEqual(certifiedAddresses(chain).map(formatAddress), [
      "198.18.0.2",
      "2001:2::2",
    ]);
    node.setAddresses([parseAddress("2001:2::2"), ...ADDRESSES]);
    await world.time.pass(60_000);
    assert.equal(world.calls.length, 2);
  }));

Deno.test("NodeIdentity is certified by the next authority soon after that signs", () =>
  withNode(async (node, world) => {
    const { registry, time } = world;
    await registry.rotate({
      announceMs: 600_000,
      overlapMs: 31 * 24 * HOUR_MS,
    });
    node.takeTrust(await registry.trust());
    assert.equal(node.material!.ca.match(/BEGIN/g)!.length, 2);
    await time.pass(590_000);
    assert.equal(world.calls.length, 1);
    await time.pass(610_000);
    assert.deepEqual(world.calls, ["enrol host2 token", "renew"]);
    assert.equal(node.state.certificate!.identity.generation, 2);
  }));

Deno.test("NodeIdentity uses a new token when it is kept out of its cluster, and no other", () =>
  withNode(async (node, world) => {
    world.token = OTHER_TOKEN;
    await world.time.pass(60_000);
    assert.equal(world.calls.length, 1);
    world.token = TOKEN;
    world.isInCluster = false;
    await world.time.pass(60_000);
    assert.equal(world.calls.length, 1);
    const first = serialOf(node);
    world.token = OTHER_TOKEN;
    await world.time.pass(20_000);
    assert.deepEqual(world.calls.slice(1), ["enrol host2 other token"]);
    assert.notEqual(serialOf(node), first);
    await world.time.pass(60_000);
    assert.equal(world.calls.length, 2);
  }));

Deno.test("NodeIdentity tells for a while that another has refused it", () =>
  withNode(async (node, world) => {
    node.noteRefusal("Cannot accept it: it was revoked");
    assert.match(
      node.warnings(world.time.nowMs).join(),
      /^other hosts do not accept this one: Cannot accept it: it was revoked; to admit this host again, run "stellar-net token create --name host2" on /,
    );
    await world.time.pass(61_000);
    assert.deepEqual(node.warnings(world.time.nowMs), []);
  }));

Deno.test("NodeIdentity takes no trust of another cluster, nor none", () =>
  withNode(async (node, world) => {
    const other = await World.open("c2");
    const before = node.state.trust;
    node.takeTrust(await other.registry.trust());
    node.takeTrust({ authorities: [], revocations: [] });
    assert.equal(node.state.trust, before);
    await other.close();
    await world.registry.revoke({ role: "node", name: "host3" }, "gone");
    node.takeTrust(await world.registry.trust());
    await node.stop();
    assert.match(world.files.texts.get("trust.json")!, /"gone"/);
    const again = await world.identity();
    assert.deepEqual(again.state.trust, node.state.trust);
  }));

Deno.test("NodeIdentity of an agent that hosts the registry signs for itself, in whichever cluster", () =>
  withNode(async (node, world) => {
    assert.deepEqual(node.warnings(world.time.nowMs), []);
    const other = await World.open("c2");
    // Its registry was made anew.
    const again = await world.identity({
      source: {
        kind: "own",
        sign: (order) => other.registry.signOwn(order),
      },
    });
    again.takeTrust(await other.registry.trust());
    assert.match(again.warnings(START_MS)[0]!, /^other hosts do not accept/);
    again.setAddresses(ADDRESSES);
    again.start();
    await world.time.idle(2);
    await world.time.pass(10_000);
    assert.deepEqual(again.warnings(world.time.nowMs), []);
    await again.stop();
    await other.close();
  }, {
    node: ({ registry }) => ({
      source: { kind: "own", sign: (order) => registry.signOwn(order) },
    }),
  }));

Deno.test("NodeIdentity uses no certificate of another node or cluster", async (t) => {
  const rows: readonly [
    what: string,
    name: string,
    clusterId: string | undefined,
    says: RegExp,
  ][] = [
    ["node", "host3", undefined, /it is for node "host3" of cluster "c1"/],
    ["cluster", "host2", "c2", /no authority that is trusted here has signed/],
    [
      "authority of the same cluster's name",
      "host2",
      "c1",
      /no authority that is trusted here has signed/,
    ],
  ];
  for (const [what, name, clusterId, says] of rows) {
    await t.step(what, () =>
      withNode(async (node, world) => {
        const other = await World.open(clusterId);
        const { registry } = clusterId === undefined ? world : other;
        const first = serialOf(node);
        const wrong = await world.identity({
          source: {
            kind: "others",
            readToken: () => other.tokenOf(TOKEN),
            issuers: [{
              enrol: () => Promise.reject(new Error("It has a certificate")),
              renew: (order) => registry.signOwn({ ...order, name }),
            }],
          },
        });
        wrong.setAddresses([]);
        wrong.start();
        await world.time.idle(2);
        await world.time.pass(10_000);
        assert.equal(serialOf(wrong), first);
        assert.match(wrong.warnings(world.time.nowMs).join(), says);
        await wrong.stop();
        await other.close();
      }));
  }
});

Deno.test("NodeIdentity refuses files that are damaged, and says how to go on", async (t) => {
  for (const file of ["key.pem", "chain.pem", "trust.json"] as const) {
    for (const text of ["", "{", "-----BEGIN CERTIFICATE-----\n", "{}"]) {
      await t.step(
        `${file} ${JSON.stringify(text)}`,
        () =>
          withNode(async (_, world) => {
            world.files.texts.set(file, text);
            await assert.rejects(world.identity(), {
              name: "NetError",
              code: "failed_precondition",
              message: new RegExp(
                `^Cannot use "/state/identity/${file}": it is damaged .*; stop the agent, move`,
              ),
            });
          }),
      );
    }
  }
});

/** The addresses in the first certificate of a chain. */
function certifiedAddresses(chain: string): Address[] {
  return addressesOf(readCertificate(parsePem("CERTIFICATE", chain)[0]!));
}
