import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { testIdentities } from "./identity_suite.ts";

testIdentities("Deno KV", () => openDenoKv({ path: ":memory:" }));
