/** How much a ring keeps. */
export interface LogRingLimits {
  readonly maxLines: number;
  /** Characters of all lines together. */
  readonly maxChars: number;
  /** Characters of one line: a longer one is cut. */
  readonly maxLineChars: number;
}

/** The last lines of a log. It never grows beyond its limits. */
export class LogRing {
  readonly #limits: LogRingLimits;
  readonly #lines: string[] = [];
  #chars = 0;

  constructor(
    limits: LogRingLimits = {
      maxLines: 2_000,
      maxChars: 512 * 1024,
      maxLineChars: 4_096,
    },
  ) {
    this.#limits = limits;
  }

  /** The lines, the oldest first. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Adds a line, with or without its newline. */
  add(text: string): void {
    const { maxLines, maxChars, maxLineChars } = this.#limits;
    // A copy: a part of a long text would keep all of it.
    const line = structuredClone(text.trimEnd().slice(0, maxLineChars));
    this.#lines.push(line);
    this.#chars += line.length;
    while (this.#lines.length > maxLines || this.#chars > maxChars) {
      this.#chars -= this.#lines.shift()!.length;
    }
  }
}
