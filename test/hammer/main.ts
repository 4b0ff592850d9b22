/** Runs the hammer and prints its report as JSON. Arguments: operations and seed. */
import { Hammer } from "./hammer.ts";

const [operations, seed] = Deno.args.map(Number) as [number, number];
console.log(JSON.stringify(await Hammer.run({ operations, seed })));
