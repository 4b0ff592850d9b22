import { curlTlsArgs } from "../support/stellar_clients.ts";
import type { Namespace } from "../support/namespace.ts";
import { run } from "../support/run.ts";
import type { Line, Outcome, Plan, Situation } from "./plan.ts";

/** Makes the calls of a plan with curl and JSON. */
export async function* runCurl(
  plan: Plan,
  { within }: Namespace,
  words: readonly string[],
): AsyncGenerator<Line> {
  for (const situation of plan.situations) {
    const outcome = await callWithCurl(plan, situation, [...within, ...words]);
    yield { name: situation.name, outcome };
  }
}

async function callWithCurl(
  plan: Plan,
  situation: Situation,
  [command, ...words]: readonly string[],
): Promise<Outcome> {
  const { as, call, request = {}, raw, cancelAfterMs } = situation;
  const { timeoutMs = 20_000, pauseMs = 0 } = situation;
  const isPlain = as === "plain";
  const url = isPlain ? `http://${plan.plain}` : `https://${plan.tls}`;
  const body = raw === undefined
    ? JSON.stringify(request)
    : new TextDecoder().decode(Uint8Array.fromBase64(raw));
  if (pauseMs > 0) await new Promise((done) => setTimeout(done, pauseMs));
  const { code, stdout, stderr } = await run(command!, [
    ...words,
    ...["--silent", "--show-error", "--compressed"],
    ...["--write-out", "\n%{header_json}", "--data-binary", "@-"],
    ...cancelAfterMs === undefined
      ? []
      : ["--max-time", `${(cancelAfterMs + 1) / 1000}`],
    ...isPlain ? [] : curlTlsArgs(plan.identities[as]),
    ...["--header", `content-type: application/${raw ? "proto" : "json"}`],
    ...["--header", `connect-timeout-ms: ${timeoutMs}`],
    `${url}/${call}`,
  ], { stdin: body });
  // 28: its own time was up, and it has gone.
  if (code === 28) return { code: "CANCELED" };
  if (code !== 0) return { code: "UNAVAILABLE", message: stderr };
  const end = stdout.lastIndexOf("\n{");
  return outcomeOf(stdout.slice(0, end), JSON.parse(stdout.slice(end)));
}

function outcomeOf(
  body: string,
  headers: Readonly<Record<string, readonly string[]>>,
): Outcome {
  const encoding = headers["content-encoding"]?.[0];
  const shown = encoding === undefined ? {} : { encoding };
  const answer = headers["content-type"]?.[0] === "application/json"
    ? JSON.parse(body)
    : {};
  if (answer.code === undefined || answer.details === undefined) {
    return { code: "OK", answer, ...shown };
  }
  const [info, bad] = answer.details.map((
    { debug }: { readonly debug: unknown },
  ) => debug ?? {});
  const field = bad?.fieldViolations?.[0]?.field;
  return {
    code: answer.code.toUpperCase(),
    message: answer.message,
    reason: info?.reason,
    ...field !== undefined && { field },
    ...shown,
  };
}
