/**
 * Batches of KV cache events, as vLLM (vllm/distributed/kv_events.py) and SGLang (srt/disaggregation/kv_events.py) send
 * them: MessagePack, batch and events each as an array by position or as a map by name.
 *
 *     batch         [ts, events, rank]              {ts, events, data_parallel_rank}
 *     event         ["BlockStored", fields...]      {type: "BlockStored", ...}
 *     BlockStored   block_hashes, parent_block_hash, token_ids, block_size, lora_id, medium, lora_name, extra_keys,
 *                   group_idx, kv_cache_spec_kind, kv_cache_spec_sliding_window, locality
 *     BlockRemoved  block_hashes, medium, group_idx, locality
 *     AllBlocksCleared
 *
 * SGLang's arrays end with the medium, or have a map {cache_salt} behind it. With speculative decoding its token ids
 * are pairs of neighbours; the first of each pair is the token. What later versions add, by name or at the end, is
 * skipped, and so are events of other kinds. A batch that can't be read in full counts as none: half of it might be the
 * half that misleads.
 *
 * Limits: `HASH_BYTES_MAX` a hash, `TEXT_BYTES_MAX` a name; a batch is a frame (16 MiB).
 */
import { bytesKey } from "./block-key.ts";
import { type KvBatch, type KvEvent, mediumOf } from "./event.ts";
import { KIND, MsgpackReader } from "./msgpack.ts";

export const HASH_BYTES_MAX = 64;
export const TEXT_BYTES_MAX = 1024;
const TOKEN_MAX = 2 ** 32 - 1;

const STORED = [
  "block_hashes",
  "parent_block_hash",
  "token_ids",
  "block_size",
  "lora_id",
  "medium",
  "lora_name",
  "extra_keys",
  "group_idx",
  "kv_cache_spec_kind",
  "kv_cache_spec_sliding_window",
  "locality",
  "ownership",
  "session_id",
] as const;
const REMOVED = ["block_hashes", "medium", "group_idx", "locality", "ownership"] as const;
const BATCH = ["ts", "events", "data_parallel_rank"] as const;
const NO_FIELDS = [] as const;

const reader = new MsgpackReader();
const TOKENS_KEPT = 65_536;
let tokens = new Uint32Array(1024);

/** What the fields of an event said. */
interface Fields {
  hashes: string[];
  parent: string | undefined;
  tokenCount: number;
  blockSize: number;
  loraId: number | undefined;
  loraName: string | undefined;
  medium: string | undefined;
  /** Where the extra keys begin; they are read when the name of the adapter is known. -1: none. */
  extrasAt: number;
  /** SGLang's salt of the first block. */
  salt: number;
  group: number | undefined;
  specKind: string | undefined;
  window: number | undefined;
  locality: string | undefined;
}

/** undefined: it is malformed. */
export function readBatch(payload: Uint8Array): KvBatch | undefined {
  reader.read(payload);
  let rank: number | undefined;
  let events: KvEvent[] | undefined;
  let unknown = 0;
  eachField(BATCH, 0, (name) => {
    if (name === "data_parallel_rank" || name === "attn_dp_rank" || name === "dp_rank") rank = maybeInteger();
    else if (name === "events") {
      events = [];
      for (let left = reader.array(); left > 0 && !reader.bad; left -= 1) {
        const event = readEvent();
        if (event === undefined) unknown += 1;
        else events.push(event);
      }
    } else reader.skip();
  });
  // Room that one large batch needed is not kept.
  if (tokens.length > TOKENS_KEPT) tokens = new Uint32Array(TOKENS_KEPT);
  return reader.isDone && events !== undefined ? { events, rank, unknown } : undefined;
}

/** Calls for each field of an array by position, or of a map by name, which must read or skip its value. */
function eachField(names: readonly string[], offset: number, field: (name: string) => void): void {
  if (reader.kind === KIND.map) {
    for (let left = reader.map(); left > 0 && !reader.bad; left -= 1) field(reader.text(TEXT_BYTES_MAX));
    return;
  }
  const count = reader.array();
  for (let at = 0; at < count && !reader.bad; at += 1) field(at < offset ? "type" : (names[at - offset] ?? ""));
}

/** undefined when it is of another kind, or malformed: then the reader is bad. */
function readEvent(): KvEvent | undefined {
  const type = eventType();
  const names = type === "BlockStored" ? STORED : type === "BlockRemoved" ? REMOVED : NO_FIELDS;
  if (names === NO_FIELDS) {
    reader.skip();
    return type === "AllBlocksCleared" && !reader.bad ? { kind: "cleared" } : undefined;
  }
  const fields = emptyFields();
  const seen = new Set<string>();
  eachField(names, 1, (name) => {
    // A name that is there twice would be read by one as the first, by another as the last.
    if (name !== "" && seen.has(name)) reader.fail();
    seen.add(name);
    readField(fields, name);
  });
  if (!seen.has("block_hashes") || reader.bad) {
    reader.fail();
    return undefined;
  }
  const medium = mediumOf(fields.medium, fields.locality === "REMOTE");
  const { hashes, group } = fields;
  return type === "BlockRemoved" ? { kind: "removed", hashes, medium, group } : stored(fields, medium);
}

/** The event's kind, without going on: in a map it need not come first. */
function eventType(): string {
  const from = reader.at;
  let type = "";
  if (reader.kind === KIND.array) {
    if (reader.array() > 0) type = reader.text(TEXT_BYTES_MAX);
  } else {
    for (let left = reader.map(); left > 0 && !reader.bad && type === ""; left -= 1) {
      if (reader.text(TEXT_BYTES_MAX) === "type") type = reader.text(TEXT_BYTES_MAX);
      else reader.skip();
    }
  }
  if (type === "") reader.fail();
  if (!reader.bad) reader.at = from;
  return type;
}

function emptyFields(): Fields {
  return {
    hashes: [],
    parent: undefined,
    tokenCount: 0,
    blockSize: 0,
    loraId: undefined,
    loraName: undefined,
    medium: undefined,
    extrasAt: -1,
    salt: 0,
    group: undefined,
    specKind: undefined,
    window: undefined,
    locality: undefined,
  };
}

function readField(fields: Fields, name: string): void {
  if (name === "block_hashes") {
    for (let left = reader.array(); left > 0 && !reader.bad; left -= 1) fields.hashes.push(reader.hash(HASH_BYTES_MAX));
  } else if (name === "parent_block_hash") fields.parent = reader.nil() ? undefined : reader.hash(HASH_BYTES_MAX);
  else if (name === "token_ids") fields.tokenCount = readTokens();
  else if (name === "block_size") fields.blockSize = readCount();
  else if (name === "lora_id") {
    if (reader.kind === KIND.text) fields.loraName ??= maybeText();
    else fields.loraId = maybeInteger();
  } else if (name === "lora_name") {
    if (reader.kind === KIND.map) fields.salt = readSalt();
    else fields.loraName = maybeText() ?? fields.loraName;
  } else if (name === "metadata") fields.salt = reader.nil() ? 0 : readSalt();
  else if (name === "medium") fields.medium = maybeText();
  else if (name === "extra_keys") {
    if (reader.kind !== KIND.nil) fields.extrasAt = reader.at;
    reader.skip();
  } else if (name === "group_idx") fields.group = maybeInteger();
  else if (name === "kv_cache_spec_kind") fields.specKind = maybeText();
  else if (name === "kv_cache_spec_sliding_window") fields.window = maybeInteger();
  else if (name === "locality") fields.locality = maybeText();
  else reader.skip();
}

function stored(fields: Fields, medium: number): KvEvent | undefined {
  const { hashes, parent, tokenCount, blockSize, loraId, specKind, group } = fields;
  const adapter = fields.loraName ?? (loraId === undefined || loraId === 0 ? "" : `#${loraId}`);
  const extras = fields.extrasAt < 0 ? [] : readExtras(fields.extrasAt, hashes.length, adapter);
  if (fields.salt !== 0 && parent === undefined && hashes.length > 0) extras[0] = fields.salt;
  if (reader.bad) return undefined;
  const isWhole = fields.window === undefined && (specKind === undefined || /full|mla/.test(specKind.toLowerCase()));
  return {
    kind: "stored",
    hashes,
    parent,
    adapter,
    tokens: tokens.slice(0, tokenCount),
    blockTokens: blockSize,
    medium,
    extras,
    group,
    isWhole,
  };
}

function readTokens(): number {
  const count = reader.array();
  if (count > tokens.length) tokens = new Uint32Array(count);
  for (let at = reader.words(tokens, count); at < count; at += 1) {
    if (reader.kind === KIND.array) {
      const neighbours = reader.array();
      if (neighbours === 0) reader.fail();
      tokens[at] = readToken();
      for (let left = neighbours - 1; left > 0 && !reader.bad; left -= 1) readToken();
    } else tokens[at] = readToken();
    if (reader.bad) return 0;
  }
  return count;
}

function readToken(): number {
  const token = reader.integer();
  return token < 0 || token > TOKEN_MAX ? reader.fail() : token;
}

function readCount(): number {
  const count = reader.integer();
  return count < 0 ? reader.fail() : count;
}

/** One for each block, nil or an array; the adapter's name is no news, since the blocks hang on its root. */
function readExtras(from: number, blocks: number, adapter: string): number[] {
  const end = reader.at;
  reader.at = from;
  const count = reader.array();
  if (count !== blocks) reader.fail();
  const extras: number[] = [];
  for (let at = 0; at < count && !reader.bad; at += 1) {
    let extra = 0;
    if (!reader.nil()) {
      for (let left = reader.array(); left > 0 && !reader.bad; left -= 1) {
        const start = reader.at;
        const isAdapter = reader.kind === KIND.text && adapter !== "" && reader.text(Infinity) === adapter;
        if (!isAdapter) {
          reader.at = start;
          reader.skip();
          extra = bytesKey(reader.bytes, start, reader.at, extra);
        }
      }
    }
    extras.push(extra);
  }
  if (!reader.bad) reader.at = end;
  return extras.every((extra) => extra === 0) ? [] : extras;
}

function readSalt(): number {
  let salt = 0;
  for (let left = reader.map(); left > 0 && !reader.bad; left -= 1) {
    const isSalt = reader.text(TEXT_BYTES_MAX) === "cache_salt";
    const start = reader.at;
    const isTold = reader.kind === KIND.text;
    reader.skip();
    // As vLLM's extra keys of a first block with this salt.
    if (isSalt && isTold && !reader.bad) salt = bytesKey(reader.bytes, start, reader.at, 0);
  }
  return salt;
}

function maybeInteger(): number | undefined {
  return reader.nil() ? undefined : reader.integer();
}

function maybeText(): string | undefined {
  return reader.nil() ? undefined : reader.text(TEXT_BYTES_MAX);
}
