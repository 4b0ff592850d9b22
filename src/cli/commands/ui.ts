import type { CommandSpec } from "../framework/call.ts";
import type { Flag } from "../framework/flag.ts";
import { parseInteger } from "../framework/parsers.ts";
import { JSON_OUTPUT, TARGET_FLAGS, TIMEOUT } from "../framework/target.ts";

const PORT: Flag<number> = {
  name: "port",
  value: "N",
  description: "port on 127.0.0.1 for the map",
  defaultNote: "a free one",
  parse: parseInteger(1, 65_535),
};

export const UI: CommandSpec = {
  name: "ui",
  summary: "Serve a live map of the cluster to a browser on this host",
  action: "serve the map",
  flags: [PORT, ...TARGET_FLAGS, JSON_OUTPUT, TIMEOUT],
  examples: [
    "stellar-net ui",
    "stellar-net ui --port 8080",
    "stellar-net ui --identity ~/.stellar-net --url https://192.0.2.1:9000",
  ],
  run: async (call) => {
    const { io } = call;
    const map = await io.serveMap(call.target, {
      port: call.value(PORT),
      timeoutMs: call.value(TIMEOUT),
      note: (line) => call.note(line),
    });
    const { link, port } = map;
    call.answer({ link, port }, [link]);
    call.note(
      "Open this link in a browser: it works once, and ends with this command (Ctrl-C)",
    );
    call.note(
      `For a browser on another host, run there first: ssh -L ${port}:127.0.0.1:${port} ${io.hostname()}`,
    );
    await map.ended;
  },
};
