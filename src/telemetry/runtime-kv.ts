/**
 * Where a runtime tells of its KV cache, as people write it beside the runtime: vLLM's and SGLang's `--kv-events-config`
 * says the same things by other names.
 *
 *     --runtime vllm=http://127.0.0.1:8000,kv-events=tcp://127.0.0.1:5557,kv-replay=tcp://127.0.0.1:5558,kv-ranks=4
 *
 *     runtimes:
 *       - { kind: vllm, url: http://127.0.0.1:8000, kvEvents: tcp://127.0.0.1:5557, kvReplay: tcp://127.0.0.1:5558 }
 */
import { MeshError } from "../base/errors.ts";
import { type Reading, refuse } from "../base/field.ts";
import type { KvEventsPlace } from "./kv-events.ts";
import { endpointPlace } from "./zmq-endpoint.ts";

export const KV_KEYS = ["kvEvents", "kvReplay", "kvTopic", "kvRanks"] as const;
/** What is known to publish them. */
const KV_KINDS = ["vllm", "sglang", "generic"];
const RANKS_MAX = 64;
const TOPIC = /^[^\0,]{1,1024}$/;

/** Undefined where none are written, or what is written is refused. */
export function kvEventsOf(
  kind: string,
  written: Readonly<Record<string, unknown>>,
  at: Reading,
): KvEventsPlace | undefined {
  const within = (key: string): Reading => ({ ...at, path: `${at.path}.${key}` });
  const first = KV_KEYS.find((key) => written[key] !== undefined);
  if (first === undefined) return undefined;
  if (!KV_KINDS.includes(kind)) {
    return refuse(written[first], within(first), `none: of these only ${KV_KINDS.join(", ")} tell of their KV caches`);
  }
  if (written["kvEvents"] === undefined) {
    return refuse(written[first], within(first), "kvEvents as well: where the events are published");
  }
  const ranks = Number(written["kvRanks"] ?? 1);
  if (!Number.isInteger(ranks) || ranks < 1 || ranks > RANKS_MAX || !isScalar(written["kvRanks"])) {
    return refuse(written["kvRanks"], within("kvRanks"), `data-parallel ranks, 1 to ${RANKS_MAX}`);
  }
  const endpoint = endpointIn(written["kvEvents"], ranks, within("kvEvents"));
  const replay = written["kvReplay"];
  const replayEndpoint = replay === undefined ? "" : endpointIn(replay, ranks, within("kvReplay"));
  const topic = written["kvTopic"] ?? "";
  if (typeof topic !== "string" || (topic !== "" && !TOPIC.test(topic))) {
    return refuse(topic, within("kvTopic"), "what topics begin with: up to 1,024 characters, no comma");
  }
  return endpoint === undefined || replayEndpoint === undefined
    ? undefined
    : Object.freeze({ endpoint, replayEndpoint, topic, ranks });
}

/** As a file holds it. */
export function writeKvEvents({ endpoint, replayEndpoint, topic, ranks }: KvEventsPlace): Record<string, unknown> {
  return {
    kvEvents: endpoint,
    ...(replayEndpoint === "" ? {} : { kvReplay: replayEndpoint }),
    ...(topic === "" ? {} : { kvTopic: topic }),
    ...(ranks === 1 ? {} : { kvRanks: ranks }),
  };
}

function isScalar(value: unknown): boolean {
  return value === undefined || typeof value === "number" || (typeof value === "string" && value !== "");
}

/** The last rank's must be one too. */
function endpointIn(value: unknown, ranks: number, at: Reading): string | undefined {
  try {
    if (typeof value === "string") {
      endpointPlace(value, ranks - 1);
      return value;
    }
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    return refuse(value, at, `a ZeroMQ endpoint: tcp://HOST:PORT or ipc:///PATH (${error.message})`);
  }
  return refuse(value, at, "a ZeroMQ endpoint: tcp://HOST:PORT or ipc:///PATH");
}
