import { TOKEN_NAME } from "./page/token.ts";

/**
 * The header fields of every answer: nothing is loaded from elsewhere, framed,
 * kept, or told to other pages.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

const NO_SCRIPT =
  "<noscript>The map needs JavaScript: allow it for this address.</noscript>";

/** The document that stores the token and goes on to the map. */
export function openingDocument(token: string): string {
  return documentOf({
    title: "stellar-net",
    head: `<meta name="token" content="${token}">` +
      '<script type="module" src="/open.js"></script>',
    body: "<p>Opening the map\u2026</p>" + NO_SCRIPT,
  });
}

/** The script of the opening document. The fragment, which names a view, stays. */
export const OPEN_SCRIPT = `"use strict";
const token = document.querySelector("meta[name=token]").content;
localStorage.setItem(${JSON.stringify(TOKEN_NAME)}, token);
location.replace("/" + location.hash);
`;

/**
 * The document for a link in a page of another site: the browser keeps the
 * cookie back then (SameSite=Strict), and sends it with the next request, which
 * is this document's own.
 */
export const AGAIN_DOCUMENT: string = documentOf({
  title: "stellar-net",
  head: '<script type="module" src="/again.js"></script>',
  body: "<p>Opening the map\u2026</p>" + NO_SCRIPT,
});

export const AGAIN_SCRIPT = `"use strict";
location.replace("/?again" + location.hash);
`;

/** A document that says why there is no map, and the way to it. */
export function refusalDocument(why: string, wayOut: string): string {
  return documentOf({
    title: "stellar-net: no map",
    head: "",
    body: `<main><h1>No map here</h1><p>${escapeHtml(why)}.</p><p>${
      escapeHtml(wayOut)
    }.</p></main>`,
  });
}

function documentOf(
  { title, head, body }: {
    readonly title: string;
    readonly head: string;
    readonly body: string;
  },
): string {
  return '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width, initial-scale=1">' +
    '<meta name="color-scheme" content="light dark">' +
    '<link rel="icon" href="data:,">' +
    `<title>${title}</title>${head}</head><body>${body}</body></html>\n`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
