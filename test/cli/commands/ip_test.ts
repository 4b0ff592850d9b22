import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import assert from "node:assert/strict";
import type {
  ReserveRequest,
  UnreserveRequest,
} from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { DUAL_STACK, OWNER } from "../fake_allocation.ts";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

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
