import assert from "node:assert/strict";
import { once } from "node:events";
import { create } from "@bufbuild/protobuf";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import {
  callGrpc,
  dialTls,
  openTls,
  withClusterServer,
} from "../../support/cluster_tls.ts";
import { waitFor } from "../../support/wait_for.ts";

const { info, allocateIP } = Network.method;
const INFO = create(info.input);

function routes(router: ConnectRouter): void {
  router.service(Network, {
    info: () => ({ id: "a" }),
    allocateIP: ({ id }) => ({ ip: id }),
  });
}

Deno.test("a server bounds the share of each client, and leaves the others alone", async (t) => {
  const limits = {
    maxConnectionsPerIdentity: 3,
    maxConnectionsPerAnonymous: 2,
    maxReceivedBytesPerClient: 3000,
    maxMessageBytes: 2500,
    maxCallsPerClient: 4,
    maxCallsPerAnonymous: 1,
  };
  await withClusterServer({ routes, limits }, async (running) => {
    const { issue } = running;
    const [greedy, modest] = await Promise.all([
      issue({ name: "host2" }),
      issue({ name: "host3" }),
    ]);
    const serves = async () => {
      const session = await openTls(running, modest);
      assert.equal((await callGrpc(session, info, INFO)).code, 0);
      session.destroy();
      await once(session, "close");
    };
    await t.step("connections of an identity", async () => {
      const open = await Promise.all(
        Array.from({ length: 3 }, () => openTls(running, greedy)),
      );
      const fourth = await dialTls(running, greedy);
      await once(fourth.resume(), "close");
      await serves();
      for (const session of open) session.destroy();
      await Promise.all(open.map((session) => once(session, "close")));
    });
    await t.step("connections of anonymous clients", async () => {
      const open = [await openTls(running), await openTls(running)];
      const third = await dialTls(running);
      await once(third.resume(), "close");
      await serves();
      for (const session of open) session.destroy();
      await Promise.all(open.map((session) => once(session, "close")));
    });
    await t.step("calls of an identity", async () => {
      const session = await openTls(running, greedy);
      // They do not come to their end.
      const begun = Array.from({ length: 4 }, () =>
        session.request({
          ":method": "POST",
          ":path": `/${Network.typeName}/Info`,
          "content-type": "application/grpc",
        }).on("error", () => {}));
      for (const type of ["application/grpc", "application/grpc+json"]) {
        const { code, message } = await callGrpc(session, info, INFO, type);
        assert.equal(code, Code.ResourceExhausted, type);
        assert.equal(
          message,
          "Cannot take the call of node host2: it has 4 calls in flight, which is the limit; try again",
        );
      }
      await serves();
      for (const stream of begun) stream.close();
      await waitFor(
        "its calls to end",
        async () => (await callGrpc(session, info, INFO)).code === 0,
      );
      session.destroy();
    });
    await t.step("bytes of an identity", async () => {
      const session = await openTls(running, greedy);
      const begun = session.request({
        ":method": "POST",
        ":path": `/${Network.typeName}/AllocateIP`,
        "content-type": "application/grpc",
      }).on("error", () => {});
      begun.write(new Uint8Array(2000));
      // Behind it on the same connection.
      assert.equal((await callGrpc(session, info, INFO)).code, 0);
      const large = create(allocateIP.input, {
        id: "x".repeat(2000),
        node: "host2",
      });
      const { code, message } = await callGrpc(session, allocateIP, large);
      assert.equal(code, Code.ResourceExhausted);
      assert.match(
        message,
        /^Cannot take the call of node host2: it is sending more than 3000 bytes at once/,
      );
      await serves();
      begun.close();
      await waitFor(
        "what it was sending to be forgotten",
        async () => (await callGrpc(session, allocateIP, large)).code === 0,
      );
      session.destroy();
    });
  });
});
