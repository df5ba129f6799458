const windowSize = 10;
const callsMin = 5;
const failureShare = 0.5;
const openMs = 10_000;

/** Stops calls to whom most of them fail, and lets one through now and then to see. */
export class Breaker {
  #results: boolean[] = [];
  #openUntil = 0;
  #isTrying = false;

  /** Whether a call may be made now. */
  allows(now: number): boolean {
    if (this.#openUntil === 0) return true;
    if (now < this.#openUntil || this.#isTrying) return false;
    this.#isTrying = true;
    return true;
  }

  record(hasFailed: boolean, now: number): void {
    if (this.#isTrying) {
      this.#isTrying = false;
      this.#results = [];
      this.#openUntil = hasFailed ? now + openMs : 0;
      return;
    }
    this.#results.push(hasFailed);
    if (this.#results.length > windowSize) this.#results.shift();
    const failures = this.#results.filter((failed) => failed).length;
    if (this.#results.length >= callsMin && failures >= this.#results.length * failureShare)
      this.#openUntil = now + openMs;
  }
}
