import {
  type HostRoute,
  HostRouteState,
  type ListHostRoutesResponse,
  type Route,
  RouteMode,
} from "../framework/client.ts";
import { orNull, viewName, viewTime } from "../framework/views.ts";

// What `--json` prints of routes. Fields are only ever added. Null means: there
// is none.

/** An extra route. */
export interface RouteView {
  readonly cidr: string;
  readonly target: string;
  readonly addedAt: string | null;
}

/** A route that the host should have. */
export interface HostRouteView {
  readonly cidr: string;
  readonly target: string;
  /** The node that owns the destination; null for an extra route. */
  readonly node: string | null;
  /** Such as `installed` or `conflict`. */
  readonly state: string;
  readonly why: string | null;
  /** What the kernel has, as `ip route` shows it. */
  readonly actual: readonly string[];
}

/** How it stands with the host's routes. */
export interface HostRoutesView {
  /** `apply`, `plan` or `off`. */
  readonly mode: string;
  readonly routes: readonly HostRouteView[];
  /** What is left to change, for a shell. */
  readonly commands: readonly string[];
  readonly lookedAt: string | null;
  readonly error: string | null;
}

export function viewRoute(message: Route): RouteView {
  const { cidr, target } = message;
  return { cidr, target, addedAt: viewTime(message.addedAt) };
}

export function viewHostRoutes(
  message: ListHostRoutesResponse,
): HostRoutesView {
  return {
    mode: viewName(RouteMode, message.mode),
    routes: message.routes.map(viewHostRoute),
    commands: message.commands,
    lookedAt: viewTime(message.lookedAt),
    error: orNull(message.error),
  };
}

function viewHostRoute(message: HostRoute): HostRouteView {
  return {
    cidr: message.cidr,
    target: message.target,
    node: orNull(message.node),
    state: viewName(HostRouteState, message.state),
    why: orNull(message.why),
    actual: message.actual,
  };
}
