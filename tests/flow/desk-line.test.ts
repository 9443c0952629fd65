/** A line between two desks, over a network that loses, doubles and delays. */
import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { DeskLine } from "../../src/flow/desk-line.ts";
import { HEAD_BYTES, WORD } from "../../src/flow/desk-words.ts";
import { SEED } from "../sim/seeded.ts";

const PACKET_BYTES = 200;
const EVERY_MS = 50;

const SEEDS = Array.from({ length: 20 }, (_, at) => SEED + at);

/** Two lines, each to the other. */
class Pair {
  readonly lines: [DeskLine, DeskLine];
  readonly heard: [number[], number[]] = [[], []];
  /** How often each heard that all is void. */
  readonly anew = [0, 0];
  readonly #way: { readonly atMs: number; readonly to: 0 | 1; readonly packet: Uint8Array }[] = [];
  readonly #prng: Prng;
  loss: number;
  packets = 0;
  nowMs = 0;

  constructor(seed: number, loss = 0) {
    this.#prng = new Prng(seed);
    this.loss = loss;
    this.lines = [new DeskLine(100, PACKET_BYTES), new DeskLine(200, PACKET_BYTES)];
  }

  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 1) {
      for (const to of [0, 1] as const) {
        for (const packet of this.lines[1 - to]!.take(this.nowMs, true, EVERY_MS)) {
          this.packets += 1;
          const copies = this.#prng.next() < this.loss / 4 ? 2 : 1;
          for (let copy = 0; copy < copies; copy += 1) {
            if (this.#prng.next() < this.loss) continue;
            this.#way.push({ atMs: this.nowMs + this.#prng.int(4), to, packet });
          }
        }
      }
      for (let at = 0; at < this.#way.length;) {
        const { atMs, to, packet } = this.#way[at]!;
        if (atMs > this.nowMs) at += 1;
        else {
          this.#way.splice(at, 1);
          const { words, hasBegunAnew } = this.lines[to].hear(packet, this.nowMs);
          if (hasBegunAnew) {
            this.anew[to]! += 1;
            this.heard[to].length = 0;
          }
          for (const word of words) if (word.word === WORD.over) this.heard[to].push(word.id);
        }
      }
    }
  }

  say(from: 0 | 1, first: number, count: number): void {
    for (let id = first; id < first + count; id += 1) this.lines[from].say({ word: WORD.over, id });
  }
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at + 1);
}

describe("a line between desks", () => {
  test("is open once both have heard each other, and then says little", () => {
    const pair = new Pair(1);
    expect(pair.lines.map(({ isOpen }) => isOpen)).toEqual([false, false]);
    pair.run(20);
    expect(pair.lines.map(({ isOpen }) => isOpen)).toEqual([true, true]);
    expect(pair.lines[0].peerDecides).toBe(true);
    pair.packets = 0;
    pair.run(1000);
    // A sign of life each.
    expect(pair.packets).toBeLessThanOrEqual(2 * (1000 / EVERY_MS + 1));
    expect(pair.lines[0].isUnheard).toBe(false);
  });

  test.each(SEEDS)("SEED=%d: words come once and in order, whatever the network does", (seed) => {
    const pair = new Pair(seed, 0.3);
    pair.run(500);
    for (let round = 0; round < 20; round += 1) {
      pair.say(0, round * 30 + 1, 30);
      pair.say(1, round * 10 + 1, 10);
      pair.run(10);
    }
    pair.run(10_000);
    expect(pair.heard).toEqual([upTo(200), upTo(600)]);
    expect(pair.anew).toEqual([0, 0]);
    expect(pair.lines.map(({ isUnheard }) => isUnheard)).toEqual([false, false]);
  });

  test.each(SEEDS)("SEED=%d: when one begins anew the other does, and nothing of before is heard", (seed) => {
    const pair = new Pair(seed, 0.2);
    pair.run(500);
    pair.say(0, 1, 100);
    pair.say(1, 1, 100);
    pair.run(3);
    pair.lines[0].beginAnew();
    pair.heard[0].length = 0;
    expect(() => pair.lines[0].say({ word: WORD.over, id: 1 })).toThrow();
    pair.run(2000);
    expect(pair.lines.map(({ isOpen }) => isOpen)).toEqual([true, true]);
    expect(pair.anew).toEqual([0, 1]);
    expect(pair.heard).toEqual([[], []]);
    pair.say(0, 1, 5);
    pair.say(1, 1, 7);
    pair.run(2000);
    expect(pair.heard).toEqual([upTo(7), upTo(5)]);
  });

  test("a process that takes the other's place is told from it, and one of before is not heard", () => {
    const pair = new Pair(3);
    pair.run(20);
    pair.say(0, 1, 3);
    pair.run(5);
    const before = pair.lines[1].take(pair.nowMs + EVERY_MS, true, EVERY_MS);
    pair.lines[1] = new DeskLine(300, PACKET_BYTES);
    pair.heard[1].length = 0;
    pair.run(50);
    expect(pair.anew[0]).toBe(1);
    expect(pair.lines.map(({ isOpen }) => isOpen)).toEqual([true, true]);
    for (const packet of before) pair.lines[0].hear(packet, pair.nowMs);
    expect(pair.lines[0].isOpen).toBe(true);
    // One whose clock was set back is heard when the other has been forgotten.
    pair.lines[1] = new DeskLine(50, PACKET_BYTES);
    pair.run(100);
    expect(pair.lines[1].isOpen).toBe(false);
    pair.lines[0].beginAnew();
    pair.lines[0].forgetPeer();
    pair.run(200);
    expect(pair.lines.map(({ isOpen }) => isOpen)).toEqual([true, true]);
  });

  test("begins anew when what is said can't be read, and says that it is full", () => {
    const pair = new Pair(4);
    pair.run(20);
    pair.say(1, 1, 1);
    const [packet] = pair.lines[1].take(pair.nowMs, true, EVERY_MS);
    const garbled = packet!.slice();
    garbled[HEAD_BYTES] = 99;
    expect(pair.lines[0].hear(garbled, pair.nowMs)).toEqual({ words: [], hasBegunAnew: true, isMalformed: true });
    expect(pair.lines[0].isOpen).toBe(false);
    expect(pair.lines[0].hear(Uint8Array.of(1, 2, 3), pair.nowMs).isMalformed).toBe(true);
    pair.run(200);
    expect(pair.lines[0].isOpen).toBe(true);

    pair.loss = 1;
    expect(pair.lines[0].isFull).toBe(false);
    for (let id = 1; !pair.lines[0].isFull; id += 1) pair.lines[0].say({ word: WORD.over, id });
    const packets = pair.packets;
    pair.run(100);
    // So many on their way, and of them few again and again.
    expect(pair.packets - packets).toBeLessThan(64 + 8 * 6);
  });
});
