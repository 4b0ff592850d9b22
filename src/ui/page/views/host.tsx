import type { JSX } from "preact";
import { place } from "../router.ts";
import { HostDetail } from "./host_detail.tsx";
import { HostList } from "./host_list.tsx";

/** One host, or the list of all. */
export function HostView(): JSX.Element {
  const { name = "" } = place.value.params;
  return name === "" ? <HostList /> : <HostDetail key={name} name={name} />;
}
