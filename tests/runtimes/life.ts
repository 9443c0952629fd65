/**
 * A runtime on a virtual clock for the watch: what it does when it is asked or connected to is set by hand or by chance,
 * and all that the watch does is written down.
 */
import { type Adapter, type Feed, type Look, type LookRole, READ, type Read } from "../../src/runtimes/adapter.ts";
import { LOADED_MODEL, type ModelReading, NO_FIGURES } from "../../src/runtimes/reading.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { watchSettings } from "../../src/runtimes/settings.ts";
import type { RuntimeState } from "../../src/base/runtime-terms.ts";
import { type FailedAsk, Watch } from "../../src/runtimes/watch.ts";

/** What comes of an ask. */
export type Outcome =
  | { readonly kind: "answer"; readonly read: Read; readonly tookMs: number }
  | { readonly kind: "fail"; readonly why: FailedAsk; readonly tookMs: number }
  | { readonly kind: "refuse" };

export const fine: Outcome = { kind: "answer", read: READ, tookMs: 5 };
export const refuse: Outcome = { kind: "refuse" };
export const hang: Outcome = { kind: "fail", why: "timeout", tookMs: 1000 };
export const broken: Outcome = { kind: "fail", why: "broken", tookMs: 1 };

export function say(kind: Exclude<Read, { ok: true }>["kind"], message = kind as string): Outcome {
  return { kind: "answer", read: { ok: false, kind, message }, tookMs: 5 };
}

const EMPTY = { status: 200, contentType: "", body: new Uint8Array(0) };

export function looksOf(...roles: readonly LookRole[]): Look[] {
  return roles.map((role) => ({ name: role, role, ask: { method: "GET", port: "api", path: `/${role}` } }));
}

export class Life {
  nowMs = 0;
  /** What an ask comes to, by its role. */
  outcome: (role: LookRole) => Outcome = () => fine;
  listens = true;
  models: readonly ModelReading[] = [];
  readonly marks = { models: 0, loads: 0, process: 0 };
  restarts = 0;
  readonly asked: { readonly role: LookRole | "feed"; readonly atMs: number }[] = [];
  readonly states: { readonly state: RuntimeState; readonly atMs: number }[] = [];
  connects = 0;
  changes = 0;
  readonly watch: Watch;
  #read: Read = READ;
  #ends: { readonly atMs: number; readonly run: () => void } | undefined;
  #connectEndsAtMs = Infinity;
  #wakeAtMs = 0;

  /** What is to be asked; it may be changed. */
  readonly wanted: { looks: readonly Look[]; feed?: Feed };
  /** It is read. */
  isFed = false;

  constructor(looks: readonly Look[] = looksOf("identity", "health", "models", "metrics", "detail")) {
    this.wanted = { looks };
    const { marks, wanted } = this;
    const adapter: Adapter = {
      kind: "generic",
      get looks() {
        return wanted.looks;
      },
      get feed() {
        return wanted.feed;
      },
      get modelsMark() {
        return marks.models;
      },
      get loadsMark() {
        return marks.loads;
      },
      get processMark() {
        return marks.process;
      },
      answered: () => this.#read,
      reading: () => ({ version: "", models: this.models, figures: NO_FIGURES, figuresAtMs: undefined }),
      restarted: () => void this.restarts++,
    };
    this.watch = new Watch(adapter, defaultsOf(watchSettings), 0);
  }

  get state(): RuntimeState {
    return this.watch.status.state;
  }

  get isAsking(): boolean {
    return this.#ends !== undefined;
  }

  rolesSince(atMs: number): (LookRole | "feed")[] {
    return this.asked.filter((ask) => ask.atMs >= atMs).map(({ role }) => role);
  }

  countSince(atMs: number, role: LookRole | "feed"): number {
    return this.rolesSince(atMs).filter((each) => each === role).length;
  }

  /** Lets time pass, with all that falls due in it. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (let steps = 0; ; steps++) {
      if (steps > 20_000 + ms) throw new Error("the watch never rests");
      const atMs = Math.min(this.#wakeAtMs, this.#ends?.atMs ?? Infinity, this.#connectEndsAtMs);
      if (atMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, atMs);
      this.#step();
    }
    this.nowMs = endMs;
  }

  /** Something happened by itself. */
  happens(event: (watch: Watch, nowMs: number) => void): void {
    event(this.watch, this.nowMs);
    this.#taken();
  }

  /** The process is gone: connections end, and nobody listens. */
  die(): void {
    this.listens = false;
    this.outcome = () => refuse;
    if (this.#ends !== undefined) this.#ends = { atMs: this.nowMs, run: () => this.watch.refused("reset", this.nowMs) };
    this.happens((watch, nowMs) => watch.closed(nowMs));
  }

  start(): void {
    this.listens = true;
    this.outcome = () => fine;
  }

  #step(): void {
    if (this.#connectEndsAtMs <= this.nowMs) {
      this.#connectEndsAtMs = Infinity;
      if (this.listens) this.watch.connected(this.nowMs);
      else this.watch.refused("ECONNREFUSED", this.nowMs);
    } else if (this.#ends !== undefined && this.#ends.atMs <= this.nowMs) {
      const { run } = this.#ends;
      this.#ends = undefined;
      run();
    } else this.watch.wake(this.nowMs);
    this.#taken();
  }

  #taken(): void {
    const { asks, connect, feed, changed, wakeAtMs } = this.watch.take();
    if (wakeAtMs < this.nowMs) throw new Error(`to be woken at ${wakeAtMs}, which is before ${this.nowMs}`);
    this.#wakeAtMs = wakeAtMs;
    if (changed) this.changes++;
    if (this.states.at(-1)?.state !== this.state) this.states.push({ state: this.state, atMs: this.nowMs });
    if (feed !== undefined) {
      if (this.isFed) throw new Error("its feed is asked for while it is read");
      this.isFed = true;
      this.asked.push({ role: "feed", atMs: this.nowMs });
    }
    if (connect) {
      this.connects++;
      this.#connectEndsAtMs = this.nowMs + 1;
    }
    for (const look of asks) {
      if (this.#ends !== undefined) throw new Error(`${look.name} is asked while another ask is under way`);
      this.asked.push({ role: look.role, atMs: this.nowMs });
      this.#begin(look);
    }
  }

  #begin(look: Look): void {
    const outcome = this.outcome(look.role);
    const tookMs = outcome.kind === "refuse" ? 1 : outcome.tookMs;
    const run = () => {
      if (outcome.kind === "refuse") this.watch.refused("ECONNREFUSED", this.nowMs);
      else if (outcome.kind === "fail") this.watch.failed(look, outcome.why, `${look.name} ${outcome.why}`, this.nowMs);
      else {
        this.#read = outcome.read;
        this.watch.answered(look, EMPTY, this.nowMs, tookMs);
      }
    };
    this.#ends = { atMs: this.nowMs + tookMs, run };
  }
}

export function model(name: string, state: ModelReading["state"] = "loaded"): ModelReading {
  return {
    model: name,
    ...LOADED_MODEL,
    state,
  };
}
