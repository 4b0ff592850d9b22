/** A variable of the agent's environment and its value. */
export type Variables = ReadonlyMap<string, string>;

const LINE = /^[ \t]*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/;
/** Characters without a special meaning to a shell and to systemd. */
const PLAIN = /^[A-Za-z0-9_.,:/@%+[\]-]*$/;

/**
 * Parses an environment file in the syntax that both systemd (`EnvironmentFile=`
 * in systemd.exec(5)) and shells read. The last line of a variable counts.
 */
export function parseEnvironment(text: string): Map<string, string> {
  const variables = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, name, value] = LINE.exec(line) ?? [];
    if (name !== undefined) variables.set(name, unquote(value!));
  }
  return variables;
}

/**
 * Sets variables in the text of an environment file. All other lines stay as
 * they are, comments included.
 */
export function setVariables(text: string, values: Variables): string {
  const current = parseEnvironment(text);
  const changed = new Map(
    [...values].filter(([name, value]) => current.get(name) !== value),
  );
  if (changed.size === 0) return text;
  const missing = new Map(changed);
  const lines: string[] = [];
  for (const line of text === "" ? [] : text.replace(/\n$/, "").split("\n")) {
    const name = LINE.exec(line)?.[1];
    if (name === undefined || !changed.has(name)) lines.push(line);
    // Replaces the first line of the variable, and drops the others.
    else if (missing.delete(name)) {
      lines.push(formatLine(name, changed.get(name)!));
    }
  }
  for (const [name, value] of missing) lines.push(formatLine(name, value));
  return lines.map((line) => `${line}\n`).join("");
}

function formatLine(name: string, value: string): string {
  return PLAIN.test(value)
    ? `${name}=${value}`
    : `${name}="${value.replaceAll(/["\\$`]/g, "\\$&")}"`;
}

function unquote(text: string): string {
  const trimmed = text.trim();
  const single = /^'([^']*)'$/.exec(trimmed);
  if (single) return single[1]!;
  const double = /^"((?:[^"\\]|\\.)*)"$/.exec(trimmed);
  if (double) return double[1]!.replaceAll(/\\(["\\$`])/g, "$1");
  return trimmed.replaceAll(/\\(.)/g, "$1");
}
