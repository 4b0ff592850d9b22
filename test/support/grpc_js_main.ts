import { STELLAR_CLIENTS } from "./stellar_clients.ts";

// Makes one call of Stellar's service with grpc-js, and prints what came of
// it: a client that is refused tries again for as long as its process lasts.
// Arguments: where the service is, the call, the request; all but the call in JSON.
const [target = "", call = "", request = ""] = Deno.args;
await using client = STELLAR_CLIENTS["gRPC with grpc-js"]!(JSON.parse(target));
console.log(JSON.stringify(await client.call(call, JSON.parse(request))));
Deno.exit();
