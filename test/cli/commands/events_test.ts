import assert from "node:assert/strict";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { NOW_MS, runFake } from "../fake_io.ts";

const at = timestampFromMs(NOW_MS - 5_000);

Deno.test("events prints events, and asks for those that are selected", async () => {
  let asked: object = {};
  const { stdout } = await runFake(
    ["events", "--since", "1h", "--node", "host2", "--limit", "7"],
    {
      cluster: {
        listEvents: ({ since, node, pageSize }) => {
          asked = { since, node, pageSize };
          return {
            events: [{ at, kind: "joined", node: "host2", text: "it joined" }],
          };
        },
      },
    },
  );
  assert.deepEqual(asked, {
    since: timestampFromMs(NOW_MS - 3_600_000),
    ...{ node: "host2", pageSize: 7 },
  });
  assert.equal(
    stdout,
    "TIME                  NODE   EVENT   TEXT\n" +
      "2026-01-02 03:04:00Z  host2  joined  it joined\n",
  );
});

const JOINED = { at, kind: "joined", node: "host2", text: "it joined" };
const LEFT = { at, kind: "left", node: "host2", text: "it left" };
const BACK = { at, kind: "back", node: "host10", text: "it is back" };

Deno.test("events --follow prints the events that are there, then new ones, each once", async (t) => {
  const asked: string[] = [];
  const lists = [[LEFT, JOINED], [BACK, LEFT, JOINED]];
  let waits = 0;
  const follow = (...flags: string[]) => {
    waits = 0;
    asked.length = 0;
    return runFake(["events", "--follow", ...flags], {
      cluster: {
        listEvents: () => ({ events: lists[waits] ?? [] }),
        async *watch({ revision, eventsOnly }) {
          asked.push(`${revision} ${eventsOnly}`);
          // What the first watch does not tell, the second one missed.
          yield { revision: `r${waits}`, snapshot: true, eventsMissed: true };
          if (waits === 0) yield { revision: "r1", events: [LEFT] };
          else yield { revision: "r2", events: [{ ...LEFT, node: "host3" }] };
          throw new ConnectError("the agent stops", Code.Unavailable);
        },
      },
      waits: () => ++waits < 2,
    });
  };
  await t.step("a line each", async () => {
    const { stdout, stderr } = await follow();
    assert.equal(
      stdout,
      "2026-01-02 03:04:00Z  host2     joined           it joined\n" +
        "2026-01-02 03:04:00Z  host2     left             it left\n" +
        "2026-01-02 03:04:00Z  host10    back             it is back\n" +
        "2026-01-02 03:04:00Z  host3     left             it left\n",
    );
    assert.equal(
      stderr,
      "Cannot list events, trying again: the agent stops\n".repeat(2),
    );
    assert.deepEqual(asked, [" true", "r1 true"]);
  });
  await t.step("an object a line, of one node", async () => {
    const { stdout } = await follow("--json", "--node", "host3");
    const kinds = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    // The list is the agent's, which selects by itself.
    assert.deepEqual(kinds.at(-1).node, "host3");
  });
  await t.step("without --watch", async () => {
    const { code, stderr } = await follow("--watch");
    assert.equal(code, 2);
    assert.match(stderr, /--watch does not go with --follow/);
  });
});
