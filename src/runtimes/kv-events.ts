/**
 * Where a server publishes its KV cache events, by what it tells of its own configuration: SGLang as the text of its
 * `--kv-events-config`, vLLM in development mode as an object; the names are the same.
 */
import { jsonIn, memberAt, textAt } from "./json-answer.ts";
import type { KvEventsTold } from "./reading.ts";

/** Where rank 0 publishes where nothing is said. */
const ENDPOINT = "tcp://*:5557";
const RANKS_MAX = 64;
const CHARS_MAX = 1024;

/** Undefined where none are published, as far as is told. */
export function kvEventsIn(told: unknown, ranks: number | undefined): KvEventsTold | undefined {
  const config = typeof told === "string" ? jsonIn(told) : told;
  if (config === null || typeof config !== "object") return undefined;
  const publisher = memberAt(config, "publisher") ?? null;
  const isOn = publisher === "zmq" || (publisher === null && memberAt(config, "enable_kv_cache_events") === true);
  if (!isOn) return undefined;
  const text = (name: string): string => textAt(config, name).slice(0, CHARS_MAX);
  return {
    endpoint: text("endpoint") || ENDPOINT,
    replayEndpoint: text("replay_endpoint"),
    topic: text("topic"),
    ranks: Math.min(RANKS_MAX, Math.max(1, Math.floor(ranks ?? 1))),
  };
}
