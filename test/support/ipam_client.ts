import { createGrpcJsClient } from "./grpc_js.ts";

/** A former holder of an address, with times in ms since 1970; `releasedAtMs` is missing while it is held. */
export interface Tenure {
  readonly id: string;
  readonly allocatedAtMs: number;
  readonly releasedAtMs: number | undefined;
}

/** A client of an agent's native service of addresses, on a gRPC connection of its own. */
export interface IpamClient extends Disposable {
  /** Gives a container addresses, those asked for if any. Rejects with a grpc.ServiceError. */
  allocate(id: string, addresses?: readonly string[]): Promise<string[]>;
  /** Takes a container's addresses back, and returns them. Rejects likewise. */
  release(id: string): Promise<string[]>;
  /** Every container that has addresses, with them, in the order of the list. */
  list(): Promise<[id: string, addresses: string[]][]>;
  /** The holders of an address, the latest first. */
  history(address: string): Promise<Tenure[]>;
}

interface AllocationMessage {
  readonly owner: { readonly containerId: string };
  readonly addresses: readonly { readonly address: string }[];
}

interface TimestampMessage {
  readonly seconds: string;
  readonly nanos: number;
}

/** Small, so that a list has several pages. */
const PAGE_SIZE = 100;

/** Makes a client of the agent on a port of 127.0.0.1, for its own node. */
export function createIpamClient(port: number): IpamClient {
  const client = createGrpcJsClient(`127.0.0.1:${port}`, {
    file: "stellar/net/v1/ipam.proto",
    service: "stellar.net.v1.IpamService",
  });
  const owner = (id: string) => ({ owner: { containerId: id } });
  return {
    async allocate(id, addresses = []) {
      const { allocation } = await client.call<
        { allocation: AllocationMessage }
      >("Allocate", { ...owner(id), addresses });
      return addressesOf(allocation);
    },
    async release(id) {
      const { addresses } = await client.call<{ addresses: string[] }>(
        "Release",
        owner(id),
      );
      return addresses;
    },
    async list() {
      const found: [string, string[]][] = [];
      let pageToken = "";
      do {
        const page = await client.call<
          { allocations: AllocationMessage[]; nextPageToken: string }
        >("ListAllocations", { pageSize: PAGE_SIZE, pageToken });
        for (const allocation of page.allocations) {
          found.push([allocation.owner.containerId, addressesOf(allocation)]);
        }
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return found;
    },
    async history(address) {
      const { records, truncated } = await client.call<
        {
          records: {
            owner: { containerId: string };
            allocatedAt: TimestampMessage;
            releasedAt: TimestampMessage | null;
          }[];
          truncated: boolean;
        }
      >("ListHistory", { address });
      if (truncated) throw new Error(`the history of ${address} is too long`);
      return records.map(({ owner, allocatedAt, releasedAt }) => ({
        id: owner.containerId,
        allocatedAtMs: toMs(allocatedAt),
        releasedAtMs: releasedAt ? toMs(releasedAt) : undefined,
      }));
    },
    [Symbol.dispose]: () => client.close(),
  };
}

function addressesOf(allocation: AllocationMessage): string[] {
  return allocation.addresses.map(({ address }) => address);
}

function toMs({ seconds, nanos }: TimestampMessage): number {
  return Number(seconds) * 1000 + nanos / 1e6;
}
