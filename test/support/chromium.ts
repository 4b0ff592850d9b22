import axe from "axe-core";
import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";
import { execArgs } from "../lab/netns.ts";

const CHROMIUM = "/usr/bin/chromium";

/** The browser asks nobody for anything by itself. */
const ARGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update"],
  ...["--disable-sync", "--no-proxy-server"],
];

/** How long a step in the browser may take on a busy machine, in ms. */
const TIMEOUT_MS = 60_000;

export interface ChromiumOptions {
  /** The network namespace that it runs in. Default: this process's. */
  readonly netns?: string;
  /** Flags besides the usual ones. */
  readonly args?: readonly string[];
}

/** Debian's Chromium, without a window. Disposing of it ends it. */
export class Chromium implements AsyncDisposable {
  readonly #browser: Browser;
  readonly #dir: string;

  private constructor(browser: Browser, dir: string) {
    this.#browser = browser;
    this.#dir = dir;
  }

  static async start(
    { netns, args = [] }: ChromiumOptions = {},
  ): Promise<Chromium> {
    const dir = await Deno.makeTempDir({ prefix: "stellar-net-" });
    let executablePath = CHROMIUM;
    if (netns !== undefined) {
      executablePath = `${dir}/chromium`;
      const line = ["ip", ...execArgs(netns, [CHROMIUM])].join(" ");
      const script = `#!/bin/sh\nexec ${line} "$@"\n`;
      await Deno.writeTextFile(executablePath, script, { mode: 0o755 });
    }
    try {
      const browser = await chromium.launch({
        executablePath,
        args: [...ARGS, ...args],
        timeout: TIMEOUT_MS,
      });
      return new Chromium(browser, dir);
    } catch (error) {
      await Deno.remove(dir, { recursive: true });
      throw error;
    }
  }

  /** Opens an empty tab for a user of its own, who has no cookies. */
  async open(options: BrowserContextOptions = {}): Promise<Tab> {
    const context = await this.#browser.newContext(options);
    context.setDefaultTimeout(TIMEOUT_MS);
    return new Tab(await context.newPage());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    await Deno.remove(this.#dir, { recursive: true });
  }
}

/** What axe found wrong with a page. */
export interface Violation {
  /** Name of axe's rule, such as "color-contrast". */
  readonly rule: string;
  readonly impact: string;
  /** The elements, as selectors, each with what is wrong. */
  readonly elements: readonly string[];
}

/** A tab whose requests and errors are recorded. */
export class Tab {
  readonly page: Page;
  /** URLs of all requests, those for inlined data left out. */
  readonly requests: string[] = [];
  /** Errors and warnings in the console, violations of the CSP among them, and exceptions that nobody caught. */
  readonly problems: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on("request", (request) => {
      if (!request.url().startsWith("data:")) this.requests.push(request.url());
    });
    page.on("console", (message) => {
      // Chromium gives up what it loads when routes of its host change.
      const isOfHost = message.text().includes("ERR_NETWORK_CHANGED");
      if (!isOfHost && /^(?:error|warning)$/.test(message.type())) {
        this.problems.push(`${message.type()}: ${message.text()}`);
      }
    });
    page.on("pageerror", (error) => this.problems.push(`${error.stack}`));
  }

  /** Requests that went to another origin than the page's. */
  get strangers(): string[] {
    const { origin } = new URL(this.page.url());
    return this.requests.filter((url) => new URL(url).origin !== origin);
  }

  /** The text that a user sees, with one space for each gap. */
  async text(selector = "body"): Promise<string> {
    const text = await this.page.locator(selector).first().innerText();
    return text.replaceAll(/\s+/g, " ");
  }

  /** Checks the page with the rules that axe has on by default: WCAG A and AA, and best practices. Returns what is serious or critical. */
  async seriousViolations(): Promise<Violation[]> {
    await this.page.evaluate(axe.source);
    const results = await this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: typeof import("axe-core");
      };
      return await axe.run({ resultTypes: ["violations"] });
    });
    return results.violations.filter(({ impact }) =>
      impact === "serious" || impact === "critical"
    ).map(({ id, impact, nodes }) => ({
      rule: id,
      impact: String(impact),
      elements: nodes.map(({ target, failureSummary = "" }) =>
        `${target.join(" ")}: ${failureSummary.replaceAll(/\s+/g, " ")}`
      ),
    }));
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}
