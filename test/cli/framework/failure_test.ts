import assert from "node:assert/strict";
import {
  describeFailure,
  exitCodeOf,
  UsageError,
} from "../../../src/cli/framework/exit.ts";
import { NetError } from "../../../src/base/error.ts";

const CONTEXT = { action: "list addresses", agent: "/run/a.sock" };

const ROWS: readonly [
  name: string,
  error: unknown,
  exitCode: number,
  text: string,
][] = [
  [
    "a refusal",
    new NetError("not_found", "subnet not found"),
    1,
    "Cannot list addresses: subnet not found",
  ],
  [
    "a refusal in whole words",
    new NetError("already_exists", "Cannot give x: it is held"),
    1,
    "Cannot give x: it is held",
  ],
  [
    "an argument that the agent refuses",
    new NetError("invalid_argument", 'Invalid field "node": it is empty'),
    1,
    'Cannot list addresses: Invalid field "node": it is empty',
  ],
  [
    "no answer in time",
    new NetError("deadline_exceeded", "the operation timed out"),
    1,
    'Cannot list addresses: the agent at "/run/a.sock" did not answer in time; ' +
    "--timeout sets how long to wait",
  ],
  [
    "wrong usage",
    new UsageError("stellar-net ip", "it needs a command"),
    2,
    'Cannot run "stellar-net ip": it needs a command; see "stellar-net ip --help"',
  ],
  [
    "a defect",
    new TypeError("x"),
    1,
    "Cannot list addresses: unexpected error: x",
  ],
  [
    "a permission that the runtime refuses",
    new Deno.errors.NotCapable(
      'Requires run access to "x", run again with the --allow-run flag',
    ),
    1,
    'Cannot list addresses: unexpected error: this program does not have run access to "x"',
  ],
  [
    "a permission for everything of a kind",
    new Deno.errors.NotCapable(
      "Requires sys access, run again with the --allow-sys flag",
    ),
    1,
    "Cannot list addresses: unexpected error: this program does not have sys access",
  ],
  ["no error", "text", 1, "Cannot list addresses: unexpected error: text"],
];

Deno.test("describeFailure() says what was attempted and what is true now", async (t) => {
  for (const [name, error, , text] of ROWS) {
    await t.step(name, () => {
      assert.equal(describeFailure(error, CONTEXT), text);
    });
  }
});

Deno.test("exitCodeOf() tells wrong usage from refusals", async (t) => {
  for (const [name, error, exitCode] of ROWS) {
    await t.step(name, () => assert.equal(exitCodeOf(error), exitCode));
  }
});
