import {
  invalidKey,
  type JsonObject,
  readList,
  readObject,
  readString,
  requireValue,
} from "./json.ts";
import { checkContainerId, checkInterfaceName } from "./owner.ts";

const KEY = "cni.dev/valid-attachments";

/** A container's end of a network that is still there. */
export interface Attachment {
  readonly containerId: string;
  readonly interfaceName: string;
}

/**
 * Reads the attachments that GC must keep. Undefined: the key is missing or
 * null, nothing is known of any, and nothing may be released.
 *
 * @throws {CniError} `invalid_config`: what cannot be understood must not
 * cost a container its address
 */
export function parseValidAttachments(
  config: JsonObject,
): readonly Attachment[] | undefined {
  return readList(config[KEY], KEY)?.map((value, index) => {
    const path = `${KEY}[${index}]`;
    const attachment = requireValue(readObject(value, path), path);
    return {
      containerId: readName(attachment.containerID, {
        path: `${path}.containerID`,
        check: checkContainerId,
      }),
      interfaceName: readName(attachment.ifname, {
        path: `${path}.ifname`,
        check: checkInterfaceName,
      }),
    };
  });
}

function readName(
  value: unknown,
  options: {
    readonly path: string;
    readonly check: (text: string) => string | undefined;
  },
): string {
  const { path, check } = options;
  const text = requireValue(readString(value, path), path);
  const problem = check(text);
  if (problem === undefined) return text;
  throw invalidKey(path, problem);
}
