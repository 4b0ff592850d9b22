import assert from "node:assert/strict";
import {
  createToken,
  formatToken,
  parseToken,
} from "../../src/security/pki/token.ts";
import { Lab, secureFlags, tokenPath } from "../lab/lab.ts";
import { identityDir } from "../lab/lab_certificates.ts";
import { LabClock } from "../lab/lab_clock.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { allDone } from "../support/all_done.ts";

/** What `token list --json` tells, as far as it is used here. */
interface Tokens {
  readonly tokens: readonly {
    readonly id: string;
    readonly state: string;
    readonly used: number;
  }[];
}

/** A token that lets nobody in, what is said of it, and how the list has it then. */
interface Row {
  readonly what: string;
  readonly text: string;
  readonly says: RegExp;
  /** Of the token of the cluster that it is, or was made of. */
  readonly listed: readonly [id: string, state: string, used: number];
}

/** Makes a token on a host. Words are added to the command. */
async function make(on: LabHost, ...words: readonly string[]): Promise<string> {
  return (await on.must("stellar-net", ["token", "create", ...words])).trim();
}

/** Replaces the file that a host's agent finds its token in. */
async function hand(host: LabHost, text: string, mode = 0o600): Promise<void> {
  const path = tokenPath(host);
  await Deno.writeTextFile(`${path}.part`, `${text}\n`, { mode });
  await Deno.chmod(`${path}.part`, mode);
  await Deno.rename(`${path}.part`, path);
}

/** A token as another would be printed whose parts are some of it. */
function altered(
  text: string,
  change: Partial<ReturnType<typeof parseToken>>,
): string {
  return formatToken({ ...parseToken(text), ...change });
}

function idOf(text: string): string {
  return parseToken(text).id;
}

/** Another character than the one that a text has at a place. */
function flip(text: string, at: number): string {
  const other = text[at] === "A" ? "B" : "A";
  return text.slice(0, at) + other + text.slice(at + 1);
}

async function listed(on: LabHost, id: string): Promise<Row["listed"]> {
  const { tokens } = await on.ask<Tokens>("token list");
  const { state, used } = tokens.find((token) => token.id === id)!;
  return [id, state, used];
}

Deno.test("a host joins with a token that holds, and with no other", async (t) => {
  await using lab = await Lab.create({
    ...{ hosts: 4, secure: true, startAgents: false },
    // The last one is a cluster of its own.
    agentFlags: (host) =>
      host.number === 4
        ? ["--listen", `${host.address}:9000`, "--routes", "off"]
        : secureFlags(host),
  });
  const [first, second, third, foreign] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  const clocks = await allDone(lab.hosts.map((host) => LabClock.giveTo(host)));
  await allDone([first.agent.start(), foreign.agent.start()]);
  await allDone([first.joined(), foreign.joined()]);
  const expired = await make(first, "--lifetime", "1m");
  await allDone(clocks.map((clock) => clock.moveHours(1)));

  const usedUp = await make(first);
  await hand(third, usedUp);
  await third.agent.start();
  await third.joined();
  const revoked = await make(first);
  await first.must("stellar-net", ["token", "revoke", idOf(revoked)]);
  const good = await make(first);
  const bound = await make(first, "--name", "host9");
  const taken = await make(first, "--name", third.name);
  const [operator, readonly] = await allDone(
    ["operator", "readonly"].map((role) =>
      make(first, "--role", role, "--name", second.name)
    ),
  ) as [string, string];
  const alice = await make(first, "--role", "operator", "--name", "alice");
  const strange = await make(foreign);
  const { id, secret } = parseToken(good);
  const other = createToken(parseToken(good).fingerprint);
  const unused = [id, "usable", 0] as const;
  const damaged = /it was mistyped or cut off, its checksum does not fit/;
  const unknown = /the cluster has none with its id and secret/;
  const elsewhere = /none of its certificates is that of the token's authority/;

  const rows: readonly Row[] = [
    {
      what: "expired",
      text: expired,
      says: /Cannot join with this token: it expired at \S+; create another/,
      listed: [idOf(expired), "expired", 0],
    },
    {
      what: "used up",
      text: usedUp,
      says:
        /Cannot join with this token: it was good for one use and has had it/,
      listed: [idOf(usedUp), "used up", 1],
    },
    {
      what: "revoked",
      text: revoked,
      says: /Cannot join with this token: it was revoked at \S+; create/,
      listed: [idOf(revoked), "revoked", 0],
    },
    {
      what: "of another cluster",
      text: strange,
      says: elsewhere,
      listed: unused,
    },
    {
      what: "with another fingerprint and the same checksum",
      text: flip(good, 10),
      says: damaged,
      listed: unused,
    },
    {
      what: "with another fingerprint",
      text: altered(good, { fingerprint: parseToken(strange).fingerprint }),
      says: elsewhere,
      listed: unused,
    },
    {
      what: "with another id",
      text: altered(good, { id: other.id }),
      says: unknown,
      listed: unused,
    },
    {
      what: "with another secret and the same checksum",
      text: flip(good, good.length - 10),
      says: damaged,
      listed: unused,
    },
    {
      what: "with another secret",
      text: altered(good, { secret: other.secret }),
      says: unknown,
      listed: unused,
    },
    {
      what: "with another checksum",
      text: flip(good, good.length - 1),
      says: damaged,
      listed: unused,
    },
    {
      what: "with the secret of another and its id",
      text: altered(good, { id: idOf(revoked), secret }),
      says: unknown,
      listed: unused,
    },
    { what: "cut off", text: good.slice(0, 90), says: damaged, listed: unused },
    {
      what: "of a later version",
      text: good.replace("stn1", "stn2"),
      says: /it is of version 2, and this program reads 1/,
      listed: unused,
    },
    { what: "empty", text: "", says: /it is empty/, listed: unused },
    {
      what: "twice in its file",
      text: `${good}\n${good}`,
      says: /it has 225 characters, and a token has 112/,
      listed: unused,
    },
    {
      what: "for an operator of that name",
      text: operator,
      says: /it is for operator "host2", and a node joins; create .* --role/,
      listed: [idOf(operator), "usable", 0],
    },
    {
      what: "for another operator",
      text: alice,
      says: /it is for "alice", not "host2"/,
      listed: [idOf(alice), "usable", 0],
    },
    {
      what: "for readonly",
      text: readonly,
      says: /it is for readonly "host2", and a node joins/,
      listed: [idOf(readonly), "usable", 0],
    },
    {
      what: "for a name that is free",
      text: bound,
      says: /it is for "host9", not "host2"/,
      listed: [idOf(bound), "usable", 0],
    },
    {
      what: "for the name of a member",
      text: taken,
      says: /it is for "host3", not "host2"/,
      listed: [idOf(taken), "usable", 0],
    },
  ];

  /** Waits until the second host says why it does not join. */
  const says = async (wanted: RegExp): Promise<void> => {
    let told = "";
    try {
      await lab.waitFor(`it to say ${wanted}`, async () => {
        told = (await second.status()).warnings.join("\n");
        return wanted.test(told);
      });
    } catch (cause) {
      throw new Error(`host2 says: ${told}`, { cause });
    }
  };

  /** Checks that the second host is in no cluster, and the cluster has nothing of it. */
  const checkNothing = async () => {
    const { subnets, certificateUntil, warnings } = await second.status();
    assert.deepEqual([subnets, certificateUntil], [[], null]);
    assert.match(warnings.join(), /this host has no certificate yet/);
    const files = await Array.fromAsync(Deno.readDir(identityDir(second)));
    assert.deepEqual(files.map(({ name }) => name), ["key.pem"]);
    for (const list of ["node list", "subnet list", "identity list"]) {
      const words = list.split(" ");
      assert.doesNotMatch(await first.must("stellar-net", words), /host2/);
    }
  };

  await t.step("not while others may read its file", async () => {
    await hand(second, good, 0o644);
    await assert.rejects(
      second.agent.start(),
      /token": it holds a secret, and its mode is 0644, .* run chmod 600 \S+token/,
    );
    await hand(second, rows[0]!.text);
    await second.agent.start();
  });

  let before = /host2/;
  for (const row of rows) {
    await t.step(`not with one that is ${row.what}`, async () => {
      assert.notEqual(row.says.source, before.source);
      before = row.says;
      await hand(second, row.text);
      Deno.kill(second.agent.pid, "SIGHUP");
      await says(row.says);
      const log = (await second.agent.log()).replaceAll('\\"', '"');
      assert.match(log, row.says);
    });
  }
  await t.step("the list has all as they are", async () => {
    const { tokens } = await first.ask<Tokens>("token list");
    assert.deepEqual(
      rows.map(({ listed: [id] }) => {
        const { state, used } = tokens.find((token) => token.id === id)!;
        return [id, state, used];
      }),
      rows.map(({ listed }) => listed),
    );
    await checkNothing();
  });
  await t.step("not when others may read its file by now", async () => {
    await hand(second, good, 0o640);
    Deno.kill(second.agent.pid, "SIGHUP");
    await says(/token": it holds a secret, and its mode is 0640/);
  });
  await t.step("not when its file is gone", async () => {
    await Deno.remove(tokenPath(second));
    Deno.kill(second.agent.pid, "SIGHUP");
    await says(/Cannot use the token in "\S+\/token": there is no such file/);
    await checkNothing();
  });

  await t.step("without a restart, once its file has a good one", async () => {
    await second.agent.restart();
    await hand(second, good);
    await second.joined();
    assert.deepEqual((await second.status()).warnings, []);
    assert.deepEqual(await listed(first, id), [id, "used up", 1]);
  });

  const KNOWN =
    /Cannot certify node "host2": the cluster has a node of that name, .* use one for just that name if this is that node, or remove it first if it is gone/;
  let subnets: readonly string[];
  await t.step("not by a name that is known, with one for any", async () => {
    subnets = await second.joined();
    await second.agent.stop();
    await Deno.remove(identityDir(second), { recursive: true });
    const any = await make(first);
    await hand(second, any);
    await second.agent.start();
    await says(KNOWN);
    assert.deepEqual(await listed(first, idOf(any)), [idOf(any), "usable", 0]);
  });
  await t.step("by its own name, with one for that", async () => {
    const own = await make(first, "--name", second.name);
    await hand(second, own);
    assert.deepEqual(await second.joined(), subnets);
    assert.deepEqual(await listed(first, idOf(own)), [idOf(own), "used up", 1]);
  });
  await t.step("by the name of a node that was removed", async () => {
    await second.agent.stop();
    await Deno.remove(second.agent.stateDir, { recursive: true });
    await hand(second, await make(first));
    await second.agent.start();
    await says(KNOWN);
    await first.must("stellar-net", ["node", "remove", "host2", "--force"]);
    await second.joined();
    assert.deepEqual((await second.status()).warnings, []);
  });

  await t.step("and no log has any of them", async () => {
    const logs = await allDone(lab.hosts.map(({ agent }) => agent.log()));
    const texts = rows.map(({ text }) => text).filter((text) => text !== "")
      .flatMap((text) => [text, text.split(".")[3]!]);
    for (const log of logs) {
      assert.doesNotMatch(log, /stn1\./);
      assert.deepEqual(texts.filter((text) => log.includes(text)), []);
    }
  });
});
