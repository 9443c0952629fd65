/** How long things take from router to node and back this time, and which router a request comes to. */
import { Prng } from "../base/prng.ts";
import type { Arrival } from "./arrival.ts";
import { ownerOf } from "./knowledge.ts";
import type { WorldSpec } from "./world-spec.ts";

/** What samples may tell later than what routers say to each other. */
const TOLD_LATER_MS = 10;

export class Ways {
  readonly #spec: WorldSpec;
  readonly #jitter: Prng;

  constructor(spec: WorldSpec, seed: number) {
    this.#spec = spec;
    this.#jitter = new Prng(seed);
  }

  /** How many routers let one of them decide; 0: each decides alone. */
  get deciding(): number {
    const { routers, deskMs, ownerBlock } = this.#spec;
    return deskMs === undefined || ownerBlock !== undefined ? 0 : routers;
  }

  /** How old what routers know of each other's load may be. */
  get toldMs(): number {
    return this.#spec.sampleEveryMs + this.#spec.sampleDelayMs + TOLD_LATER_MS;
  }

  /** Where prompts are owned, every way goes by their owner, which is so far from a client. */
  get ownerMs(): number {
    const { ownerBlock, deskMs = 0 } = this.#spec;
    return ownerBlock === undefined ? 0 : deskMs;
  }

  /** By its place, the router that the request of that number comes to. */
  routerOf(id: number, { hashes }: Arrival): number {
    const { routers, ownerBlock } = this.#spec;
    return ownerBlock === undefined ? id % routers : ownerOf(hashes, { routers, ownerBlock });
  }

  /** From a router, `networkMs` away, to a node or back. */
  ms(networkMs: number): number {
    const { jitterMs = 0 } = this.#spec;
    return networkMs + this.ownerMs + (jitterMs === 0 ? 0 : this.#jitter.exponential(jitterMs));
  }
}
