import { durationMs } from "@bufbuild/protobuf/wkt";
import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type {
  AllocationSchema,
  ReserveRequest,
  UnreserveRequest,
} from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { NodeState } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

const OWNER = {
  network: "default",
  containerId: "web-1",
  interfaceName: "eth0",
};

const DUAL_STACK: MessageInitShape<typeof AllocationSchema> = {
  id: "8b5cbd2e-7d36-4a9e-a5b4-7c1c2d6f7a10",
  node: "node0",
  owner: OWNER,
  addresses: [
    { address: "172.16.0.2", subnet: "172.16.0.0/22", gateway: "172.16.0.1" },
    { address: "fd00:1::2", subnet: "fd00:1::/64", gateway: "fd00:1::1" },
  ],
  allocatedAt: timestampFromMs(NOW_MS - 180_000),
};

const DUAL_STACK_JSON = `{
    "node": "node0",
    "owner": {
      "network": "default",
      "containerId": "web-1",
      "interfaceName": "eth0"
    },
    "addresses": [
      {
        "address": "172.16.0.2",
        "subnet": "172.16.0.0/22",
        "gateway": "172.16.0.1"
      },
      {
        "address": "fd00:1::2",
        "subnet": "fd00:1::/64",
        "gateway": "fd00:1::1"
      }
    ],
    "allocatedAt": "2026-01-02T03:01:05.000Z",
    "requested": false,
    "attachment": null,
    "leak": null,
    "id": "8b5cbd2e-7d36-4a9e-a5b4-7c1c2d6f7a10",
    "labels": {},
    "ttl": null,
    "expiresAt": null
  }`;

const DUAL_STACK_TABLE = `\
ADDRESS     SUBNET         GATEWAY     NODE   ALLOCATED
172.16.0.2  172.16.0.0/22  172.16.0.1  node0  3m ago
fd00:1::2   fd00:1::/64    fd00:1::1   node0  3m ago
`;

Deno.test("ip allocate prints the container's addresses", async (t) => {
  const ipam: Handlers["ipam"] = {
    allocate: () => ({ allocation: DUAL_STACK, created: true }),
  };
  await t.step("for people", async () => {
    const run = await runFake(["ip", "allocate", "web-1"], { ipam });
    assert.deepEqual([run.code, run.stderr], [0, ""]);
    assert.equal(run.stdout, DUAL_STACK_TABLE);
  });
  await t.step("for programs", async () => {
    const run = await runFake(["ip", "allocate", "web-1", "--json"], { ipam });
    assert.deepEqual([run.code, run.stderr], [0, ""]);
    assert.equal(
      run.stdout,
      `{\n  "schemaVersion": 1,\n  "allocation": ${DUAL_STACK_JSON},\n  "created": true\n}\n`,
    );
  });
});

Deno.test("ip allocate says on stderr what changed of an allocation that was held already", async () => {
  for (
    const [updated, note] of [
      [false, "It held this already: nothing changed\n"],
      [true, "It held this already: its labels or time to live changed\n"],
    ] as const
  ) {
    const ipam: Handlers["ipam"] = {
      allocate: () => ({ allocation: DUAL_STACK, created: false, updated }),
    };
    const run = await runFake(["ip", "allocate", "web-1"], { ipam });
    assert.equal(run.stdout, DUAL_STACK_TABLE);
    assert.equal(run.stderr, note);
  }
});

Deno.test("ip allocate, release and get name the whole owner", async (t) => {
  const flags = [
    "--node",
    "n1",
    "--network-name",
    "lab",
    "--interface",
    "net1",
  ];
  const named = { network: "lab", containerId: "c1", interfaceName: "net1" };
  const usual = { ...OWNER, containerId: "c1" };
  for (const verb of ["allocate", "release", "get"]) {
    await t.step(verb, async () => {
      const asked: unknown[] = [];
      const note = (
        { node, owner }: {
          readonly node: string;
          readonly owner?: typeof OWNER | undefined;
        },
      ) => {
        const { network, containerId, interfaceName } = owner!;
        asked.push({ node, owner: { network, containerId, interfaceName } });
        return {};
      };
      const listAllocations = () => ({});
      const ipam = {
        ...{ allocate: note, release: note, getAllocation: note },
        listAllocations,
      };
      await runFake(["ip", verb, "c1", ...flags], { ipam });
      await runFake(["ip", verb, "c1"], { ipam });
      assert.deepEqual(asked, [
        { node: "n1", owner: named },
        { node: "", owner: usual },
      ]);
    });
  }
});

Deno.test("ip allocate asks for addresses in their canonical form", async (t) => {
  const rows: readonly [
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ][] = [
    [["--address", "172.16.0.9", "--address", "FD00:1:0::9"], {}],
    [[], { STELLAR_NET_ADDRESS: "172.16.0.9,fd00:1::0009" }],
  ];
  for (const [args, env] of rows) {
    await t.step(args.join(" ") || "twin", async () => {
      let asked: readonly string[] = [];
      const ipam: Handlers["ipam"] = {
        allocate: ({ addresses }) => {
          asked = addresses;
          return { allocation: DUAL_STACK, created: true };
        },
      };
      await runFake(["ip", "allocate", "c1", ...args], { ipam, env });
      assert.deepEqual(asked, ["172.16.0.9", "fd00:1::9"]);
    });
  }
});

Deno.test("ip release prints the released addresses", async (t) => {
  const rows: readonly [
    name: string,
    addresses: string[],
    flags: readonly string[],
    stdout: string,
    stderr: string,
  ][] = [
    [
      "two",
      ["172.16.0.2", "fd00:1::2"],
      [],
      "Released 172.16.0.2\nReleased fd00:1::2\n",
      "",
    ],
    [
      "two as JSON",
      ["172.16.0.2", "fd00:1::2"],
      ["--json"],
      `{
  "schemaVersion": 1,
  "released": [
    "172.16.0.2",
    "fd00:1::2"
  ]
}
`,
      "",
    ],
    [
      "none",
      [],
      [],
      "",
      'Nothing to release: "web-1" holds no address for eth0 in any network\n',
    ],
    [
      "none as JSON",
      [],
      ["--json"],
      '{\n  "schemaVersion": 1,\n  "released": []\n}\n',
      'Nothing to release: "web-1" holds no address for eth0 in any network\n',
    ],
  ];
  for (const [name, addresses, flags, stdout, stderr] of rows) {
    await t.step(name, async () => {
      const ipam: Handlers["ipam"] = {
        listAllocations: () => ({}),
        release: () => ({ addresses }),
      };
      const run = await runFake(["ip", "release", "web-1", ...flags], { ipam });
      assert.deepEqual([run.code, run.stdout, run.stderr], [0, stdout, stderr]);
    });
  }
});

Deno.test("ip get prints a container's addresses", async (t) => {
  const ipam: Handlers["ipam"] = {
    listAllocations: () => ({}),
    getAllocation: () => ({
      allocation: {
        ...DUAL_STACK,
        requested: true,
        attachment: { netns: "/run/netns/a", bootId: "" },
        leak: "its network namespace is gone",
      },
    }),
  };
  await t.step("for people", async () => {
    const run = await runFake(["ip", "get", "web-1"], { ipam });
    assert.equal(run.stdout, DUAL_STACK_TABLE);
  });
  await t.step("for programs", async () => {
    const run = await runFake(["ip", "get", "web-1", "--json"], { ipam });
    const json = DUAL_STACK_JSON
      .replace('"requested": false', '"requested": true')
      .replace(
        '"attachment": null',
        `"attachment": {\n      "netns": "/run/netns/a",\n      "bootId": null,\n      "netnsInode": 0\n    }`,
      )
      .replace('"leak": null', '"leak": "its network namespace is gone"');
    assert.equal(
      run.stdout,
      `{\n  "schemaVersion": 1,\n  "allocation": ${json}\n}\n`,
    );
  });
});

Deno.test("ip list --leaked asks for what seems to be leaked, and says why", async () => {
  const asked: unknown[] = [];
  const ipam: Handlers["ipam"] = {
    listAllocations: ({ leaked }) => {
      asked.push(leaked);
      return { allocations: [{ ...DUAL_STACK, leak: "it is gone" }] };
    },
  };
  const run = await runFake(["ip", "list", "--leaked"], { ipam });
  assert.match(run.stdout, /^ADDRESS .* WHY$/m);
  assert.match(run.stdout, / it is gone$/m);
  assert.deepEqual(asked, [true]);
  const none = await runFake(["ip", "list", "--leaked"], {
    ipam: { listAllocations: () => ({}) },
  });
  assert.equal(none.stderr, "No address seems to be leaked\n");
});

Deno.test("ip list pages through everything, a row an address", async (t) => {
  const pages: Readonly<Record<string, string>> = {
    "": "p2",
    p2: "p3",
    p3: "",
  };
  const asked: unknown[] = [];
  const ipam: Handlers["ipam"] = {
    listAllocations: ({ node, pageToken }) => {
      asked.push([node, pageToken]);
      const containerId = `web-${pageToken || "p1"}`;
      const owner = { ...OWNER, containerId };
      return {
        allocations: [{ ...DUAL_STACK, owner }],
        nextPageToken: pages[pageToken]!,
      };
    },
  };
  await t.step("for people", async () => {
    const run = await runFake(["ip", "list", "--node", "node0"], { ipam });
    assert.deepEqual(asked, [["node0", ""], ["node0", "p2"], ["node0", "p3"]]);
    assert.deepEqual([run.code, run.stderr], [0, ""]);
    assert.equal(
      run.stdout,
      `\
ADDRESS     CONTAINER  INTERFACE  NETWORK  NODE   ALLOCATED
172.16.0.2  web-p1     eth0       default  node0  3m ago
fd00:1::2   web-p1     eth0       default  node0  3m ago
172.16.0.2  web-p2     eth0       default  node0  3m ago
fd00:1::2   web-p2     eth0       default  node0  3m ago
172.16.0.2  web-p3     eth0       default  node0  3m ago
fd00:1::2   web-p3     eth0       default  node0  3m ago
`,
    );
  });
  await t.step("for programs", async () => {
    const run = await runFake(["ip", "list", "--json"], { ipam });
    const { allocations } = JSON.parse(run.stdout);
    assert.deepEqual(
      allocations.map((a: { owner: { containerId: string } }) =>
        a.owner.containerId
      ),
      ["web-p1", "web-p2", "web-p3"],
    );
  });
});

Deno.test("ip list ends when an agent repeats a page", async () => {
  const ipam: Handlers["ipam"] = {
    listAllocations: () => ({ nextPageToken: "same" }),
  };
  const run = await runFake(["ip", "list"], { ipam });
  assert.equal(run.code, 1);
  assert.match(run.stderr, /^stellar-net: Cannot list addresses: .*page token/);
});

Deno.test("ip list without any says on stderr what to do", async (t) => {
  const ipam: Handlers["ipam"] = { listAllocations: () => ({}) };
  const hint =
    'No container holds an address: "stellar-net ip allocate CONTAINER_ID" allocates one\n';
  await t.step("for people", async () => {
    const run = await runFake(["ip", "list"], { ipam });
    const header = "ADDRESS  CONTAINER  INTERFACE  NETWORK  NODE  ALLOCATED\n";
    assert.deepEqual([run.code, run.stdout, run.stderr], [0, header, hint]);
  });
  await t.step("for programs", async () => {
    const run = await runFake(["ip", "list", "--json"], { ipam });
    const body = '{\n  "schemaVersion": 1,\n  "allocations": []\n}\n';
    assert.deepEqual([run.code, run.stdout, run.stderr], [0, body, hint]);
  });
});

/** An agent on which containers hold addresses; it records what it releases. */
function holding(owners: readonly (readonly [network: string, id: string])[]) {
  const released: string[] = [];
  const ipam: NonNullable<Handlers["ipam"]> = {
    listAllocations: ({ containerId }) => ({
      allocations: owners.filter(([, id]) => id === containerId)
        .map(([network, id], i) => ({
          owner: { ...OWNER, network, containerId: id },
          addresses: [{ address: `172.16.0.${i}` }],
        })),
    }),
    getAllocation: ({ owner }) => ({
      allocation: { ...DUAL_STACK, owner: owner! },
    }),
    release: ({ owner }) => {
      released.push(`${owner!.network}/${owner!.containerId}`);
      return { addresses: ["172.16.0.9"] };
    },
  };
  return { ipam, released };
}

Deno.test("ip get and release find the network name of a container", async () => {
  const { ipam, released } = holding([["stellar", "web-1"], ["lab", "web-2"]]);
  const got = await runFake(["ip", "get", "web-1", "--json"], { ipam });
  assert.equal(JSON.parse(got.stdout).allocation.owner.network, "stellar");
  const run = await runFake(["ip", "release", "web-1", "web-2"], { ipam });
  assert.deepEqual([run.code, run.stderr], [0, ""]);
  assert.deepEqual(released, ["stellar/web-1", "lab/web-2"]);
});

Deno.test("ip get and release ask back when a container is in several networks", async (t) => {
  const owners = [["a", "web-0"], ["a", "web-1"], ["b", "web-1"]] as const;
  for (const line of ["get web-1", "release web-0 web-1"]) {
    await t.step(line, async () => {
      const { ipam, released } = holding(owners);
      const run = await runFake(["ip", ...line.split(" ")], { ipam });
      assert.deepEqual([run.code, run.stdout, released], [1, "", []]);
      assert.match(
        run.stderr,
        /"web-1" holds .* "a" \(172\.16\.0\.0\), "b" \(172\.16\.0\.1\): name one with --network-name/,
      );
      const named = [...line.split(" "), "--network-name", "b"];
      assert.equal((await runFake(["ip", ...named], { ipam })).code, 0);
    });
  }
});

Deno.test("ip reserve, list --reserved and unreserve name the address, its owner and the reason", async () => {
  const reservation = {
    node: "node0",
    address: "172.16.0.10",
    owner: OWNER,
    reason: "the database",
    reservedAt: timestampFromMs(NOW_MS - 180_000),
  };
  const asked: unknown[] = [];
  const ipam = {
    reserve: ({ address, owner, reason }: ReserveRequest) => {
      asked.push([address, owner?.containerId, reason]);
      return { reservation };
    },
    listReservations: () => ({ reservations: [reservation] }),
    unreserve: ({ address }: UnreserveRequest) => (asked.push(address), {}),
  };
  const table = `\
ADDRESS      CONTAINER  INTERFACE  NETWORK  NODE   RESERVED  REASON
172.16.0.10  web-1      eth0       default  node0  3m ago    the database
`;
  const args = ["ip", "reserve", "172.16.0.10"];
  const flags = ["--container", "web-1", "--reason", "the database"];
  assert.equal((await runFake([...args, ...flags], { ipam })).stdout, table);
  await runFake(args, { ipam });
  const listed = await runFake(["ip", "list", "--reserved"], { ipam });
  assert.equal(listed.stdout, table);
  const both = await runFake(["ip", "list", "--reserved", "--leaked"], {
    ipam,
  });
  assert.equal(both.code, 2);
  const { stdout } = await runFake(["ip", "unreserve", "172.16.0.10"], {
    ipam,
  });
  assert.match(stdout, /172\.16\.0\.10 is not reserved/);
  assert.deepEqual(asked, [
    ["172.16.0.10", "web-1", "the database"],
    ["172.16.0.10", undefined, ""],
    "172.16.0.10",
  ]);
});

Deno.test("ip allocate passes on labels, a time to live and a dry run", async (t) => {
  const asked: unknown[] = [];
  const ipam: Handlers["ipam"] = {
    allocate: ({ labels, ttl, validateOnly }) => {
      asked.push([{ ...labels }, ttl && durationMs(ttl), validateOnly]);
      const allocation = {
        ...{ ...DUAL_STACK, labels },
        ...ttl && { ttl },
      };
      return { allocation, created: true };
    },
  };
  const rows: readonly [args: string[], expected: unknown][] = [
    [[], [{}, undefined, false]],
    [["--label", "app=web", "--label", "tier=a=b"], [
      { app: "web", tier: "a=b" },
      undefined,
      false,
    ]],
    [["--ttl", "90s"], [{}, 90_000, false]],
    [["--dry-run"], [{}, undefined, true]],
  ];
  for (const [args, expected] of rows) {
    await t.step(args.join(" ") || "none", async () => {
      asked.length = 0;
      const run = await runFake(["ip", "allocate", "c1", ...args], { ipam });
      assert.equal(run.code, 0);
      assert.deepEqual(asked, [expected]);
      const isDry = args.includes("--dry-run");
      assert.equal(run.stderr, isDry ? "Dry run: nothing changed\n" : "");
    });
  }
  await t.step("the answer has them", async () => {
    const args = ["--label", "app=web", "--ttl", "90s", "--json"];
    const run = await runFake(["ip", "allocate", "c1", ...args], { ipam });
    const { labels, ttl } = JSON.parse(run.stdout).allocation;
    assert.deepEqual([labels, ttl], [{ app: "web" }, "90s"]);
  });
  for (
    const [flag, value] of [
      ...["app", "=web", "a b=c"].map((text) => ["--label", text]),
      ...["0s", "31d", "soon"].map((text) => ["--ttl", text]),
    ]
  ) {
    await t.step(`refuses ${flag} ${value}`, async () => {
      const run = await runFake(["ip", "allocate", "c1", flag!, value!], {
        ipam,
      });
      assert.equal(run.code, 2);
      assert.ok(run.stderr.includes(flag!), run.stderr);
    });
  }
});

Deno.test("ip list --label asks for labels, and -o wide shows them", async () => {
  const asked: unknown[] = [];
  const ipam: Handlers["ipam"] = {
    listAllocations: ({ labels }) => {
      asked.push({ ...labels });
      return { allocations: [{ ...DUAL_STACK, labels: { app: "web" } }] };
    },
  };
  const args = ["ip", "list", "--label", "app=web", "-o", "wide"];
  const run = await runFake(args, { ipam });
  assert.deepEqual(asked, [{ app: "web" }]);
  assert.match(run.stdout, /LABELS/);
  assert.match(run.stdout, / app=web/);
});

Deno.test("ip list --all-nodes prints the addresses of all nodes in order", async (t) => {
  const nodes = [
    { name: "node0", state: NodeState.READY },
    { name: "node1", state: NodeState.READY },
    { name: "node2", state: NodeState.UNREACHABLE },
    { name: "node3", state: NodeState.READY },
  ];
  const allocationOf = (node: string, address: string, leak = "") => ({
    ...{ node, leak, owner: OWNER, labels: { app: node } },
    addresses: [{ address, subnet: "172.16.0.0/12", gateway: "172.16.0.1" }],
  });
  const handlers: Handlers = {
    registry: { listNodes: () => ({ nodes }) },
    ipam: {
      async *watchAllocations({ allNodes }) {
        assert.ok(allNodes);
        const part = { node: "node1", snapshot: true };
        const one = allocationOf("node1", "172.16.4.9");
        yield { ...part, more: true, allocations: [one] };
        yield { node: "node3", problem: "nothing listens there" };
        yield {
          node: "node0",
          snapshot: true,
          allocations: [allocationOf("node0", "172.16.0.10", "gone")],
        };
        const two = allocationOf("node1", "172.16.4.10");
        yield { ...part, allocations: [two] };
        // A watch goes on without end; the command does not.
        await new Promise(() => {});
      },
    },
  };
  const list = ["ip", "list", "--all-nodes"];
  await t.step("with the nodes whose addresses are missing", async () => {
    const run = await runFake([...list, "-o", "csv"], handlers);
    assert.deepEqual(
      run.stdout.split("\r\n").slice(1, -1).map((row) => row.split(",")[0]),
      ["172.16.0.10", "172.16.4.9", "172.16.4.10"],
    );
    assert.equal(
      run.stderr,
      "The addresses of node2 are missing: it sends no heartbeats\n" +
        "The addresses of node3 are missing: nothing listens there\n",
    );
  });
  await t.step("selected by label and leak", async () => {
    const ask = async (...flags: string[]) => {
      const run = await runFake([...list, "--json", ...flags], handlers);
      return JSON.parse(run.stdout).allocations.length;
    };
    assert.deepEqual(
      [await ask("--label", "app=node1"), await ask("--leaked")],
      [2, 1],
    );
  });
  await t.step("without --node", async () => {
    const run = await runFake([...list, "--node", "node0"], handlers);
    assert.equal(run.code, 2);
    assert.match(run.stderr, /--node does not go with --all-nodes/);
  });
});
