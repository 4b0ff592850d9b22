import assert from "node:assert/strict";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { PAGE } from "../../src/gen/page.ts";
import {
  AddressState,
  IpamService,
} from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { formatAddress } from "../../src/net/address.ts";
import { capacityOf, parsePrefix } from "../../src/net/prefix.ts";
import { UiServer } from "../../src/ui/server.ts";
import { Chromium } from "../support/chromium.ts";
import { spawnAgent } from "../support/spawn_agent.ts";

const NETWORKS = ["172.16.0.0/12", "fd00:7::/48"];
const RESERVED_CIDR = "172.16.64.0/22";
const HELD = 24;
const RELEASED = 5;
const RESERVED = 2;

Deno.test("the map of addresses shows what the API tells, now and before", async (t) => {
  await using agent = await spawnAgent({
    args: NETWORKS.flatMap((network) => ["--network", network])
      .concat("--cool-down", "1h"),
  });
  const transport = createRpcTransport({ url: agent.url });
  const ipam = createClient(IpamService, transport);
  const registry = createClient(RegistryService, transport);
  const allocate = async (number: number) => {
    const owner = { containerId: `web-${number}` };
    const { allocation } = await ipam.allocate({ owner });
    return allocation!.addresses[0]!;
  };
  const addresses: Awaited<ReturnType<typeof allocate>>[] = [];
  for (let i = 0; i < HELD; i++) addresses.push(await allocate(i));
  const [{ subnet } = { subnet: "" }] = addresses;
  const { value, family } = parsePrefix(subnet);
  for (let i = 0; i < RESERVED; i++) {
    const address = { family, value: value + 100n + BigInt(i) };
    await ipam.reserve({ address: formatAddress(address) });
  }
  // The moment is shown to the second: releases come in a later one.
  const full = timestampFromMs(Date.now());
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  for (let i = 4; i < 4 + RELEASED; i++) {
    await ipam.release({ owner: { containerId: `web-${i}` } });
  }
  const { subnet: reserved } = await registry.reserveSubnet({
    cidr: RESERVED_CIDR,
    reason: "rack 9",
  });
  await using map = await UiServer.start({ transport, page: PAGE });
  await using chromium = await Chromium.start();
  const tab = await chromium.open();
  const { page } = tab;
  await page.goto(map.link);
  await page.getByRole("link", { name: "Space" }).waitFor();
  const goTo = (place: string) =>
    page.goto(`${new URL(map.link).origin}/#/${place}`);
  const shows = (text: string | RegExp) =>
    page.getByText(text).first().waitFor();
  const legend = async () =>
    (await tab.text(".legend")).replaceAll(",", "").trim();
  const hash = () => decodeURIComponent(new URL(page.url()).hash);

  await t.step(
    "the numbers are those of the API, and change by themselves",
    async () => {
      await goTo(`space?prefix=${subnet}`);
      await shows(`${HELD - RELEASED} held`);
      const free = Number(capacityOf(parsePrefix(subnet))) - HELD - RESERVED;
      assert.equal(
        await legend(),
        `${
          HELD - RELEASED
        } held ${RELEASED} cooling ${RESERVED} reserved 0 leaked ${free} free`,
      );
      await allocate(HELD);
      await shows(`${HELD - RELEASED + 1} held`);
    },
  );
  await t.step("a number leads to its items", async () => {
    await page.getByRole("link", { name: `${RELEASED} cooling` }).click();
    const { runs } = await ipam.listAddressRuns({ prefix: subnet });
    const expected = runs.filter(({ state }) => state === AddressState.COOLING)
      .map(({ first, last }) => first === last ? first : `${first} – ${last}`);
    await page.getByRole("rowheader").first().waitFor();
    assert.deepEqual(
      await page.getByRole("rowheader").allInnerTexts(),
      expected,
    );
  });
  await t.step("an address names its holders", async () => {
    const { address } = addresses[5]!;
    await goTo(`space?prefix=${subnet}&cell=${address}/32`);
    await shows(`${address} is cooling`);
    await shows(`"web-5" (eth0 in default) held ${address} on node1`);
  });
  await t.step(
    "the past comes back, and the view says where it ends",
    async () => {
      const at = new Date(timestampMs(full)).toISOString();
      await goTo(`space?prefix=${subnet}&at=${at}`);
      await shows(`${HELD} held`);
      await shows("0 cooling");
      await shows(/^The history of node1 goes back to .* may be missing/);
      await shows(/^Events go back to/);
      const later = new Date().toISOString();
      await goTo(`space?prefix=${subnet}&at=${later}`);
      await shows("Reservations that have ended since are missing");
      await shows(`${RELEASED} cooling`);
      await goTo(`space?prefix=${subnet}&at=2026-01-01T00:00:00Z`);
      await shows("0 held");
      await shows(/The events go back to .*: what changed before then/);
      await page.getByRole("button", { name: "Now" }).click();
      await shows(`${HELD - RELEASED + 1} held`);
      assert.equal(hash(), `#/space?prefix=${subnet}`);
    },
  );
  await t.step(
    "the subnets of the network, and why one is not handed out",
    async () => {
      await goTo(`space?prefix=${NETWORKS[0]}`);
      await shows("1 owned");
      await shows("1 reserved");
      await goTo(`space?prefix=${NETWORKS[0]}&cell=${reserved!.cidr}`);
      await shows(`${RESERVED_CIDR} is reserved: rack 9`);
      const past = new Date(timestampMs(full)).toISOString();
      await goTo(`space?prefix=${NETWORKS[0]}&at=${past}`);
      await shows("0 reserved");
    },
  );
  await t.step("keys walk down a /48 to one address", async () => {
    await goTo(`space?prefix=${NETWORKS[1]}`);
    const box = page.getByRole("application");
    await box.focus();
    let steps = 0;
    for (; !/cell=\S+\/128/.test(hash()); steps++) {
      assert.ok(steps < 12, hash());
      await shows(/[1-9]\d* (owned|held)/);
      await page.keyboard.press("n");
      await page.waitForURL(/cell=/);
      if (/\/128$/.test(hash())) break;
      await page.keyboard.press("Enter");
      await page.waitForURL((url) => !url.hash.includes("cell="));
    }
    assert.ok(steps >= 4, `${steps}`);
    await shows(/^fd00:7::2 is held$/);
    // The first one in use; the next key goes on from there.
    await page.keyboard.press("n");
    await shows(/^fd00:7::3 is held$/);
  });
  await t.step("a prefix of no network says so, and leads to one", async () => {
    await goTo("space?prefix=192.0.2.0/24");
    await shows("192.0.2.0/24 is in no network of this cluster");
    await page.getByRole("link", { name: NETWORKS[0]! }).click();
    await shows("1 owned");
  });
  await t.step("paths of a cluster of one host", async () => {
    await goTo("paths");
    await shows("There is one host, so there are no paths");
  });
  assert.deepEqual(tab.problems, []);
  assert.deepEqual(tab.strangers, []);
});
