/** A program that builds a lab, prints its id and is killed before it takes it down. */
import { Lab } from "../lab/lab.ts";

const lab = await Lab.create({ hosts: 1 });
console.log(lab.id);
Deno.kill(Deno.pid, "SIGKILL");
