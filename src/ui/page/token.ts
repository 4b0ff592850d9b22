import type { Interceptor } from "@connectrpc/connect";

/**
 * Name of the second secret of a session: of the item of the browser's storage
 * that holds it, and of the header field that carries it. A browser sends a
 * cookie to every port of a host, and so to servers of other users there; it
 * gives an item only to pages of the origin that stored it.
 */
export const TOKEN_NAME = "stellar-net-ui-token";

/** Sends the second secret with each call. */
export function withToken(
  next: Parameters<Interceptor>[0],
): ReturnType<Interceptor> {
  return (request) => {
    request.header.set(TOKEN_NAME, localStorage.getItem(TOKEN_NAME) ?? "");
    return next(request);
  };
}
