import type { LabHost } from "../lab/lab_host.ts";

/** The flags of agents that are one cluster: that of the first host keeps the registry. */
export function clusterFlags({ number, address }: LabHost): string[] {
  const flags = ["--listen", `${address}:9000`, "--insecure"]
    .concat("--routes", "apply");
  // The first host's address is the one before the second's, and so on.
  const first = address.replace(
    /\d+$/,
    (last) => String(Number(last) - number + 1),
  );
  return number === 1 ? flags : [...flags, "--join", `http://${first}:9000`];
}
