/** Every metric of KV caches, of agents and routers. docs/metrics.md lists the same. */
import { defineMetric as metric } from "./exposition.ts";

/** Of a router: what it believes targets to have cached of prompts, by what was sent there. */
export const PREFIX_METRICS = {
  entries: metric("gauge", "infermesh_prefix_index_blocks", [], "", "Blocks of prompts that the prefix index keeps."),
  entriesMax: metric("gauge", "infermesh_prefix_index_blocks_max", [], "", "As many as it has room for."),
  evictions: metric("counter", "infermesh_prefix_index_evictions_total", [], "", "Blocks that made room for others."),
  followed: metric(
    "gauge",
    "infermesh_prefix_followed_engines",
    [],
    "",
    "Engines whose blocks are in the index, as they tell of them.",
  ),
  prompt: metric(
    "counter",
    "infermesh_prefix_prompt_tokens_total",
    [],
    "",
    "Estimated tokens of prompts that were looked up, as a target was chosen for them.",
  ),
  expected: metric(
    "counter",
    "infermesh_prefix_expected_tokens_total",
    [],
    "",
    "Of these, such as their target is believed to have had cached.",
  ),
  told: metric(
    "counter",
    "infermesh_prefix_told_tokens_total",
    ["what"],
    "",
    "Of answers that tell how much of their prompt was cached: tokens of the prompt, cached, and expected to be cached.",
  ),
} as const;

/** Of a router: what routers tell each other of prompts that they sent somewhere. */
export const PREFIX_SHARING_METRICS = {
  told: metric("counter", "infermesh_prefix_shared_blocks_total", ["way"], "", "Blocks of prompts told and heard."),
  dropped: metric(
    "counter",
    "infermesh_prefix_unshared_blocks_total",
    [],
    "",
    "Blocks that were not told, since more were than may be.",
  ),
  bytes: metric(
    "counter",
    "infermesh_prefix_shared_bytes_total",
    [],
    "bytes",
    "Bytes of what was told, to all routers, without headers.",
  ),
  refused: metric(
    "counter",
    "infermesh_prefix_refused_messages_total",
    ["reason"],
    "",
    "Messages of others that were not taken.",
  ),
} as const;

/** Of a router: what nodes tell of their engines. */
export const HEARD_BLOCK_METRICS = {
  messages: metric(
    "counter",
    "infermesh_kv_messages_total",
    ["result"],
    "",
    "Messages of nodes on their KV caches, by what became of them.",
  ),
  blocks: metric("gauge", "infermesh_kv_known_blocks", [], "", "Blocks that are known, of all engines."),
  engines: metric("gauge", "infermesh_kv_known_engines", [], "", "Engines whose blocks are known."),
  behind: metric("gauge", "infermesh_kv_engines_behind", [], "", "Engines of which something told is missing."),
  refused: metric("counter", "infermesh_kv_refused_blocks_total", [], "", "Blocks that there was no room for."),
  asks: metric("counter", "infermesh_kv_asks_total", [], "", "Asks for what is missing."),
  failedAsks: metric("counter", "infermesh_kv_failed_asks_total", [], "", "Asks that had no answer."),
} as const;

/** Of an agent: each engine whose KV cache events it hears. */
export const KV_ENGINE_METRICS = {
  subscribed: metric(
    "gauge",
    "infermesh_kv_subscribed",
    ["runtime", "engine"],
    "",
    "1 while the engine's events are heard, else 0.",
  ),
  blocks: metric("gauge", "infermesh_kv_blocks", ["runtime", "engine"], "", "Blocks that the engine is known to hold."),
  whole: metric("gauge", "infermesh_kv_whole", ["runtime", "engine"], "", "1 when it holds no others, else 0."),
  batches: metric("counter", "infermesh_kv_batches_total", ["runtime", "engine"], "", "Batches of events heard."),
  badBatches: metric(
    "counter",
    "infermesh_kv_bad_batches_total",
    ["runtime", "engine"],
    "",
    "Batches that can't be read.",
  ),
  gaps: metric("counter", "infermesh_kv_gaps_total", ["runtime", "engine"], "", "Times that batches were missing."),
  replayed: metric(
    "counter",
    "infermesh_kv_replayed_batches_total",
    ["runtime", "engine"],
    "",
    "Batches that came by replay.",
  ),
  lost: metric(
    "counter",
    "infermesh_kv_lost_gaps_total",
    ["runtime", "engine"],
    "",
    "Gaps that no replay filled: what was known began anew.",
  ),
  restarts: metric(
    "counter",
    "infermesh_kv_engine_restarts_total",
    ["runtime", "engine"],
    "",
    "Times that the engine started again.",
  ),
} as const;

/** Of an agent: what routers are told of all its engines. */
export const SENT_BLOCK_METRICS = {
  routers: metric("gauge", "infermesh_kv_routers", [], "", "Routers that follow this node's KV caches."),
  messages: metric("counter", "infermesh_kv_sent_messages_total", [], "", "Datagrams to them."),
  bytes: metric("counter", "infermesh_kv_sent_bytes_total", [], "bytes", "Bytes of these, without headers."),
  snapshots: metric(
    "counter",
    "infermesh_kv_snapshots_total",
    [],
    "",
    "Times that all blocks of an engine were written.",
  ),
  answers: metric("counter", "infermesh_kv_answers_total", [], "", "Answers to what routers asked for."),
  answerBytes: metric("counter", "infermesh_kv_answer_bytes_total", [], "bytes", "Bytes of these."),
  deferred: metric("counter", "infermesh_kv_deferred_asks_total", [], "", "Asks that got nothing for now."),
} as const;
