/**
 * How much of what costs us and brings the peer nothing a connection may do: a bucket of tokens that fills with time
 * and with useful work. An honest peer never sees its bottom; one that floods does within a second, and its connection
 * ends with ENHANCE_YOUR_CALM (RFC 9113 section 10.5; CVE-2019-9511 to 9518, CVE-2023-44487).
 */
export class Http2Budget {
  readonly #max: number;
  readonly #perMs: number;
  #tokens: number;
  #atMs = 0;

  constructor(max: number, perSecond: number) {
    this.#max = max;
    this.#perMs = perSecond / 1000;
    this.#tokens = max;
  }

  /** Useful work was done. */
  earn(tokens: number): void {
    if (this.#tokens < this.#max) this.#tokens += tokens;
  }

  /** Takes tokens; false when there are none left. */
  spend(tokens: number, nowMs: number): boolean {
    const passedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (passedMs > 0) this.#tokens = Math.min(this.#max, this.#tokens + passedMs * this.#perMs);
    this.#tokens -= tokens;
    return this.#tokens >= 0;
  }
}
