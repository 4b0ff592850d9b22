import assert from "node:assert/strict";
import {
  formatHost,
  hostOf,
  isLoopback,
  isThisHost,
  unmapAddress,
} from "../../src/net/host.ts";

Deno.test("isLoopback() knows the addresses that only this host reaches", () => {
  const loopback = ["127.0.0.1", "127.255.255.255", "::1"];
  const others = ["0.0.0.0", "128.0.0.1", "126.255.255.255", "::", "::2"]
    .concat("fe80::1", "127.example", "127.0.0.1.example", "12.7.0.0");
  assert.deepEqual(loopback.filter(isLoopback), loopback);
  assert.deepEqual(others.filter(isLoopback), []);
});

Deno.test("isThisHost() takes localhost and loopback in any form, and no other name", () => {
  const here = ["http://localhost:1", "https://127.0.0.1:9000"]
    .concat("http://[::1]:1", "http://127.1:1", "http://LOCALHOST:1");
  const elsewhere = ["http://198.18.0.1:1", "http://localhost.example:1"]
    .concat("http://[::2]:1", "http://[fd00::1]:1");
  assert.deepEqual(here.filter(isThisHost), here);
  assert.deepEqual(elsewhere.filter(isThisHost), []);
});

Deno.test("hostOf() removes the brackets of IPv6", () => {
  assert.equal(hostOf("https://[fd00::1]:9000"), "fd00::1");
  assert.equal(hostOf("https://node1:9000"), "node1");
});

Deno.test("formatHost() puts IPv6 in brackets", () => {
  assert.equal(formatHost("fd00::1"), "[fd00::1]");
  assert.equal(formatHost("198.18.0.1"), "198.18.0.1");
});

Deno.test("unmapAddress() strips the prefix of a mapped IPv4 address", () => {
  assert.equal(unmapAddress("::ffff:198.18.0.1"), "198.18.0.1");
  assert.equal(unmapAddress("::1"), "::1");
});
