import {
  type FoundNamespace,
  isSameNamespace,
  type NamespaceId,
} from "../../net/namespace.ts";

// The link between an allocation and a running container, as a model: what is
// known of a container, and what each event does to its addresses.

/** The container that an ADD of a CNI runtime gave addresses to. */
export interface Attachment {
  /** Path of the network namespace; empty when it is not known. */
  readonly netns: string;
  /** The namespace; undefined when it was not visible at the ADD, or an older version stored the record. */
  readonly namespace?: NamespaceId;
  /** Whether something was at the path at the ADD: only then can it disappear. */
  readonly netnsSeen: boolean;
  /** Boot id of the host at the ADD. */
  readonly bootId: string;
  /**
   * Ids of the queued releases that waited at the ADD and could not be removed.
   * They belong to an earlier container.
   */
  readonly supersedes?: readonly string[];
  /** Undefined: a CNI runtime asked. */
  readonly docker?: DockerEndpoint;
}

/**
 * What Docker said of an endpoint. It names no container, and no network
 * namespace.
 */
export interface DockerEndpoint {
  /** The PoolID of the request. A release counts only with the same one. */
  readonly poolId: string;
  /** In lower case, with colons; empty: Docker named none. */
  readonly macAddress: string;
}

/** The state of a container, by evidence. */
export type Presence = "running" | "gone" | "other boot" | "unknown";

/** The consequences of a container's presence. */
export interface Consequences {
  /** ADD for the same owner. */
  readonly add: "refuse" | "renew";
  /** DEL that names another network namespace. */
  readonly otherDel: "keep" | "release";
  /** The search for leaked addresses. */
  readonly leak: "never" | "after grace" | "at once";
  /** Whether the addresses go at once to another owner that needs them. */
  readonly givesWay: boolean;
}

/**
 * The transitions. Only evidence of a running container refuses an ADD, and
 * only evidence of its end takes its addresses without a DEL.
 */
export const CONSEQUENCES: Readonly<Record<Presence, Consequences>> = {
  "running": {
    add: "refuse",
    otherDel: "keep",
    leak: "never",
    givesWay: false,
  },
  "unknown": {
    add: "renew",
    otherDel: "release",
    leak: "never",
    givesWay: false,
  },
  "gone": {
    add: "renew",
    otherDel: "release",
    leak: "after grace",
    givesWay: false,
  },
  "other boot": {
    add: "renew",
    otherDel: "release",
    leak: "at once",
    givesWay: true,
  },
};

/** The presence of a container, from its attachment and what is at its path now. */
export function presenceOf(
  attachment: Attachment,
  now: { readonly bootId: string; readonly found: FoundNamespace },
): Presence {
  if (attachment.bootId !== now.bootId) return "other boot";
  const { netns, namespace, netnsSeen } = attachment;
  if (netns === "") return "unknown";
  switch (now.found.kind) {
    case "unknown":
      return "unknown";
    case "gone":
      return netnsSeen || namespace ? "gone" : "unknown";
    case "there":
      if (!namespace) return netnsSeen ? "running" : "unknown";
      return isSameNamespace(namespace, now.found.id) ? "running" : "gone";
  }
}

/** A release by a CNI runtime. */
export interface Del {
  /** Path of the network namespace; empty when the runtime named none. */
  readonly netns: string;
  /** The namespace at the path when the runtime called DEL. */
  readonly found: FoundNamespace;
  /** Boot id of the host at the DEL. */
  readonly bootId: string;
  /** Its id in the queue, when it waited there. */
  readonly queuedAs?: string;
}

/** Whether a DEL is for the container of an attachment. */
export function isReleasedBy(
  attachment: Attachment,
  del: Del,
  presence: Presence,
): boolean {
  const { netns, namespace, bootId, supersedes = [] } = attachment;
  if (del.queuedAs !== undefined && supersedes.includes(del.queuedAs)) {
    return false;
  }
  // A runtime that names no boot and no namespace means whatever is there.
  if (del.bootId !== "" && del.bootId !== bootId && presence !== "other boot") {
    return false;
  }
  if (del.netns === "") return true;
  const isSame = namespace && del.found.kind === "there"
    ? isSameNamespace(namespace, del.found.id)
    // A running container's namespace has been there since its ADD.
    : del.netns === netns &&
      !(del.found.kind === "gone" && presence === "running");
  return isSame || CONSEQUENCES[presence].otherDel === "release";
}
