/** Runs the hammer and prints its report as JSON. Arguments: operations and seed. */
import { Hammer } from "./hammer.ts";

const [operations, seed] = Deno.args.map(Number) as [number, number];
const report = await Hammer.run(
  { operations, seed },
  (progress) => console.error(JSON.stringify(progress)),
);
console.log(JSON.stringify(report));
