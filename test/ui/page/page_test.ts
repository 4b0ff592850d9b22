import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { PAGE } from "../../../src/gen/page.ts";

/** The budget of the page: DESIGN 12, "under 150 KB compressed". */
const MAX_BYTES = 150_000;

Deno.test("the page stays under 150 KB compressed", () => {
  const { html, script, style } = PAGE;
  assert.ok(script.length > 50_000 && style.length > 500);
  const bytes = [html, script, style]
    .reduce((sum, text) => sum + gzipSync(text).length, 0);
  assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
});

Deno.test("the page loads nothing from elsewhere and needs no inline script or style", () => {
  const { html, style } = PAGE;
  assert.doesNotMatch(html, /(?:src|href)="(?!\/page\.(?:js|css)"|data:)/);
  assert.doesNotMatch(html, /<script(?![^>]*src=)|<style|\sstyle=|\son\w+=/);
  assert.doesNotMatch(style, /@import|url\((?!data:)/);
});
