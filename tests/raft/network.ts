/** Links between the simulated members: late, lossy, doubling, cut in one direction or both. */
import type { Prng } from "../../src/base/prng.ts";
import { decodeMessage, encodeMessage } from "../../src/raft/codec.ts";
import type { Member } from "../../src/raft/entry.ts";
import type { Message } from "../../src/raft/message.ts";
import { must } from "./oracle.ts";
import type { Scenario } from "./scenario.ts";

const STRAGGLER_MS = 150;

export class Network {
  messages = 0;
  /** While faults happen it loses, doubles and holds back. */
  isFaulty = true;
  readonly #prng: Prng;
  readonly #scenario: Scenario;
  readonly #after: (ms: number, run: () => void) => void;
  readonly #deliver: (message: Message) => void;
  readonly #cut = new Set<number>();

  constructor(
    prng: Prng,
    scenario: Scenario,
    after: (ms: number, run: () => void) => void,
    deliver: (message: Message) => void,
  ) {
    this.#prng = prng;
    this.#scenario = scenario;
    this.#after = after;
    this.#deliver = deliver;
  }

  send(message: Message): void {
    this.messages += 1;
    if (this.#cut.size > 0 && this.#cut.has(message.from * 256 + message.to)) return;
    const { loss, duplication } = this.#scenario;
    if (!this.isFaulty) {
      this.#carry(message);
      return;
    }
    if (loss > 0 && this.#prng.next() < loss) return;
    this.#carry(message);
    if (duplication > 0 && this.#prng.next() < duplication) this.#carry(message);
  }

  #carry(message: Message): void {
    const { delayMs, straggling, encoded } = this.#scenario;
    let ms = delayMs * (0.5 + this.#prng.next());
    if (this.isFaulty && straggling > 0 && this.#prng.next() < straggling) ms += this.#prng.exponential(STRAGGLER_MS);
    const packet = encoded ? encodeMessage(message) : undefined;
    this.#after(ms, () => {
      const carried = packet === undefined ? message : decodeMessage(packet);
      must(carried !== undefined, () => `the codec does not read ${JSON.stringify(message)}`);
      this.#deliver(carried);
    });
  }

  heal(): void {
    this.#cut.clear();
  }

  isolate(one: Member, members: readonly Member[]): void {
    this.heal();
    for (const other of members) {
      this.#cut.add(one * 256 + other);
      this.#cut.add(other * 256 + one);
    }
  }

  /** Some way or other of not reaching one another. */
  partition(members: readonly Member[], one: Member): void {
    this.heal();
    const prng = this.#prng;
    const cut = (from: Member, to: Member): void => void this.#cut.add(from * 256 + to);
    const kind = Math.max(prng.int(7) - 2, 0);
    for (const a of members) {
      for (const b of members) {
        if (a === b) continue;
        // One alone; one that only speaks, or only hears; halves; single directions; a ring that lacks links.
        if (kind === 0 && (a === one || b === one)) cut(a, b);
        else if (kind === 1 && a === one) cut(a, b);
        else if (kind === 2 && (a ^ one) % 2 !== (b ^ one) % 2) cut(a, b);
        else if (kind === 3 && prng.next() < 0.3) cut(a, b);
        else if (kind === 4 && a < b && prng.next() < 0.4) {
          cut(a, b);
          cut(b, a);
        }
      }
    }
  }
}
