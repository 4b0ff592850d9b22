import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";
import config from "../../deno.json" with { type: "json" };

/** What the exchanged packages print. */
const OWNED = "exchanged package";
/** A version that is not installed, so that npx has to fetch it. */
const OTHER_DENO = "99.9.9";

/** A registry of npm on loopback that serves packages of its own under all names. */
function startRegistry(dir: string) {
  const served: string[] = [];
  // Each is made once: a tarball has the times of its files.
  const tarballs = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
  const tarballOf = (name: string, version: string) => {
    const made = tarballs.get(name) ?? makeTarball(name, version);
    tarballs.set(name, made);
    return made;
  };
  const makeTarball = async (name: string, version: string) => {
    const folder = join(dir, `${name.replace("/", "+")}-${version}`);
    await Deno.mkdir(join(folder, "package"), { recursive: true });
    const file = (path: string, text: string) =>
      Deno.writeTextFile(join(folder, "package", path), text);
    await file("package.json", JSON.stringify(manifest(name, version)));
    await file("run.js", `#!/usr/bin/env node\nconsole.log("${OWNED}");\n`);
    const { code } = await run("tar", [
      ...["-C", folder, "-czf", `${folder}.tgz`, "package"],
    ]);
    assert.equal(code, 0);
    return await Deno.readFile(`${folder}.tgz`);
  };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname, origin } = new URL(request.url);
      const [, name, tarball] =
        /^\/(.+?)(?:\/-\/(.+)\.tgz)?$/.exec(decodeURIComponent(pathname)) ?? [];
      if (name === undefined) return new Response(null, { status: 404 });
      if (tarball !== undefined) {
        served.push(name);
        return new Response(await tarballOf(name, versionOf(name)));
      }
      const wanted = versionOf(name);
      const bytes = await tarballOf(name, wanted);
      const sha512 = createHash("sha512").update(bytes).digest("base64");
      return Response.json({
        name,
        "dist-tags": { latest: wanted },
        versions: {
          [wanted]: {
            ...manifest(name, wanted),
            dist: {
              tarball: `${origin}/${name}/-/${
                name.split("/").at(-1)
              }-${wanted}.tgz`,
              integrity: `sha512-${sha512}`,
              shasum: createHash("sha1").update(bytes).digest("hex"),
            },
          },
        },
      });
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    served,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function manifest(name: string, version: string) {
  return { name, version, main: "run.js", bin: { [name]: "run.js" } };
}

/** The version that is asked for. */
function versionOf(name: string): string {
  if (name === "deno") return OTHER_DENO;
  const imports: Readonly<Record<string, string>> = config.imports;
  return imports[name]?.split("@").at(-1) ?? "0.0.0";
}

Deno.test("whoever can change npm's packages", (t) =>
  withTempDir(async (dir) => {
    await using registry = startRegistry(dir);

    await t.step("exchanges the deno that npx fetches", async () => {
      const { code, stdout, stderr } = await run("npx", [
        ...["-y", "--registry", registry.url, "--cache", join(dir, "npm")],
        ...[`deno@${OTHER_DENO}`, "--version"],
      ], { cwd: dir });
      assert.equal(code, 0, stderr);
      assert.equal(stdout.trim(), OWNED);
    });

    await t.step("exchanges no package of the sources", async () => {
      registry.served.length = 0;
      const script = join(dir, "main.ts");
      await Deno.writeTextFile(script, 'import "commander";\n');
      const { code, stdout, stderr } = await run(Deno.execPath(), [
        ...["run", "-A", "--config", join(ROOT, "deno.json"), script],
      ], {
        cwd: dir,
        env: {
          DENO_DIR: join(dir, "deno"),
          NPM_CONFIG_REGISTRY: registry.url,
          NO_COLOR: "1",
        },
      });
      // It asked for the package and got the exchanged one.
      assert.deepEqual(registry.served, ["commander"]);
      assert.notEqual(code, 0);
      assert.doesNotMatch(stdout, new RegExp(OWNED));
      assert.match(stderr, /Tarball checksum did not match/);
    });
  }));
