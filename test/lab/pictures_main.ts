/**
 * `deno task pictures [DIR]`: takes pictures of the live map, of a lab in which
 * things happen. Without a folder it takes those of docs/; with one it takes
 * every view there, light and dark, wide and narrow.
 */
import { formatAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { ROOT } from "../generate.ts";
import { shrinkPng } from "../support/small_png.ts";
import { waitFor } from "../support/wait_for.ts";
import type { Lab } from "./lab.ts";
import { allocate, createMapLab } from "./map_lab.ts";
import { MapTab } from "./map_tab.ts";

type Colours = "light" | "dark";

const WIDE = { width: 1000, height: 680 };
const NARROW = { width: 360, height: 740 };

interface Picture {
  readonly name: string;
  /** Of the page, such as `host?name=host2`. */
  readonly place: string;
  readonly colours: Colours;
  readonly size: typeof WIDE;
}

/** What the pictures show. */
interface Scene {
  /** Places by the names of their pictures. */
  readonly places: Readonly<Record<string, string>>;
}

/** Lets things happen: use of all degrees, a conflict, a cut path and a killed agent. */
async function playScene(lab: Lab): Promise<Scene> {
  const [asked, , third, fourth, fifth, sixth] = lab.hosts;
  const [subnet] = await third!.joined();
  for (const [i, host] of lab.hosts.entries()) {
    await allocate(host, { count: 6 + 7 * i % 50, name: "job" });
  }
  for (let i = 9; i < 20; i += 2) await third!.ask(`ip release job-${i}`);
  for (const cidr of ["172.16.8.0/26", "172.16.8.64/26", "172.16.11.128/26"]) {
    await asked!.ask(`subnet reserve ${cidr}`);
  }
  for (const offset of [40, 41, 42, 60]) {
    await third!.ask(`ip reserve ${addressAt(subnet!, offset)}`);
  }
  for (const number of [1, 2, 3]) await third!.addContainer(`api-${number}`);
  await fourth!.ip(`route replace blackhole ${subnet}`);
  await lab.partition(fifth!, sixth!);
  await lab.lose(asked!, third!, 20);
  const last = lab.hosts.at(-1)!;
  await last.agent.kill();
  await waitFor("the problems", async () => {
    const { problems } = await asked!.ask<
      { readonly problems: readonly { readonly code: string }[] }
    >("cluster");
    const codes = new Set(problems.map(({ code }) => code));
    return ["path-dead", "unreachable"].every((code) => codes.has(code)) &&
      codes.size > 2;
  });
  const { address } = third!.container("api-1");
  return {
    places: {
      overview: "overview",
      space: "space",
      subnet: `space?prefix=${subnet}`,
      hosts: "host",
      host: `host?name=${third!.name}`,
      paths: "paths",
      events: "events",
      search: `search?q=${address}`,
    },
  };
}

function addressAt(subnet: string, offset: number): string {
  const { family, value } = parsePrefix(subnet);
  return formatAddress({ family, value: value + BigInt(offset) });
}

/** The pictures of docs/: most views, and the overview in the dark on a telephone. */
function picturesOfDocs({ places }: Scene): Picture[] {
  const light = { colours: "light", size: WIDE } as const;
  return [
    ...Object.entries(places)
      .filter(([name]) => name !== "hosts" && name !== "search")
      .map(([name, place]) => ({ ...light, name, place })),
    {
      name: "overview-narrow",
      place: places.overview!,
      ...{ colours: "dark" as const, size: NARROW },
    },
  ];
}

function allPictures({ places }: Scene): Picture[] {
  return Object.entries(places).flatMap(([view, place]) =>
    (["light", "dark"] as const).flatMap((colours) =>
      [WIDE, NARROW].map((size): Picture => ({
        name: `${view}-${colours}-${size.width}`,
        ...{ place, colours, size },
      }))
    )
  );
}

/** Time for the last animation and the last answer, in ms. */
const SETTLE_MS = 1_500;

async function take(
  map: MapTab,
  { dir, picture }: { readonly dir: string; readonly picture: Picture },
): Promise<void> {
  const { page } = map.tab;
  await page.emulateMedia({
    colorScheme: picture.colours,
    reducedMotion: "reduce",
  });
  await page.setViewportSize(picture.size);
  await map.goTo(picture.place);
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.waitForTimeout(SETTLE_MS);
  const png = shrinkPng(await page.screenshot());
  await Deno.writeFile(`${dir}/${picture.name}.png`, png);
}

const [given] = Deno.args;
const dir = given ?? `${ROOT}/docs/pictures`;
await Deno.mkdir(dir, { recursive: true });
await using lab = await createMapLab(8);
const scene = await playScene(lab);
await using map = await MapTab.open(lab.host(1));
const pictures = given === undefined
  ? picturesOfDocs(scene)
  : allPictures(scene);
for (const picture of pictures) await take(map, { dir, picture });
console.log(`Took ${pictures.length} pictures, in ${dir}`);
