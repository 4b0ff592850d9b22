import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { PAGE_CONFIG, ROOT } from "../generate.ts";
import { run } from "./run.ts";
import { withTempDir } from "./temp_dir.ts";

/** One module of ours importing another one. */
export interface GraphEdge {
  /** Path from the root. */
  readonly from: string;
  /** A path of ours, `npm:NAME` or `node:NAME`. */
  readonly to: string;
  readonly kind: "code" | "type";
  /** Whether it is loaded when the import is come to, and not with the module. */
  readonly isDynamic: boolean;
}

/** The imports of files and of all that they import, read with `deno info`. */
export async function readGraph(
  files: readonly string[],
): Promise<GraphEdge[]> {
  const isPage = (file: string) => file.startsWith("src/ui/page/");
  const edges = [
    ...await readWith("deno.json", files.filter((file) => !isPage(file))),
    ...await readWith(PAGE_CONFIG, files.filter(isPage)),
  ];
  return [
    ...new Map(edges.map((edge) => [JSON.stringify(edge), edge])).values(),
  ];
}

/** The same for files of one configuration, which has their import map. */
async function readWith(
  configFile: string,
  files: readonly string[],
): Promise<GraphEdge[]> {
  return await withTempDir(async (dir) => {
    const entry = join(dir, "all.ts");
    await Deno.writeTextFile(
      entry,
      files.map((file) => `import "${pathToFileURL(join(ROOT, file))}";\n`)
        .join(""),
    );
    const config = join(ROOT, configFile);
    const { code, stdout, stderr } = await run(
      Deno.execPath(),
      ["info", "--json", "--no-lock", "--config", config, entry],
    );
    assert.equal(code, 0, stderr);
    const { modules }: { modules: readonly GraphModule[] } = JSON.parse(stdout);
    return modules
      .filter(({ specifier }) =>
        specifier.startsWith(`${pathToFileURL(ROOT)}/`)
      )
      .flatMap(({ specifier, dependencies = [] }) =>
        dependencies.flatMap((dependency) =>
          (["code", "type"] as const).flatMap((kind) => {
            const target = dependency[kind]?.specifier;
            return target === undefined ? [] : {
              from: nameOf(specifier),
              to: nameOf(target),
              kind,
              isDynamic: dependency.isDynamic ?? false,
            };
          })
        )
      );
  });
}

/** The part of `deno info --json` that is used. */
interface GraphModule {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly isDynamic?: boolean;
    readonly code?: { readonly specifier?: string };
    readonly type?: { readonly specifier?: string };
  }[];
}

/** A specifier as in the table of layers: without root and version. */
function nameOf(specifier: string): string {
  return specifier.startsWith("file:")
    ? relative(ROOT, fileURLToPath(specifier))
    : specifier.replace(/^npm:\/?(@[^/]+\/[^@/]+|[^@/]+)@[^/]+/, "npm:$1");
}
