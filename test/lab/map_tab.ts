import assert from "node:assert/strict";
import {
  Chromium,
  type ChromiumOptions,
  type Tab,
} from "../support/chromium.ts";
import { waitFor } from "../support/wait_for.ts";
import { LabUi } from "./lab_ui.ts";
import type { LabHost } from "./lab_host.ts";

/** The views of the map. */
export const VIEWS = [
  ...["overview", "space", "host", "paths", "events", "search"],
] as const;

const TIMEOUT_MS = 60_000;

/** The map of a host in Chromium beside it. */
export class MapTab implements AsyncDisposable {
  readonly tab: Tab;
  readonly chromium: Chromium;
  readonly #map: LabUi;

  private constructor(
    { map, chromium, tab }: {
      readonly map: LabUi;
      readonly chromium: Chromium;
      readonly tab: Tab;
    },
  ) {
    this.#map = map;
    this.chromium = chromium;
    this.tab = tab;
  }

  static async open(
    host: LabHost,
    options: Omit<ChromiumOptions, "netns"> = {},
  ): Promise<MapTab> {
    const { netns } = host;
    const map = await LabUi.start(host);
    const chromium = await Chromium.start({ netns, ...options });
    const tab = await chromium.open();
    await tab.page.goto(map.link);
    // Chromium gives up what it loads when routes of its host change.
    await waitFor("the map", async () => {
      if ((await tab.text()).includes("Overview")) return true;
      await tab.page.goto(`${map.origin}/`);
      return false;
    }, { everyMs: 2_000 });
    return new MapTab({ map, chromium, tab });
  }

  /** Goes to a place, as somebody does who was sent its link. */
  async goTo(place: string): Promise<void> {
    await this.tab.page.goto(`${this.#map.origin}/#/${place}`);
  }

  /** The texts that the page does not show, whatever the gaps between words. */
  async missing(texts: readonly string[]): Promise<string[]> {
    const page = await this.tab.text();
    return texts.filter((text) => !page.includes(text.replaceAll(/\s+/g, " ")));
  }

  /** Waits until the page shows texts. @throws {Error} with those that are missing */
  shows(texts: readonly string[]): Promise<void> {
    return this.agrees(() => Promise.resolve(texts));
  }

  /**
   * Waits until the page shows the texts of an answer, which is read again each
   * time: it may change meanwhile.
   *
   * @throws {Error} with those that are missing at last
   */
  async agrees(read: () => Promise<readonly string[]>): Promise<void> {
    let missing: readonly string[] = ["anything"];
    try {
      await waitFor("the page to show it", async () => {
        const texts = await read();
        missing = texts.length === 0 ? ["a text"] : await this.missing(texts);
        return missing.length === 0;
      }, { timeoutMs: TIMEOUT_MS, everyMs: 50 });
    } catch {
      assert.deepEqual(missing, [], await this.tab.text());
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.chromium[Symbol.asyncDispose]();
    await this.#map[Symbol.asyncDispose]();
  }
}
