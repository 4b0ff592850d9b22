import assert from "node:assert/strict";
import { ROOT } from "../generate.ts";
import type { Namespace } from "./namespace.ts";
import { FROM_SOURCE } from "./refusal.ts";
import { run } from "./run.ts";
import type { ShownCertificate } from "./test_authority.ts";

/** Whom to make an identity for. */
export interface EnrolOptions {
  /** The agent that hosts the registry. */
  readonly socketPath: string;
  readonly url: string;
  readonly role: "operator" | "readonly";
  /** Folder of the test: the identity is in `ROLE` below it. */
  readonly dir: string;
}

/** Makes an identity `ROLE1` as its holder would, and returns the files that programs take of it. */
export async function enrolWithin(
  { within }: Namespace,
  { socketPath, url, role, dir }: EnrolOptions,
): Promise<ShownCertificate> {
  const must = async (...args: readonly string[]) => {
    const line = [...within, Deno.execPath(), ...FROM_SOURCE, ...args];
    const [command, ...words] = line;
    const { code, stderr } = await run(command!, words, { cwd: ROOT });
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  };
  const token = `${dir}/${role}.token`;
  const folder = `${dir}/${role}`;
  const name = ["--name", `${role}1`];
  await must(
    ...["--socket", socketPath, "token", "create", ...name],
    ...["--role", role, "--file", token],
  );
  await must(
    ...["identity", "create", folder, ...name],
    ...["--join", url, "--token-file", token],
  );
  return {
    caPath: `${folder}/ca.pem`,
    certPath: `${folder}/chain.pem`,
    keyPath: `${folder}/key.pem`,
  };
}
