import type { FaultWords } from "./fault.ts";

/** Why a node that has not joined yet has not. */
const NOT_JOINED =
  "registry: the registry has been unreachable since …: Cannot reach the agent at …: this agent has no certificate yet (…): ";

/** Faults of a node's membership, which a test causes one by one. */
export const MEMBER_FAULTS = {
  agentDown: {
    name: "the agent is down",
    here: "agent: Cannot reach the agent at …: there is no such socket, …",
    there:
      "registry: the registry has been unreachable since …: … nothing listens there",
    undo: {
      text:
        "start it; `systemctl restart stellar-net.service` is the command where it is installed",
    },
  },
  registryBlocked: {
    name: "the port of the API is blocked at the registry",
    here:
      'packet filter: "ip fault c: tcp dport 9000 drop" drops calls of agents',
    there:
      "registry: the registry has been unreachable since …: it does not answer",
    fix: "nft delete rule ip fault c handle …",
  },
  clock: {
    name: "the clock is an hour off",
    here: 'clock: the clock of "host1" is … s behind this host\'s',
    there: 'clock: the clock of "host2" is … s ahead of this host\'s',
    undo: { text: "set the clock" },
  },
  clockByDays: {
    name: "the clock is two days off: certificates seem to have expired",
    here:
      "registry: the registry has been unreachable since …: … valid until …",
    there:
      "peer's agent: https://198.18.0.12:9000 does not answer: … valid until …",
    undo: { text: "set the clock" },
  },
  nameTaken: {
    name: "the node's name is taken",
    here:
      `${NOT_JOINED}Cannot certify node "host2": the cluster has a node of that name, …`,
    there: "green",
    undo: { text: "start it with another `--node`" },
  },
  tokenSpent: {
    name: "the token is used up, expired or revoked",
    here: `${NOT_JOINED}Cannot join with this token: …`,
    there: "green",
    undo: { text: "create a new token" },
  },
  joinTypo: {
    name: "`--join` names a host where no agent is",
    here: `${NOT_JOINED}…: there is no route to that host`,
    there: "green",
    undo: { text: "correct `--join`" },
  },
  revoked: {
    name: "the node's certificate is revoked",
    here:
      'registry: the registry has been unreachable since …: Cannot accept the certificate of node "host2": it was revoked at …',
    there:
      "peer's agent: https://198.18.0.12:9000 does not answer: … it was revoked at …",
    undo: { text: "create a token for that node" },
  },
  diskFull: {
    name: "the disk of the state is full",
    here: "store: … no space is left on the device; free some and try again",
    there: "green",
    undo: { text: "make room there" },
  },
  fenced: {
    name: "the host was removed, and its subnet went to another: it is fenced",
    here: "registry: the registry has fenced this node since …: … belongs to …",
    there: 'identity: node "host3": the registry has fenced it since …',
    undo: {
      text:
        "stop its containers, `stellar-net node leave --force` there, and start its agent again",
    },
  },
} as const satisfies Readonly<Record<string, FaultWords>>;
