/**
 * Load reports of ORCA (Open Request Cost Aggregation; xds.data.orca.v3.OrcaLoadReport): what a server says of its own
 * load in the head of an answer, `endpoint-load-metrics`, as text, JSON or base64 of the message; in gRPC's
 * `endpoint-load-metrics-bin`, of the head or the trailers, as the last of these.
 *
 *     TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=3
 *     JSON {"application_utilization": 0.8, "named_metrics": {"kv_cache_utilization": 0.4}}
 *     BIN CQAAAAAAAOA/
 *
 * Names that nobody knows are passed over, as long as what they are given is a number. Servers are not alike: Envoy's
 * text has `:` for `=`, vLLM's server in Rust leaves the format out. A name that comes again is another engine of the same
 * server (vLLM tells each of its data-parallel ones so): counts are added up, of fractions the mean is taken.
 *
 * It lies on the way of answers: one pass, and nothing is allocated but in JSON's rare ways. A report that is malformed
 * in any part says nothing at all. Limits: 4,096 bytes, 64 items.
 */
import { BLANK, JsonScanner, OPEN_OBJECT } from "./json-scan.ts";
import { ascii, COLON, spells } from "./octets.ts";
import { Base64Reader, isOrcaMessage } from "./orca-binary.ts";
import { NumberReader } from "./prometheus-number.ts";

const REPORT_BYTES_MAX = 4096;
const ITEMS_MAX = 64;

/** Where a figure stands in `OrcaReader.figures`. */
export const LOAD_FIGURE = {
  runningRequests: 0,
  waitingRequests: 1,
  queuedPrefillTokens: 2,
  /** 0..1 */
  kvUsage: 3,
  kvCapacityTokens: 4,
  /** Of what the server can do: 1 is all of it, and more is possible. */
  utilization: 5,
} as const;
export const LOAD_FIGURES: number = Object.keys(LOAD_FIGURE).length;

/** The names by which servers tell them; docs/runtimes.md has who says which. */
export const LOAD_NAMES: readonly (readonly [name: string, figure: number])[] = [
  ["num_requests_running", LOAD_FIGURE.runningRequests],
  ["num_running_reqs", LOAD_FIGURE.runningRequests],
  ["running_requests", LOAD_FIGURE.runningRequests],
  ["num_requests_waiting", LOAD_FIGURE.waitingRequests],
  ["num_queue_reqs", LOAD_FIGURE.waitingRequests],
  ["waiting_requests", LOAD_FIGURE.waitingRequests],
  ["queued_prefill_tokens", LOAD_FIGURE.queuedPrefillTokens],
  ["kv_cache_usage_perc", LOAD_FIGURE.kvUsage],
  ["gpu_cache_usage_perc", LOAD_FIGURE.kvUsage],
  ["kv_cache_utilization", LOAD_FIGURE.kvUsage],
  ["token_usage", LOAD_FIGURE.kvUsage],
  ["max_token_capacity", LOAD_FIGURE.kvCapacityTokens],
  ["max_total_num_tokens", LOAD_FIGURE.kvCapacityTokens],
  ["application_utilization", LOAD_FIGURE.utilization],
  ["applicationUtilization", LOAD_FIGURE.utilization],
];

/** By the length of the name. */
const NAMES: (readonly (readonly [Uint8Array, number])[])[] = [];
for (const [name, figure] of LOAD_NAMES) {
  NAMES[name.length] = [...(NAMES[name.length] ?? []), [ascii(name), figure]];
}
/** Maps of the message, whose entries text puts on its own level. */
const MAPS = ["named_metrics", "utilization", "namedMetrics"].map((name) => ascii(name));
const PREFIXES = MAPS.map((map) => Uint8Array.of(...map, 46));

const TEXT = ascii("text ");
const JSON_FORMAT = ascii("json ");
const BINARY = ascii("bin ");
const NULL = ascii("null");
const COMMA = 44;
const EQUALS = 61;

const scanner = new JsonScanner();
const numbers = new NumberReader();
const base64 = new Base64Reader(REPORT_BYTES_MAX);

export class OrcaReader {
  /** Of the report read last, by LOAD_FIGURE; NaN: not told. */
  readonly figures = new Float64Array(LOAD_FIGURES).fill(Number.NaN);
  /** How often each of them was told. */
  readonly #times = new Uint8Array(LOAD_FIGURES);

  /** Whether it told any figure that is known here. */
  get tellsAny(): boolean {
    for (let i = 0; i < LOAD_FIGURES; i++) if (!Number.isNaN(this.figures[i])) return true;
    return false;
  }

  /** Reads the value of `endpoint-load-metrics`, bytes [start, end); false: it is malformed, and nothing is told. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    this.#reset();
    if (end - start > REPORT_BYTES_MAX) return false;
    let isFine: boolean;
    if (begins(bytes, start, end, TEXT)) isFine = this.#text(bytes, start + TEXT.length, end);
    else if (begins(bytes, start, end, JSON_FORMAT)) isFine = this.#json(bytes, start + JSON_FORMAT.length, end);
    else if (begins(bytes, start, end, BINARY)) isFine = this.#binary(bytes, start + BINARY.length, end);
    else if (bytes[start] === OPEN_OBJECT) isFine = this.#json(bytes, start, end);
    else isFine = end > start && this.#text(bytes, start, end);
    return this.#done(isFine);
  }

  /** Reads the value of `endpoint-load-metrics-bin`. */
  readBinary(bytes: Uint8Array, start: number, end: number): boolean {
    this.#reset();
    return this.#done(end - start <= REPORT_BYTES_MAX && this.#binary(bytes, start, end));
  }

  #reset(): void {
    this.figures.fill(Number.NaN);
    this.#times.fill(0);
  }

  #done(isFine: boolean): boolean {
    const { figures } = this;
    const times = this.#times[LOAD_FIGURE.kvUsage]!;
    if (times > 1) figures[LOAD_FIGURE.kvUsage] = figures[LOAD_FIGURE.kvUsage]! / times;
    const uses = this.#times[LOAD_FIGURE.utilization]!;
    if (uses > 1) figures[LOAD_FIGURE.utilization] = figures[LOAD_FIGURE.utilization]! / uses;
    if (!isFine) figures.fill(Number.NaN);
    return isFine;
  }

  #text(bytes: Uint8Array, start: number, end: number): boolean {
    let items = 0;
    for (let at = start; at < end;) {
      let stop = at;
      let separator = -1;
      let colon = -1;
      for (; stop < end && bytes[stop] !== COMMA; stop++) {
        if (bytes[stop] === EQUALS && separator < 0) separator = stop;
        else if (bytes[stop] === COLON) colon = stop;
      }
      const from = skipBlank(bytes, at, stop);
      // Nothing between two commas, or behind the last, is nothing.
      if (from < stop) {
        if (separator < 0) separator = colon;
        if (separator < 0 || ++items > ITEMS_MAX) return false;
        const value = skipBlank(bytes, separator + 1, stop);
        if (!this.#item(bytes, from, trimmed(bytes, from, separator), value, trimmed(bytes, value, stop))) return false;
      }
      at = stop + 1;
    }
    return true;
  }

  #json(bytes: Uint8Array, start: number, end: number): boolean {
    if (scanner.body(bytes, start, end) < 0) return false;
    const { memberCount } = scanner;
    if (memberCount > ITEMS_MAX) return false;
    // The scanner holds one object's members at a time: those of the maps are read when these are done with.
    let maps = 0;
    for (let i = 0; i < memberCount; i++) {
      const from = scanner.keyStart(i) + 1;
      const to = scanner.keyEnd(i) - 1;
      const value = scanner.valueStart(i);
      if (bytes[value] !== OPEN_OBJECT) {
        if (!this.#member(bytes, from, to, value, scanner.valueEnd(i))) return false;
      } else if (MAPS.some((map) => map.length === to - from && startsWith(bytes, from, map))) {
        if (maps === MAPS.length) return false;
        mapStarts[maps++] = value;
      }
    }
    for (let map = 0; map < maps; map++) {
      if (scanner.object(bytes, mapStarts[map]!, end) < 0 || scanner.memberCount > ITEMS_MAX) return false;
      for (let i = 0; i < scanner.memberCount; i++) {
        const from = scanner.keyStart(i) + 1;
        const to = scanner.keyEnd(i) - 1;
        if (!this.#member(bytes, from, to, scanner.valueStart(i), scanner.valueEnd(i))) return false;
      }
    }
    return true;
  }

  /** `null` is what protobuf's JSON has for what is not set. */
  #member(bytes: Uint8Array, from: number, to: number, start: number, end: number): boolean {
    if (end - start === NULL.length && startsWith(bytes, start, NULL)) return true;
    return this.#item(bytes, from, to, start, end);
  }

  /** A name [from, to) and a value [start, end). */
  #item(bytes: Uint8Array, from: number, to: number, start: number, end: number): boolean {
    if (to <= from || !numbers.read(bytes, start, end)) return false;
    return this.#take(bytes, from, to, numbers.value);
  }

  #binary(bytes: Uint8Array, start: number, end: number): boolean {
    const length = base64.read(bytes, start, end);
    return length > 0 && isOrcaMessage(base64.bytes, length, ITEMS_MAX, this.#take);
  }

  /** Takes what a name [from, to) was given; false where that can't be. */
  readonly #take = (bytes: Uint8Array, from: number, to: number, value: number): boolean => {
    if (!(value >= 0 && value < Infinity)) return false;
    const figure = figureOf(bytes, from, to);
    if (figure < 0) return true;
    // A percentage in place of a fraction would look like a full cache.
    if (figure === LOAD_FIGURE.kvUsage && value > 1) return false;
    const before = this.figures[figure]!;
    this.figures[figure] = Number.isNaN(before) ? value : before + value;
    this.#times[figure] = this.#times[figure]! + 1;
    return true;
  };
}

const mapStarts = new Int32Array(MAPS.length);

/** The figure that goes by the name [from, to), with its map's name before it or without; or -1. */
function figureOf(bytes: Uint8Array, from: number, to: number): number {
  let start = from;
  for (const prefix of PREFIXES) {
    if (to - from > prefix.length && startsWith(bytes, from, prefix)) start = from + prefix.length;
  }
  const names = NAMES[to - start];
  if (names === undefined) return -1;
  for (const [name, figure] of names) if (startsWith(bytes, start, name)) return figure;
  return -1;
}

function startsWith(bytes: Uint8Array, at: number, other: Uint8Array): boolean {
  for (let i = 0; i < other.length; i++) if (bytes[at + i] !== other[i]) return false;
  return true;
}

/** In any letter case, as formats are asked for. */
function begins(bytes: Uint8Array, start: number, end: number, lower: Uint8Array): boolean {
  return end - start >= lower.length && spells(bytes, start, lower);
}

function skipBlank(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && BLANK[bytes[at]!] === 1) at++;
  return at;
}

function trimmed(bytes: Uint8Array, start: number, end: number): number {
  let at = end;
  while (at > start && BLANK[bytes[at - 1]!] === 1) at--;
  return at;
}
