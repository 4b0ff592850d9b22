/** Wakes a waiting test. Several notifications that nobody waited for count as one. */
export class Notifier {
  #next = Promise.withResolvers<void>();

  notify(): void {
    this.#next.resolve();
  }

  /** Waits for a notification since the last wait. */
  async notified(): Promise<void> {
    await this.#next.promise;
    this.#next = Promise.withResolvers<void>();
  }
}
