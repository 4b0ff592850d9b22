import assert from "node:assert/strict";
import { createClients } from "../../../src/cli/framework/client.ts";
import { runCli } from "../../../src/cli/program.ts";
import { createRpcTransport } from "../../../src/api/client/client.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { createFakeIo } from "../fake_io.ts";

/** Runs the command line against whatever is at a real socket. */
async function runReal(args: readonly string[]) {
  const { io, take } = createFakeIo();
  const code = await runCli(args, {
    ...io,
    connect: (target, { timeoutMs }) => {
      assert.ok("socketPath" in target);
      return createClients(createRpcTransport(target, { timeoutMs }));
    },
  });
  const { stdout, stderr } = take();
  return { code, stdout, stderr };
}

Deno.test("a client says when no agent is running, and how to start one", async (t) => {
  await withTempDir(async (dir) => {
    const socket = `${dir}/agent.sock`;
    const start = 'start it with "stellar-net agent"';
    await t.step("no socket", async () => {
      const run = await runReal(["status", "--socket", socket]);
      assert.deepEqual([run.code, run.stdout], [1, ""]);
      assert.ok(
        run.stderr.startsWith(
          `stellar-net: Cannot reach the agent at "${socket}": `,
        ),
        run.stderr,
      );
      assert.ok(run.stderr.includes(start), run.stderr);
    });
    await t.step("a socket that nothing listens on", async () => {
      // Closing removes the file, as a killed agent does not: a link stays.
      const listener = Deno.listen({ transport: "unix", path: `${dir}/other` });
      await Deno.link(`${dir}/other`, socket);
      listener.close();
      const run = await runReal(["status", "--socket", socket]);
      assert.equal(run.code, 1);
      assert.ok(run.stderr.includes("nothing listens there"), run.stderr);
      assert.ok(run.stderr.includes(start), run.stderr);
    });
  });
});

Deno.test("doctor explains why it cannot reach the agent, and how to fix that", async (t) => {
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    const rows: readonly [name: string, found: string, mend: string][] = [
      [
        "none",
        "there is no such socket, so no agent serves there",
        'start it with "stellar-net agent", or name its socket with --socket; an agent whose socket was deleted makes it again within 5 s',
      ],
      [
        "file",
        "this is not a socket",
        "name the agent's with --socket",
      ],
    ];
    for (const [name, found, mend] of rows) {
      await t.step(found, async () => {
        const socket = `${dir}/${name}`;
        const run = await runReal(["doctor", "--socket", socket]);
        assert.equal(run.code, 1);
        const start =
          `FAILED  agent: Cannot reach the agent at "${socket}": ${found}; `;
        assert.ok(run.stdout.startsWith(start), run.stdout);
        assert.ok(run.stdout.endsWith(`; to fix it: ${mend}\n`), run.stdout);
      });
    }
  });
});

Deno.test("a client gives up after --timeout", async () => {
  await withTempDir(async (dir) => {
    const socket = `${dir}/agent.sock`;
    // It takes connections and never answers.
    using _listener = Deno.listen({ transport: "unix", path: socket });
    const run = await runReal([
      "status",
      "--socket",
      socket,
      "--timeout",
      "50ms",
    ]);
    assert.deepEqual([run.code, run.stdout], [1, ""]);
    assert.equal(
      run.stderr,
      `stellar-net: Cannot show the status: the agent at "${socket}" ` +
        "did not answer in time; --timeout sets how long to wait\n",
    );
  });
});
