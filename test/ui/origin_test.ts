import assert from "node:assert/strict";
import { refuseOrigin } from "../../src/ui/origin.ts";

const HOST = "127.0.0.1:8080";
const ORIGIN = `http://${HOST}`;
type Headers = Readonly<Record<string, string>>;

const LINK = {
  "sec-fetch-mode": "navigate",
  "sec-fetch-dest": "document",
};

Deno.test("refuseOrigin() admits requests of the map's own pages, and links to it", async (t) => {
  const rows: readonly [name: string, method: string, headers: Headers][] = [
    ["an address typed in", "GET", { host: HOST, "sec-fetch-site": "none" }],
    ["a browser without Sec-Fetch", "GET", { host: HOST }],
    ["localhost", "GET", { host: "localhost:8080" }],
    ["IPv6", "GET", { host: "[::1]:8080" }],
    ["the standard port", "GET", { host: "127.0.0.1" }],
    ["another port, of a tunnel", "POST", {
      host: "localhost:9999",
      origin: "http://localhost:9999",
    }],
    ["a script of the page", "GET", {
      host: HOST,
      "sec-fetch-site": "same-origin",
      "sec-fetch-mode": "no-cors",
    }],
    ["a call of the page", "POST", {
      host: HOST,
      origin: ORIGIN,
      "sec-fetch-site": "same-origin",
    }],
    ["a link elsewhere", "GET", {
      ...LINK,
      host: HOST,
      "sec-fetch-site": "cross-site",
    }],
  ];
  for (const [name, method, headers] of rows) {
    await t.step(name, () => {
      assert.equal(refuseOrigin({ method, headers }), undefined);
    });
  }
});

Deno.test("refuseOrigin() refuses requests of other origins", async (t) => {
  const rows: readonly [name: string, method: string, headers: Headers][] = [
    ["no host", "GET", {}],
    ["a name that means 127.0.0.1", "GET", { host: "rebind.example:8080" }],
    ["a name that begins like it", "GET", { host: "127.0.0.1.example" }],
    ["a user part", "GET", { host: "a@127.0.0.1" }],
    ["another address", "GET", { host: "198.18.0.11:8080" }],
    ["a call without an origin", "POST", { host: HOST }],
    ["a call of another port", "POST", {
      host: HOST,
      origin: "http://127.0.0.1:8081",
    }],
    ["a call by another name of this host", "POST", {
      host: HOST,
      origin: "http://localhost:8080",
    }],
    ["a call over TLS", "POST", { host: HOST, origin: `https://${HOST}` }],
    ["a sandboxed page", "POST", { host: HOST, origin: "null" }],
    ["a read of another origin", "GET", { host: HOST, origin: "http://a.b" }],
    ["an image in a page of another port", "GET", {
      host: HOST,
      "sec-fetch-site": "same-site",
      "sec-fetch-mode": "no-cors",
    }],
    ["a frame", "GET", {
      host: HOST,
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "iframe",
    }],
    ["a form of another site", "POST", {
      ...LINK,
      host: HOST,
      origin: ORIGIN,
      "sec-fetch-site": "cross-site",
    }],
  ];
  for (const [name, method, headers] of rows) {
    await t.step(name, () => {
      assert.notEqual(refuseOrigin({ method, headers }), undefined);
    });
  }
});
