/** The counts in the last line of `deno test`. */
export interface TestSummary {
  readonly passed: number;
  readonly steps: number;
  readonly failed: number;
  readonly ignored: number;
  readonly filteredOut: number;
}

/** A test, with the time that it took. */
export interface TimedTest {
  readonly name: string;
  readonly seconds: number;
}

const NONE: TestSummary = {
  passed: 0,
  steps: 0,
  failed: 0,
  ignored: 0,
  filteredOut: 0,
};

/**
 * Reads the counts from the output of one `deno test`, without colours. Output
 * without a summary, or a failure that the summary does not count, is one
 * failed test.
 */
export function readSummary(output: string, exitCode: number): TestSummary {
  const line = output.match(/^(?:ok|FAILED) \| \d+ passed.*$/gm)?.at(-1);
  const count = (pattern: RegExp) => Number(pattern.exec(line ?? "")?.[1] ?? 0);
  const summary = {
    passed: count(/(\d+) passed/),
    steps: count(/\d+ passed \((\d+) steps?\)/),
    failed: count(/(\d+) failed/),
    ignored: count(/(\d+) ignored/),
    filteredOut: count(/(\d+) filtered out/),
  };
  const isUncounted = line === undefined ||
    (exitCode !== 0 && summary.failed === 0);
  return isUncounted ? { ...summary, failed: summary.failed + 1 } : summary;
}

/** Adds up the counts of several runs. */
export function addSummaries(summaries: readonly TestSummary[]): TestSummary {
  return summaries.reduce((sum, more) => ({
    passed: sum.passed + more.passed,
    steps: sum.steps + more.steps,
    failed: sum.failed + more.failed,
    ignored: sum.ignored + more.ignored,
    filteredOut: sum.filteredOut + more.filteredOut,
  }), NONE);
}

/** Formats counts as `deno test` does, so that one pattern reads both. */
export function formatSummary(summary: TestSummary, seconds: number): string {
  const { passed, steps, failed, ignored, filteredOut } = summary;
  return [
    failed === 0 ? "ok" : "FAILED",
    `${passed} passed (${steps} steps)`,
    `${failed} failed`,
    ...ignored === 0 ? [] : [`${ignored} ignored`],
    ...filteredOut === 0 ? [] : [`${filteredOut} filtered out`],
  ].join(" | ") + ` (${formatSeconds(seconds)})`;
}

/** Reads the names of failed tests, with their places, from the end of the output. */
export function readFailures(output: string): string[] {
  const list = output.split(/^ FAILURES $/m)[1] ?? "";
  return list.match(/^.+ => \.\/.*:\d+:\d+$|^\.\/\S+ \(uncaught error\)$/gm) ??
    [];
}

/** Reads the name of the test that was running when its process was killed; undefined: none was. */
export function readHung(output: string): string | undefined {
  const lines = output.split("\n").map((line) => line.trimEnd());
  const starts = lines.filter((line) => /^\S.* \.\.\.$/.test(line));
  return starts.findLast((start) =>
    !lines.some((line) => line.startsWith(`${start} `))
  )?.slice(0, -" ...".length);
}

/** Reads the time of each test that passed. Steps are left out. */
export function readTimes(output: string): TimedTest[] {
  return [...output.matchAll(
    /^(\S.*) \.\.\. (?:ok|FAILED).*\((?:(\d+)m)?(\d+)(m?s)\)$/gm,
  )].map(([, name, minutes, amount, unit]) => ({
    name: name!,
    seconds: Number(minutes ?? 0) * 60 +
      Number(amount) / (unit === "ms" ? 1000 : 1),
  }));
}

/** Formats a time as `deno test` does: `59s`, `3m4s`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}m${whole % 60}s`;
}
