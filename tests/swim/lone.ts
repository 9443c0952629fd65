/** One member, or a few, driven by hand. */
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { SwimEvent, SwimSelf } from "../../src/swim/event.ts";
import { type SwimConfig, swimSettings } from "../../src/swim/settings.ts";
import { Swim } from "../../src/swim/swim.ts";

export const START_MS = 1_000_000;
export const DEFAULTS: SwimConfig = defaultsOf(swimSettings);

export function selfOf(index: number, other: Partial<SwimSelf> = {}): SwimSelf {
  const meta = new Uint8Array([index]);
  const address = `10.0.0.${index}:7946`;
  return { cluster: "test", id: `n${index}`, address, identity: index + 1, incarnation: 100, meta, ...other };
}

/** Members that reach each other at once, all packets and streams delivered in order. */
export class Circle {
  readonly swims = new Map<string, Swim>();
  readonly wakes = new Map<string, number>();
  readonly silent = new Set<string>();
  readonly events: (SwimEvent & { at: string })[] = [];
  nowMs = START_MS;
  readonly config: SwimConfig;

  constructor(count: number, config: Partial<SwimConfig> = {}) {
    this.config = { ...DEFAULTS, ...config };
    for (let index = 0; index < count; index += 1) this.start(selfOf(index), index === 0 ? [] : [selfOf(0).address]);
  }

  start(self: SwimSelf, join: readonly string[]): Swim {
    const swim = new Swim(this.config, self, new Prng(self.identity + this.swims.size), this.nowMs);
    this.swims.set(self.address, swim);
    swim.join(join, this.nowMs);
    this.drain(self.address);
    return swim;
  }

  swim(index: number): Swim {
    return this.swims.get(selfOf(index).address)!;
  }

  drain(address: string): void {
    const swim = this.swims.get(address)!;
    const { sends, streams, events, wakeAtMs } = swim.take();
    this.wakes.set(address, wakeAtMs);
    for (const event of events) this.events.push({ ...event, at: address });
    for (const { to, packet } of sends) {
      const target = this.silent.has(address) || this.silent.has(to) ? undefined : this.swims.get(to);
      if (target === undefined) continue;
      target.receive(address, packet, this.nowMs);
      this.drain(to);
    }
    for (const { id, to, frame } of streams) {
      const target = this.silent.has(address) || this.silent.has(to) ? undefined : this.swims.get(to);
      const answer = target?.answer(frame, this.nowMs);
      if (target !== undefined) this.drain(to);
      swim.streamed(id, answer, this.nowMs);
      this.drain(address);
    }
  }

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      let nextMs = endMs;
      let next = "";
      for (const [address, wakeAtMs] of this.wakes) {
        if (this.silent.has(address) || wakeAtMs >= nextMs) continue;
        nextMs = wakeAtMs;
        next = address;
      }
      this.nowMs = Math.max(this.nowMs, nextMs);
      if (next === "") return;
      this.swims.get(next)!.wake(this.nowMs);
      this.drain(next);
    }
  }

  told(kind: SwimEvent["kind"], id: string): string[] {
    return this.events.filter((event) => event.kind === kind && event.id === id).map((event) => event.at);
  }
}
