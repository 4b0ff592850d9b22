/**
 * A program that builds a lab with a file system in its folder, prints its id
 * and is killed before it takes it down.
 */
import { Lab } from "../lab/lab.ts";
import { labDir } from "../lab/lab_folder.ts";
import { run } from "../support/run.ts";

const lab = await Lab.create({ hosts: 1 });
const disk = `${labDir(lab.id)}/disk`;
await Deno.mkdir(disk);
const { code, stderr } = await run("mount", ["-t", "tmpfs", "none", disk]);
if (code !== 0) throw new Error(`Cannot mount ${disk}: ${stderr}`);
console.log(lab.id);
Deno.kill(Deno.pid, "SIGKILL");
