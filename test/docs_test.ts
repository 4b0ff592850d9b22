import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { AGENT } from "../src/cli/commands/agent.ts";
import { createCarve, sliceCount } from "../src/net/carve.ts";
import { capacityOf, parsePrefix } from "../src/net/prefix.ts";
import { environmentName } from "../src/cli/framework/flag.ts";
import { ROOT } from "./generate.ts";

/** Every page, by its path from the root of the project. */
async function readPages(): Promise<Map<string, string>> {
  const paths = ["README.md"];
  for await (const { name } of Deno.readDir(join(ROOT, "docs"))) {
    if (name.endsWith(".md")) paths.push(`docs/${name}`);
  }
  return new Map(
    await Promise.all(
      paths.sort().map(async (path) =>
        [path, await Deno.readTextFile(join(ROOT, path))] as const
      ),
    ),
  );
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): Set<string> {
  const prose = page.replaceAll(/^```.*?^```$/gms, "");
  return new Set(
    [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
      heading!.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-")
    ),
  );
}

Deno.test("every link between pages leads to a file, and to a heading in it", async (t) => {
  const pages = await readPages();
  for (const [path, page] of pages) {
    await t.step(path, () => {
      for (const [, target] of page.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target!)) continue;
        const [file, anchor] = target!.split("#") as [string, string?];
        const to = file === ""
          ? path
          : relative(ROOT, join(ROOT, dirname(path), file));
        const there = pages.get(to);
        if (there === undefined) Deno.statSync(join(ROOT, to));
        if (anchor === undefined) continue;
        assert.ok(there && anchorsOf(there).has(anchor), target!);
      }
    });
  }
});

Deno.test("every file of src/ that a page names is there", async (t) => {
  for (const [path, page] of await readPages()) {
    await t.step(path, () => {
      const paths = [...page.matchAll(/\bsrc\/[\w/]+\.tsx?\b/g)].map(([at]) =>
        at
      )
        // The paths of calls are below src/.
        .concat(
          [...page.matchAll(/^((?:\w+\/)+\w+\.ts)\b/gm)]
            .map(([, at]) => `src/${at}`),
        );
      for (const at of paths) Deno.statSync(join(ROOT, at));
    });
  }
});

Deno.test("README.md lists every page of docs/ and every folder of src/", async () => {
  const pages = await readPages();
  const readme = pages.get("README.md")!;
  const linked = [...readme.matchAll(/^\| \[(docs\/[\w-]+\.md)\]/gm)]
    .map(([, path]) => path!);
  assert.deepEqual(
    ["README.md", ...linked].sort(),
    [...pages.keys()].sort(),
  );
  const folders: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(ROOT, "src"))) {
    if (isDirectory) folders.push(name);
  }
  const listed = [...readme.matchAll(/^src\/(\w+)\/ /gm)]
    .map(([, name]) => name!);
  assert.deepEqual(listed.sort(), folders.sort());
});

Deno.test("README.md has a reason for every package", async () => {
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const table = readme.split("## Dependencies")[1]!;
  const told = [...table.matchAll(/^\| (`.+?) \|/gm)]
    .flatMap(([, cell]) =>
      [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)
    );
  const configs = await Promise.all(
    ["test/deno.json", "src/ui/page/deno.json"]
      .map((path) => Deno.readTextFile(join(ROOT, path))),
  );
  const used = configs
    .flatMap((text) => Object.values(JSON.parse(text).imports as object))
    .map((to: string) => /^npm:(.+)@[^@]+$/.exec(to)![1]!);
  // Programs of development are run by their names, and are in no import.
  const run = ["@bufbuild/buf", "@bufbuild/protoc-gen-es"];
  assert.deepEqual(
    [...new Set(told)].sort(),
    [...new Set([...used, ...run])].sort(),
  );
});

Deno.test("README.md begins with 20 words", async () => {
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const [, first] = /^# .+\n\n(.+?\.)\s/.exec(readme)!;
  assert.ok(first!.split(/\s+/).length <= 20, first!);
});

Deno.test("the sample agent.env in docs/agent.md has every flag once, with a value that holds", async (t) => {
  const page = await Deno.readTextFile(join(ROOT, "docs/agent.md"));
  const [, sample] = /^```sh\n(.+?)^```$/ms.exec(page)!;
  const lines = [...sample!.matchAll(/^(#?)(STELLAR_NET_\w+)=(.*)$/gm)];
  const flags = new Map(
    AGENT.flags!.map((flag) => [environmentName(flag), flag]),
  );
  assert.deepEqual(
    lines.map(([, , name]) => name!).sort(),
    [...flags.keys()].sort(),
  );
  for (const [, comment, name, value] of lines) {
    await t.step(name!, () => {
      const flag = flags.get(name!)!;
      assert.doesNotThrow(() => flag.parse(value!));
      // A line that is not set shows the default where there is one in text.
      if (comment === "#" && flag.default !== undefined) {
        assert.equal(value, flag.default);
      }
    });
  }
});

Deno.test("docs/sizing.md counts the hosts and containers of each network", async (t) => {
  const page = await Deno.readTextFile(join(ROOT, "docs/sizing.md"));
  const rows = [
    ...page.matchAll(
      /^\| `([\d./]+)` +\| `(\d+)`( \(default\))? +\| ([\d,]+) +\| ([\d,]+) +\|$/gm,
    ),
  ];
  assert.ok(rows.length >= 8);
  for (const [, network, prefix, isDefault, hosts, containers] of rows) {
    await t.step(`${network} ${prefix}`, () => {
      const carve = createCarve(
        parsePrefix(network!),
        isDefault ? undefined : Number(prefix),
      );
      assert.equal(carve.subnetPrefixLength, Number(prefix));
      const count = (n: bigint) => n.toLocaleString("en-US");
      assert.equal(count(sliceCount(carve)), hosts);
      const subnet = parsePrefix(network!.replace(/\d+$/, prefix!));
      assert.equal(count(capacityOf(subnet)), containers);
    });
  }
});

Deno.test("docs/logs.md quotes lines and loggers that the agent has", async (t) => {
  const page = await Deno.readTextFile(join(ROOT, "docs/logs.md"));
  let sources = "";
  for await (const path of sourceFiles(join(ROOT, "src"))) {
    sources += await Deno.readTextFile(path);
  }
  const [, loggers, lines] = page.split(/^## (?:Loggers|Lines .+)$/m);
  for (const [, line] of lines!.matchAll(/^\| `([^`]+)`/gm)) {
    await t.step(line!, () => {
      // A long text is several literals in the source.
      assert.ok(sources.replaceAll(/"\s*\+\s*"/g, "").includes(line!));
    });
  }
  for (const [, logger] of loggers!.matchAll(/^\| `([^`]+)`/gm)) {
    await t.step(logger!, () => {
      const words = logger!.split(".").map((word) => `"${word}"`).join(", ");
      assert.ok(sources.includes(`getLogger([${words}])`));
    });
  }
});

/** The TypeScript files below a folder. */
async function* sourceFiles(dir: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(dir)) {
    const path = join(dir, entry.name);
    if (entry.isDirectory) yield* sourceFiles(path);
    else if (/\.tsx?$/.test(entry.name)) yield path;
  }
}

Deno.test("docs/monitoring.md lists every alert", async () => {
  const page = await Deno.readTextFile(join(ROOT, "docs/monitoring.md"));
  const rules = await Deno.readTextFile(join(ROOT, "docs/alerts.yml"));
  const [, section] = /^## Alerts\n(.*?)^## /ms.exec(page)!;
  const rows = (text: string, pattern: RegExp) =>
    [...text.matchAll(pattern)].map(([, name, severity]) => [name, severity]);
  assert.deepEqual(
    rows(section!, /^\| `(\w+)` +\| (\w+) /gm),
    rows(rules, /alert: StellarNet(\w+)[^]*?severity: (\w+)/g),
  );
});

Deno.test("docs/api.md lists every service", async () => {
  const page = await Deno.readTextFile(join(ROOT, "docs/api.md"));
  for (const folder of ["stellar/net/v1", "stellar/services/network/v1"]) {
    const dir = join(ROOT, "proto", folder);
    for await (const { name } of Deno.readDir(dir)) {
      const text = await Deno.readTextFile(join(dir, name));
      for (const [, service] of text.matchAll(/^service (\w+)/gm)) {
        const full = `${folder.replaceAll("/", ".")}.${service}`;
        assert.ok(page.includes(`| \`${full}\``), full);
      }
    }
  }
});
