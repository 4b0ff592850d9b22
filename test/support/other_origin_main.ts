/**
 * A server of another user on this host: it serves a page that attacks the map
 * at the origin in the first argument, and prints the cookies that browsers
 * send it, a line of JSON each, after its own port.
 */
const [target = ""] = Deno.args;

const PAGE = `<!doctype html><html lang="en"><title>other</title>
<a href="${target}/#/events">the map</a><pre id="log"></pre><script type="module">
const target = ${JSON.stringify(target)};
const call = target + "/stellar.net.v1.ClusterService/GetOverview";
const lines = [];
const attempt = async (name, tryIt) => {
  lines.push(name + ": " + await tryIt().catch((error) => "failed, " + error.name));
};
const json = { "content-type": "application/json" };
const read = async (url, init) => {
  const answer = await fetch(url, { credentials: "include", ...init });
  return answer.type + " " + answer.status + " " + await answer.text();
};
const load = (name, fields) => new Promise((resolve) => {
  const element = Object.assign(document.createElement(name), fields);
  element.onload = () => resolve("loaded");
  element.onerror = () => resolve("failed");
  document.body.append(element);
});
await attempt("call", () => read(call, { method: "POST", headers: json, body: "{}" }));
await attempt("blind call", () => read(call, { method: "POST", mode: "no-cors", body: "{}" }));
await attempt("page", () => read(target + "/"));
await attempt("script", () => load("script", { src: target + "/page.js" }));
await attempt("frame", async () => {
  const frame = document.createElement("iframe");
  frame.src = target + "/";
  document.body.append(frame);
  await new Promise((resolve) => frame.onload = resolve);
  return frame.contentDocument ? "readable" : "unreadable";
});
document.getElementById("log").textContent = lines.join("\\n");
document.title = "done";
</script>`;

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(JSON.stringify({ port })),
}, (request) => {
  const cookie = request.headers.get("cookie");
  if (cookie !== null) console.log(JSON.stringify({ cookie }));
  return new Response(PAGE, { headers: { "content-type": "text/html" } });
});
