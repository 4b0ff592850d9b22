/** Replaces `performance.now`: time passes only where a test says so. */
export class SteadyClock implements Disposable {
  nowMs = 0;

  constructor() {
    performance.now = () => this.nowMs;
  }

  [Symbol.dispose](): void {
    // The prototype's comes back.
    Reflect.deleteProperty(performance, "now");
  }
}
