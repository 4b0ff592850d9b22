import { Agent, request } from "node:https";
import { createSigningRequest } from "../../src/security/pki/signing_request.ts";

/**
 * A compromised host that renews its certificate as fast as it can, over 16
 * connections, until it is killed.
 *
 * Arguments: URL of the registry, folder with chain.pem, key.pem.
 */
const [url, dir] = Deno.args as [string, string];
const key = Deno.readTextFileSync(`${dir}/key.pem`);
const agent = new Agent({
  cert: Deno.readTextFileSync(`${dir}/chain.pem`),
  key,
  rejectUnauthorized: false,
  keepAlive: true,
  maxSockets: 16,
});
const body = JSON.stringify({ signingRequest: createSigningRequest(key) });
let answers = 0;

function renew(): void {
  const call = request(
    `${url}/stellar.net.v1.IdentityService/RenewCertificate`,
    {
      agent,
      method: "POST",
      headers: { "content-type": "application/json" },
    },
    (response) => {
      response.resume().on("end", () => {
        if (++answers === 100) console.log("100 answers");
        renew();
      });
    },
  );
  call.on("error", () => setTimeout(renew, 10));
  call.end(body);
}

for (let i = 0; i < 64; i++) renew();
