import assert from "node:assert/strict";
import { Beliefs } from "./beliefs.ts";

/** Each row: a name, what happens, and the numbers of doubles, lost and stale. */
const ROWS: readonly [
  name: string,
  happens: (beliefs: Beliefs) => void,
  counts: readonly [number, number, number],
][] = [
  ["one holder each", (b) => {
    b.hold("a", { owner: "a", address: "10.0.0.2" });
    b.hold("b", { owner: "b", address: "10.0.0.3" });
    b.verify([["a", ["10.0.0.2"]], ["b", ["10.0.0.3"]]]);
  }, [0, 0, 0]],
  ["the same answer again", (b) => {
    b.hold("a", { owner: "a", address: "10.0.0.2" });
    b.hold("a", { owner: "a", address: "10.0.0.2" });
  }, [0, 0, 0]],
  ["two owners", (b) => {
    b.hold("a", { owner: "a", address: "10.0.0.2" });
    b.hold("b", { owner: "b", address: "10.0.0.2" });
  }, [1, 0, 0]],
  ["two containers with one id", (b) => {
    b.hold("a#1", { owner: "a", address: "10.0.0.2" });
    b.hold("a#2", { owner: "a", address: "10.0.0.2" });
  }, [1, 0, 0]],
  ["the next holder after the first gave up", (b) => {
    b.hold("a", { owner: "a", address: "10.0.0.2" });
    b.drop("a");
    b.hold("b", { owner: "b", address: "10.0.0.2" });
    b.verify([["b", ["10.0.0.2"]]]);
  }, [0, 0, 0]],
  ["a list with an address twice", (b) => {
    b.doubt("a");
    b.doubt("b");
    b.verify([["a", ["10.0.0.2"]], ["b", ["10.0.0.2"]]]);
  }, [1, 0, 0]],
  ["another address than before", (b) => {
    b.hold("a", { owner: "a", address: "10.0.0.2" });
    b.hold("a", { owner: "a", address: "10.0.0.3" });
  }, [0, 1, 0]],
  ["a holder that is not listed, counted once", (b) => {
    b.hold("a", { owner: "a", address: "10.0.0.2" });
    b.verify([]);
    b.verify([]);
  }, [0, 1, 0]],
  ["a holder that is listed with another address", (b) => {
    b.hold("a", { owner: "a", address: "10.0.0.2" });
    b.verify([["a", ["10.0.0.3"]]]);
  }, [0, 1, 0]],
  ["a released owner that is listed", (b) => {
    b.hold("a", { owner: "a", address: "10.0.0.2" });
    b.drop("a");
    b.verify([["a", ["10.0.0.2"]]]);
  }, [0, 0, 1]],
  ["an owner in doubt that is listed", (b) => {
    b.doubt("a");
    assert.deepEqual(b.verify([["a", ["10.0.0.2"]]]), [["a", "10.0.0.2"]]);
  }, [0, 0, 0]],
  ["an owner in doubt that was not listed, and is later", (b) => {
    b.doubt("a");
    b.verify([]);
    b.verify([["a", ["10.0.0.2"]]]);
  }, [0, 0, 1]],
  ["an owner in doubt whose release was answered", (b) => {
    b.doubt("a");
    b.settle("a");
    b.verify([["a", ["10.0.0.2"]]]);
  }, [0, 0, 1]],
];

for (const [name, happens, counts] of ROWS) {
  Deno.test(`Beliefs counts doubles, lost and stale: ${name}`, () => {
    const beliefs = new Beliefs();
    happens(beliefs);
    const { doubles, lost, stale } = beliefs.findings;
    assert.deepEqual([doubles.length, lost.length, stale.length], counts);
  });
}
