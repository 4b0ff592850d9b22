import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { parseAddress } from "../../src/net/address.ts";
import { parseToken } from "../../src/security/pki/token.ts";
import { Impostor, type ImpostorMode, type Seen } from "../lab/impostor.ts";
import { Lab, labUrl, secureFlags, tokenPath } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { WireTap } from "../lab/wire_tap.ts";
import {
  createIdentity,
  createTestAuthority,
} from "../security/pki/identities.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { TestAuthority } from "../support/test_authority.ts";
import { waitFor } from "../support/wait_for.ts";

const PORT = 9000;
const CONTAINER = "secret-container";
/** What only those in the cluster are to read, besides what is in a token. */
const NAMES = ["host1", "host2", "host3", "host4", CONTAINER, "alice"]
  .concat("stellar", "172.16.");

/** Where a host's agent is reached. */
function urlOf({ number }: LabHost): string {
  return labUrl(number).replace("http:", "https:");
}

/** The flags of an agent that joins at a URL. */
function joining(host: LabHost, url: string): string[] {
  const flags = secureFlags(host);
  return flags.with(flags.indexOf("--join") + 1, url);
}

/** Everything in a token that could identify it or its holder. */
async function marksOf(path: string): Promise<(string | Uint8Array)[]> {
  const text = (await Deno.readTextFile(path)).trim();
  const { id, secret } = parseToken(text);
  const [, fingerprint, , word] = text.split(".");
  return [text, id, word!, fingerprint!, secret, secret.toHex()]
    .concat("stn1.", "BeginJoin", "FinishJoin", "CERTIFICATE REQUEST")
    .concat("IdentityService", "HTTP/1.1", "PRI * HTTP/2");
}

/** The parts of a token that admit their holder. */
function secretsOf(
  [text, , word, , ...secret]: readonly (string | Uint8Array)[],
): (string | Uint8Array)[] {
  return [text!, word!, ...secret.slice(0, 2), "stn1."];
}

/** Those of some marks that are in some bytes. */
function foundIn(
  bytes: Uint8Array,
  marks: readonly (string | Uint8Array)[],
): (string | Uint8Array)[] {
  const text = bytes.toHex();
  return marks.filter((mark) => {
    const hex = typeof mark === "string"
      ? new TextEncoder().encode(mark).toHex()
      : mark.toHex();
    return text.includes(hex);
  });
}

/** An invalid private key that names the public key of a certificate: TLS takes it for the key of that (RFC 5915). */
function pretendKey(certificate: X509Certificate): string {
  const point = certificate.publicKey.export({ format: "der", type: "spki" })
    .subarray(-65);
  const random = crypto.getRandomValues(new Uint8Array(31));
  const der = Uint8Array.fromHex(
    `3077020101042001${random.toHex()}a00a06082a8648ce3d030107a144034200` +
      new Uint8Array(point).toHex(),
  );
  return `-----BEGIN EC PRIVATE KEY-----\n${
    der.toBase64().replace(/.{64}/g, "$&\n")
  }\n-----END EC PRIVATE KEY-----\n`;
}

/** What an impostor does, and what the host that it is to deceive says of it. */
type Row = readonly [what: string, mode: ImpostorMode, says: RegExp];

/** An impostor on the third host, in the ways that there are, at its own address and the registry's. */
async function createRows(dir: string, lab: Lab): Promise<Row[]> {
  const [first, , third] = lab.hosts as [LabHost, LabHost, LabHost];
  const show = async (name: string, cert: string, key: string) => {
    const paths = { certPath: `${dir}/${name}.pem`, keyPath: `${dir}/${name}` };
    await Deno.writeTextFile(paths.certPath, cert);
    await Deno.writeTextFile(paths.keyPath, key, { mode: 0o600 });
    return { mode: "tls", ...paths } as const;
  };
  const nowMs = Date.now();
  const other = await createTestAuthority({ nowMs });
  const foreign = await createIdentity(other, {
    ...{ nowMs, name: first.name },
    addresses: [first, third].map(({ address }) => parseAddress(address)),
  });
  const real = await Deno.readTextFile(
    `${first.agent.stateDir}/identity/chain.pem`,
  );
  const [own, authority] = real.split(/(?<=-----END CERTIFICATE-----\n)/);
  const selfSigned = await (await TestAuthority.create(dir)).issue("self", {
    names: `IP:${first.address},IP:${third.address}`,
    isSelfSigned: true,
  });
  const stranger = /none of its certificates is that of the token's authority/;
  const http = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
  return [
    ["a certificate that signs itself", {
      mode: "tls",
      ...selfSigned,
    }, stranger],
    [
      "another cluster's authority",
      await show("foreign", foreign.chain, foreign.key),
      stranger,
    ],
    [
      "another cluster's certificate, and the cluster's authority",
      await show("mixed", foreign.chain + authority!, foreign.key),
      /the token's authority has not signed its certificate/,
    ],
    [
      "the registry's certificates, and no key",
      await show("copied", real, pretendKey(new X509Certificate(own!))),
      /does not have the key of its certificate/,
    ],
    ["HTTP in plain text", { mode: "text", text: http }, /does not speak TLS/],
  ];
}

/** What an agent says that keeps it from its cluster. */
async function complaint(host: LabHost): Promise<string> {
  const { warnings, registry } = await host.status();
  return [...warnings, registry.problem ?? ""].join("\n");
}

/** Gives a host the address of another on the wire too, and has a third believe it. */
async function usurp(
  [thief, from]: readonly [thief: LabHost, from: LabHost],
  deceived: LabHost,
): Promise<void> {
  await thief.ip(`address add ${from.address}/32 dev eth0`);
  await isBelieved(thief, from.address, deceived);
}

/** Gives it back. */
async function yieldTo(
  [thief, from]: readonly [thief: LabHost, from: LabHost],
  deceived: LabHost,
): Promise<void> {
  await thief.ip(`address delete ${from.address}/32 dev eth0`);
  await from.plug();
  await isBelieved(from, from.address, deceived);
}

/** Waits until a host takes another for the holder of an address: an ARP request tells the sender's own. */
async function isBelieved(
  host: LabHost,
  address: string,
  by: LabHost,
): Promise<void> {
  const ping = ["-nqc1", "-W0.3", "-I", address, by.address];
  await waitFor(
    `${by.name} to take ${host.name} for ${address}`,
    async () => {
      // The kernel does not ask for a known neighbour.
      await host.ip("neighbour flush dev eth0");
      return (await host.exec("ping", ping)).code === 0;
    },
  );
}

interface Tokens {
  readonly tokens: readonly { readonly used: number }[];
}

Deno.test("a host reveals nothing to an impostor of the registry, or to a listener", (t) =>
  withTempDir(async (dir) => {
    await using lab = await Lab.create({
      ...{ hosts: 4, secure: true, startAgents: false },
      agentFlags: (host) =>
        host.number === 1
          ? [...secureFlags(host), "--listen", `[${host.address6}]:${PORT}`]
          : secureFlags(host),
    });
    const [first, second, third, fourth] = lab.hosts as [
      ...[LabHost, LabHost, LabHost, LabHost],
    ];
    await first.agent.start();
    await lab.admit(second);
    const marks = await marksOf(tokenPath(second));
    const rows = await createRows(dir, lab);

    /** Has the second host meet an impostor on the third. */
    const meet = async (
      mode: ImpostorMode,
      { address, says }: { readonly address: string; readonly says: RegExp },
    ): Promise<Seen> => {
      await using impostor = await Impostor.start(third, {
        ...{ address, port: PORT },
        ...mode,
      });
      Deno.kill(second.agent.pid, "SIGHUP");
      await impostor.met();
      let told = "";
      try {
        await lab.waitFor(
          `host2 to say ${says}`,
          async () => says.test(told = await complaint(second)),
        );
      } catch (cause) {
        throw new Error(`host2 says: ${told}`, { cause });
      }
      return await impostor.stop();
    };

    /** Checks that an impostor has learned nothing from the joining host. */
    const checkNothing = async (seen: Seen) => {
      assert.notEqual(seen.raw.length, 0);
      assert.equal(seen.clear.length, 0);
      assert.deepEqual(foundIn(seen.raw, marks), []);
      const { subnets, certificateUntil } = await second.status();
      assert.deepEqual([subnets, certificateUntil], [[], null]);
    };

    const meetAll = async (t: Deno.TestContext, address: string) => {
      for (const [what, mode, says] of rows) {
        await t.step(what, async () => {
          const seen = await meet(mode, { address, says });
          await checkNothing(seen);
        });
      }
    };

    await t.step("at an address of its own", async (t) => {
      second.agent.flags = joining(second, urlOf(third));
      await second.agent.start();
      const { address } = third;
      await meetAll(t, address);
      await t.step("silence", async () => {
        const says = /nothing answers there in time/;
        await checkNothing(await meet({ mode: "silent" }, { address, says }));
      });
      await t.step("a relay", async () => {
        const mode = { mode: "relay", to: first.address } as const;
        const says = new RegExp(
          `its certificate is for .*${first.address}.*, not for "${address}"`,
        );
        const seen = await meet(mode, { address, says });
        await checkNothing(seen);
        assert.deepEqual(foundIn(seen.back, marks), []);
      });
      await second.agent.stop();
    });

    await t.step("that takes its address", async (t) => {
      await first.unplug();
      await usurp([third, first], second);
      second.agent.flags = secureFlags(second);
      await second.agent.start();
      await meetAll(t, first.address);
      await t.step("joins by itself when the registry is back", async () => {
        // It has failed a few times, and would wait for a while.
        await second.agent.restart();
        await yieldTo([third, first], second);
        await second.joined();
        const { tokens } = await first.ask<Tokens>("token list");
        assert.deepEqual(tokens.map(({ used }) => used), [1]);
      });
    });

    await t.step("that takes a member's address", async (t) => {
      await first.unplug();
      await usurp([third, first], second);
      await second.agent.restart();
      const explained = [
        /it is signed by itself, not by an authority of this cluster/,
        /"O=stellar-net, .*", which has signed it, is no authority of this cl/,
        /which has signed it, is no authority of this cluster/,
        /does not have the key of its certificate/,
        /does not speak TLS/,
      ];
      for (const [index, [what, mode]] of rows.entries()) {
        await t.step(what, async () => {
          const says = explained[index]!;
          const seen = await meet(mode, { address: first.address, says });
          assert.notEqual(seen.raw.length, 0);
          assert.equal(seen.clear.length, 0);
          assert.deepEqual(foundIn(seen.raw, ["host2", "Join", "HTTP"]), []);
        });
      }
      await yieldTo([third, first], second);
      await second.joined();
    });

    await using tap = await WireTap.start(lab);
    await lab.admit(fourth);
    const secrets = await marksOf(tokenPath(fourth));

    await t.step("a member that passes on what it can read", async () => {
      await lab.admit(third);
      await third.agent.start();
      await third.joined();
      await third.agent.stop();
      const identity = `${third.agent.stateDir}/identity`;
      await using impostor = await Impostor.start(third, {
        ...{ mode: "terminate", to: first.address },
        ...{ address: third.address, port: PORT },
        certPath: `${identity}/chain.pem`,
        keyPath: `${identity}/key.pem`,
      });
      fourth.agent.flags = joining(fourth, urlOf(third));
      await fourth.agent.start();
      await lab.waitFor(
        "the registry to refuse the proof",
        async () =>
          /Cannot join with this token: the cluster has none with its id/
            .test(await complaint(fourth)),
      );
      await fourth.agent.stop();
      const { clear, back } = await impostor.stop();
      assert.deepEqual(foundIn(clear, ["FinishJoin"]), ["FinishJoin"]);
      assert.deepEqual(foundIn(clear, secretsOf(secrets)), []);
      assert.deepEqual(foundIn(back, secretsOf(secrets)), []);
    });

    await t.step("a relay at its address", async () => {
      await lab.partition(first, fourth);
      await usurp([third, first], fourth);
      const mode = { mode: "relay", to: first.address6 } as const;
      await using impostor = await Impostor.start(third, {
        ...{ address: first.address, port: PORT },
        ...mode,
      });
      fourth.agent.flags = secureFlags(fourth);
      await fourth.agent.start();
      await fourth.joined();
      const { raw, back } = await impostor.stop();
      for (const bytes of [raw, back]) {
        assert.notEqual(bytes.length, 0);
        assert.deepEqual(foundIn(bytes, [...secrets, ...NAMES]), []);
      }
      await lab.heal();
      await yieldTo([third, first], fourth);
    });

    await t.step("a listener on the wire", async () => {
      const token = `${dir}/alice.token`;
      await first.must("stellar-net", [
        ...["token", "create", "--role", "operator", "--name", "alice"],
        ...["--file", token],
      ]);
      const alice = `${dir}/alice`;
      await fourth.must("stellar-net", [
        ...["identity", "create", alice, "--name", "alice"],
        ...["--join", urlOf(first), "--token-file", token],
      ]);
      const printed = await fourth.must("stellar-net", [
        ...["--identity", alice, "ip", "allocate", CONTAINER],
        ...["--node", second.name],
      ]);
      assert.match(printed, /172\.16\./);
      const heard = await tap.stop([fourth, first], "in plain text");
      const marks = [...await marksOf(token), ...secrets, ...NAMES];
      assert.deepEqual(
        foundIn(heard, marks),
        [],
      );
      console.log(`Heard on the wire: ${heard.length} bytes`);
    });
  }));
