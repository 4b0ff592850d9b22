import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import { PROBE_PORT, type ProbeDatagram } from "../../src/probe/port.ts";
import { openUdpSocket } from "../../src/probe/udp_socket.ts";
import { waitFor } from "../support/wait_for.ts";

Deno.test("openUdpSocket() carries payloads from the probe port to the probe port", async () => {
  const received: ProbeDatagram[] = [];
  const a = openUdpSocket("127.77.0.1", () => {});
  const b = openUdpSocket("127.77.0.2", (datagram) => received.push(datagram));
  try {
    const payload = new Uint8Array(1_400).fill(7);
    await waitFor("a datagram", async () => {
      assert.ok(await a.send(payload, "127.77.0.2"));
      return received.length > 0;
    });
    assert.deepEqual(received[0], {
      ...{ payload, from: "127.77.0.1", port: PROBE_PORT },
    });
    assert.throws(
      () => openUdpSocket("127.77.0.1", () => {}),
      (error) =>
        error instanceof NetError && /another program/.test(error.message),
    );
  } finally {
    a.close();
    b.close();
  }
  assert.equal(await a.send(new Uint8Array(72), "127.77.0.2"), false);
});

Deno.test("openUdpSocket() refuses an address that this host does not have", () => {
  assert.throws(
    () => openUdpSocket("198.18.99.99", () => {}),
    (error) =>
      error instanceof NetError && error.code === "unavailable" &&
      /does not have the address now/.test(error.message),
  );
});

Deno.test("openUdpSocket() says the system's words where it knows no better ones", () => {
  const { listenDatagram } = Deno;
  const words = "Too many open files (os error 24)";
  Deno.listenDatagram = () => {
    throw new Error(words);
  };
  try {
    assert.throws(
      () => openUdpSocket("127.77.0.1", () => {}),
      (error) => error instanceof NetError && error.message.endsWith(words),
    );
  } finally {
    Deno.listenDatagram = listenDatagram;
  }
});
