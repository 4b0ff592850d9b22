import assert from "node:assert/strict";
import {
  formatListen,
  parseChoice,
  parseDuration,
  parseInteger,
  parseListen,
  parsePath,
  parseReclaim,
  parseSocketPath,
  parseSwitch,
  parseTimeout,
} from "../../../src/cli/framework/parsers.ts";

type Parse = (text: string) => unknown;

const integer = parseInteger(1, 100);
const choice = parseChoice(["text", "json"]);

const GOOD: readonly [parse: Parse, text: string, value: unknown][] = [
  [parseDuration, "0s", 0],
  [parseDuration, "500ms", 500],
  [parseDuration, "60s", 60_000],
  [parseDuration, "30m", 1_800_000],
  [parseDuration, "24h", 86_400_000],
  [parseDuration, "7d", 604_800_000],
  [parseDuration, "36500d", 3_153_600_000_000],
  [parseReclaim, "1m", 60_000],
  [parseTimeout, "1ms", 1],
  [parseTimeout, "24h", 86_400_000],
  [parseListen, "127.0.0.1:9000", { hostname: "127.0.0.1", port: 9000 }],
  [parseListen, "0.0.0.0:0", { hostname: "0.0.0.0", port: 0 }],
  [parseListen, "[::1]:65535", { hostname: "::1", port: 65_535 }],
  [parseListen, "[FD00:0::1]:80", { hostname: "fd00::1", port: 80 }],
  [parsePath, "a b/c", "a b/c"],
  [parseSocketPath, `/${"a".repeat(106)}`, `/${"a".repeat(106)}`],
  [integer, "1", 1],
  [integer, "100", 100],
  [choice, "json", "json"],
  [parseSwitch, "true", true],
  [parseSwitch, "1", true],
  [parseSwitch, "false", false],
  [parseSwitch, "0", false],
];

const BAD: readonly [parse: Parse, text: string, message: RegExp][] = [
  [parseDuration, "", /^"" is not a duration: .* such as "60s"$/],
  [parseDuration, "60", /a whole number and a unit/],
  [parseDuration, "s", /not a duration/],
  [parseDuration, "-1s", /not a duration/],
  [parseDuration, "1.5h", /not a duration/],
  [parseDuration, "1h30m", /not a duration/],
  [parseDuration, "060s", /not a duration/],
  [parseDuration, "60 s", /not a duration/],
  [parseDuration, " 60s", /not a duration/],
  [parseDuration, "60S", /not a duration/],
  [parseDuration, "1e3s", /not a duration/],
  [parseDuration, "36501d", /too long: the maximum is "36500d"/],
  [parseDuration, `${"9".repeat(400)}s`, /too long/],
  [parseReclaim, "59999ms", /^"59999ms" is too short: .* minimum is "1m"$/],
  [parseTimeout, "0s", /^"0s" is not between/],
  [parseTimeout, "2d", /is not between/],
  [parseListen, "", /not an address and a port/],
  [parseListen, "9000", /not an address and a port/],
  [parseListen, "127.0.0.1", /not an address and a port/],
  [parseListen, ":9000", /no address: write "0\.0\.0\.0:9000"/],
  [parseListen, "[]:9000", /no address/],
  [parseListen, "::1:9000", /not an address and a port/],
  [parseListen, "[127.0.0.1]:9000", /brackets around an IPv4 address/],
  [parseListen, "127.0.0.1:65536", /no port: it is 0 to 65535/],
  [parseListen, "127.0.0.1:09000", /not an address and a port/],
  [parseListen, "127.0.0.1:", /not an address and a port/],
  [parseListen, "localhost:9000", /"localhost" is not an IP address/],
  [parseListen, "[::1%lo]:9000", /zone ids are not supported/],
  [parseListen, "http://127.0.0.1:9000", /not an address and a port/],
  [parsePath, "", /it is empty/],
  [parsePath, "a\0b", /^"a\\u0000b" is not a path: it has a zero byte$/],
  [parsePath, "a\nb", /^"a\\nb" is not a path: it has a control character$/],
  [parseSocketPath, "", /it is empty/],
  [parseSocketPath, "é".repeat(54), /has 108 bytes: .* at most 107$/],
  [integer, "0", /^"0" is not a whole number from 1 to 100$/],
  [integer, "101", /whole number/],
  [integer, "-1", /whole number/],
  [integer, "1.0", /whole number/],
  [integer, "0x10", /whole number/],
  [integer, "1e1", /whole number/],
  [integer, "", /whole number/],
  [choice, "xml", /^"xml" is not known: choose text, json$/],
  [choice, "TEXT", /not known/],
  [parseSwitch, "yes", /^"yes" is neither on nor off/],
  [parseSwitch, "", /neither on nor off/],
];

Deno.test("parsers of flags read valid texts", async (t) => {
  for (const [parse, text, value] of GOOD) {
    await t.step(`${parse.name || "choice or integer"} ${text}`, () => {
      assert.deepEqual(parse(text), value);
    });
  }
});

Deno.test("parsers of flags refuse invalid texts and say what is valid", async (t) => {
  for (const [parse, text, message] of BAD) {
    await t.step(
      `${parse.name || "choice or integer"} ${JSON.stringify(text)}`,
      () => {
        assert.throws(() => parse(text), { name: "RangeError", message });
      },
    );
  }
});

Deno.test("formatListen() writes what parseListen() reads", () => {
  for (const text of ["127.0.0.1:9000", "[::1]:0", "[fd00::1]:80"]) {
    assert.equal(formatListen(parseListen(text)), text);
  }
});
