/** A server on a virtual clock that answers each path, and the watch that asks it. */
import { expect } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { RuntimeState } from "../../src/base/runtime-terms.ts";
import type { Answer } from "../../src/runtimes/adapter.ts";
import { watchSettings } from "../../src/runtimes/settings.ts";
import { TableAdapter } from "../../src/runtimes/table-adapter.ts";
import type { AdapterTable } from "../../src/runtimes/table.ts";
import { Watch } from "../../src/runtimes/watch.ts";
import { text } from "./replay.ts";

const TOOK_MS = 5;
const MINUTE_MAX = 60;

export class PlayedServer {
  nowMs = 0;
  /** What it answers, or what makes that. */
  paths: Record<string, Answer | (() => Answer)>;
  /** What it tells by itself. */
  hasFeed = false;
  readonly asked: { readonly path: string; readonly atMs: number }[] = [];
  readonly states = new Set<RuntimeState>();
  readonly adapter: TableAdapter;
  readonly watch: Watch;

  constructor(table: AdapterTable, paths: PlayedServer["paths"]) {
    this.paths = paths;
    this.adapter = new TableAdapter(table);
    this.watch = new Watch(this.adapter, defaultsOf(watchSettings), 0);
  }

  /** For so long, or until something holds. */
  pass(ms: number, until: () => boolean = () => false): this {
    const endMs = this.nowMs + ms;
    for (let steps = 0; steps < 10_000 + ms; steps++) {
      const { asks, connect, feed, wakeAtMs } = this.watch.take();
      this.states.add(this.watch.status.state);
      if (until()) return this;
      if (feed !== undefined) {
        this.asked.push({ path: feed.ask.path, atMs: this.nowMs });
        if (!this.hasFeed) this.watch.feedEnded(true, this.nowMs);
      }
      if (connect) this.watch.connected(this.nowMs);
      else if (asks[0] !== undefined) {
        const { path } = asks[0].ask;
        this.asked.push({ path, atMs: this.nowMs });
        const answer = this.#answer(path);
        this.nowMs += TOOK_MS;
        this.watch.answered(asks[0], answer, this.nowMs, TOOK_MS);
      } else if (feed !== undefined) continue;
      else if (wakeAtMs > endMs) break;
      else {
        this.nowMs = Math.max(this.nowMs, wakeAtMs);
        this.watch.wake(this.nowMs);
      }
    }
    this.nowMs = Math.max(this.nowMs, endMs);
    return this;
  }

  #answer(path: string): Answer {
    const answer = this.paths[path] ?? text("Not Found", 404);
    return typeof answer === "function" ? answer() : answer;
  }

  since(atMs: number): string[] {
    return this.asked.filter((ask) => ask.atMs >= atMs).map(({ path }) => path);
  }

  /** Of a path, the times between two asks since then. */
  pauses(path: string, sinceMs: number): number[] {
    const times = this.asked.filter((ask) => ask.path === path && ask.atMs >= sinceMs).map(({ atMs }) => atMs);
    return times.slice(1).map((atMs, at) => atMs - times[at]!);
  }

  /** No more than a request a second, in the mean of any minute. */
  expectBudget(): void {
    const times = this.asked.map(({ atMs }) => atMs);
    for (let at = MINUTE_MAX; at < times.length; at++) {
      expect(times[at]! - times[at - MINUTE_MAX]!).toBeGreaterThanOrEqual(60_000);
    }
  }

  get models(): Record<string, string> {
    return Object.fromEntries(
      this.watch.reading(this.nowMs).models.map(({ model, state }) => [model, state]),
    ) as Record<string, string>;
  }
}
