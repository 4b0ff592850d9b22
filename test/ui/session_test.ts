import assert from "node:assert/strict";
import { Session } from "../../src/ui/session.ts";

function pairOf(setCookie: string): string {
  return setCookie.split(";", 1)[0]!;
}

Deno.test("a session opens with its key, once", () => {
  const session = new Session();
  assert.equal(session.open(`${session.key}x`), undefined);
  assert.equal(session.open(""), undefined);
  assert.ok(session.open(session.key));
  assert.equal(session.open(session.key), undefined);
});

Deno.test("the cookie is for this host and no script, and its name is the session's own", () => {
  const [one, other] = [new Session(), new Session()]
    .map((session) => session.open(session.key)!.cookie);
  assert.match(
    one!,
    /^stellar-net-[0-9a-f]{8}=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  assert.notEqual(one!.split("=", 1)[0], other!.split("=", 1)[0]);
});

Deno.test("a session admits the browser with its cookie, and calls only with the token too", () => {
  const session = new Session();
  const { cookie, token } = session.open(session.key)!;
  const other = new Session();
  const others = other.open(other.key)!;
  const pair = pairOf(cookie);
  const [name] = pair.split("=");
  const rows: readonly (readonly [
    cookie: string | undefined,
    token: string | undefined,
    page: boolean,
    calls: boolean,
  ])[] = [
    [pair, token, true, true],
    [`a=b; ${pair}; c=d`, token, true, true],
    [pair, undefined, true, false],
    [pair, others.token, true, false],
    [undefined, token, false, false],
    ["", token, false, false],
    [pairOf(others.cookie), token, false, false],
    [`${name}=${others.cookie}`, token, false, false],
    [`x${pair}`, token, false, false],
    [`${pair}x`, token, false, false],
    [name, token, false, false],
  ];
  for (const [cookie, token, page, calls] of rows) {
    assert.equal(session.hasCookie({ cookie }), page, `${cookie}`);
    assert.equal(session.mayCall({ cookie, token }), calls, `${cookie}`);
  }
});
