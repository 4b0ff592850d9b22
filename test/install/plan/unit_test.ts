import assert from "node:assert/strict";
import {
  formatUnit,
  neededCapabilities,
} from "../../../src/install/plan/unit.ts";

const OPTIONS = {
  program: "/usr/local/bin/stellar-net",
  stateDir: "/var/lib/stellar-net",
  socketPath: "/run/stellar-net/agent.sock",
  socketGroup: undefined,
  ports: [9000],
};

/** The lines of a unit that set some of its folders. */
function folders(options: Partial<typeof OPTIONS>): string[] {
  const unit = formatUnit({ ...OPTIONS, ...options });
  return unit.split("\n").filter((line) =>
    /^(?:State|Runtime)Directory=|^ReadWritePaths=[^-]/.test(line)
  );
}

Deno.test("formatUnit() lets the agent write where its flags say, and nowhere else", async (t) => {
  const rows: readonly [
    name: string,
    options: Partial<typeof OPTIONS>,
    lines: readonly string[],
  ][] = [
    ["by default", {}, [
      "StateDirectory=stellar-net",
      "RuntimeDirectory=stellar-net",
    ]],
    ["below", { stateDir: "/var/lib/a/b", socketPath: "/run/c/d/s" }, [
      "StateDirectory=a/b",
      "RuntimeDirectory=c/d",
    ]],
    ["elsewhere", { stateDir: "/srv/state", socketPath: "/srv/sock/s" }, [
      "ReadWritePaths=/srv/state",
      "ReadWritePaths=/srv/sock",
    ]],
    ["both in one", { stateDir: "/srv/a", socketPath: "/srv/a/s" }, [
      "ReadWritePaths=/srv/a",
    ]],
    ["in /run itself", { socketPath: "/run/s" }, [
      "StateDirectory=stellar-net",
      "ReadWritePaths=/run",
    ]],
    ["odd characters", { stateDir: "/srv/a %\\b" }, [
      "RuntimeDirectory=stellar-net",
      "ReadWritePaths=/srv/a\\x20%%\\\\b",
    ]],
  ];
  for (const [name, options, lines] of rows) {
    await t.step(name, () => assert.deepEqual(folders(options), lines));
  }
});

Deno.test("formatUnit() makes the folder of the driver for Docker, and lets the agent write there, only where it is wanted", () => {
  const made = (unit: string) =>
    unit.split("\n").filter((line) => line.includes("docker/plugins"));
  assert.deepEqual(made(formatUnit(OPTIONS)), []);
  const pluginDir = "/run/docker/plugins";
  assert.deepEqual(made(formatUnit({ ...OPTIONS, pluginDir })), [
    "ExecStartPre=-+mkdir -p -m 0700 /run/docker/plugins",
    "ReadWritePaths=-/run/docker/plugins",
  ]);
});

Deno.test("formatUnit() lets root's first start unpack the program", () => {
  assert.match(
    formatUnit(OPTIONS),
    /^CacheDirectory=stellar-net\nCacheDirectoryMode=0700$/m,
  );
});

Deno.test("formatUnit() has freed memory go back to the system", () => {
  assert.match(
    formatUnit(OPTIONS),
    /^Environment=MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=131072$/m,
  );
});

Deno.test("neededCapabilities() has one for low ports where there are any", () => {
  const usual = ["CAP_NET_ADMIN", "CAP_NET_RAW"];
  assert.deepEqual(neededCapabilities([0, 1024, 9000]), usual);
  assert.deepEqual(neededCapabilities([9000, 1023]), [
    ...usual,
    "CAP_NET_BIND_SERVICE",
  ]);
});

Deno.test("formatUnit() puts the agent into the group that it gives its socket to", async (t) => {
  const rows: readonly [group: string | undefined, lines: readonly string[]][] =
    [
      [undefined, []],
      ["adm", ["SupplementaryGroups=adm"]],
      ["1234", ["SupplementaryGroups=1234"]],
    ];
  for (const [socketGroup, lines] of rows) {
    await t.step(String(socketGroup), () => {
      const unit = formatUnit({ ...OPTIONS, socketGroup });
      assert.deepEqual(unit.match(/^SupplementaryGroups=.*$/gm) ?? [], lines);
      // Whoever is in the group has to get to the socket.
      assert.match(unit, /^RuntimeDirectoryMode=0755$/m);
    });
  }
});
