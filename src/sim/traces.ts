/**
 * Recorded traffic. Two formats, each a line a request in order of time:
 *
 * - Mooncake (FAST '25): JSON lines `{"timestamp": ms, "input_length", "output_length", "hash_ids": [...]}`; an id names
 *   512 tokens of the prompt together with all before them, the last one perhaps fewer.
 * - Azure's LLM inference traces (2023): CSV `TIMESTAMP,ContextTokens,GeneratedTokens`, times of day with up to seven
 *   digits behind the second. Prompts share nothing.
 *
 * Times begin at 0 with the first request. Lines of tokens that nobody can serve (no prompt) are refused with their
 * number, as all that is malformed is: a trace that is read in part would make another benchmark of it.
 *
 * Limits: 10,000,000 requests, 10,000,000 tokens each.
 */
import type { Arrival } from "./arrival.ts";

/** Tokens that one of Mooncake's hashes stands for. */
export const MOONCAKE_BLOCK_TOKENS = 512;
const REQUESTS_MAX = 10_000_000;
const TOKENS_MAX = 10_000_000;
const AZURE_HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens";
const AZURE_LINE = /^(\d{4}-\d\d-\d\d)[ T](\d\d):(\d\d):(\d\d(?:\.\d{1,9})?),(\d{1,9}),(\d{1,9})$/;
const SECONDS_A_DAY = 86_400;

export type Trace =
  | { readonly arrivals: readonly Arrival[]; readonly fault: null }
  | { readonly arrivals: null; readonly fault: string };

const bad = (line: number, why: string): Trace => ({ arrivals: null, fault: `line ${line}: ${why}` });

/** By its first line. */
export function readTrace(text: string): Trace {
  return text.trimStart().startsWith("{") ? readMooncake(text) : readAzure(text);
}

export function readMooncake(text: string): Trace {
  const arrivals: Arrival[] = [];
  let firstMs: number | undefined;
  let lastMs = -Infinity;
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    if (arrivals.length === REQUESTS_MAX) return bad(index + 1, `more than ${REQUESTS_MAX} requests`);
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return bad(index + 1, "is no JSON");
    }
    const record = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
    const { timestamp, input_length: input, output_length: output, hash_ids: ids } = record;
    if (!isMoment(timestamp)) return bad(index + 1, "timestamp is no number of milliseconds");
    if (!isTokens(input) || input === 0) return bad(index + 1, "input_length is no number of tokens");
    if (!isTokens(output)) return bad(index + 1, "output_length is no number of tokens");
    if (!Array.isArray(ids) || !ids.every((id) => Number.isSafeInteger(id) && (id as number) >= 0))
      return bad(index + 1, "hash_ids is no list of whole numbers");
    if (timestamp < lastMs) return bad(index + 1, "is earlier than the line before it");
    lastMs = timestamp;
    firstMs ??= timestamp;
    arrivals.push({
      atMs: timestamp - firstMs,
      promptTokens: input,
      outputTokens: Math.max(1, output),
      hashes: (ids as number[]).slice(0, Math.floor(input / MOONCAKE_BLOCK_TOKENS)),
    });
  }
  return arrivals.length === 0 ? bad(1, "there is no request") : { arrivals, fault: null };
}

export function readAzure(text: string): Trace {
  const arrivals: Arrival[] = [];
  const days = new Map<string, number>();
  let firstMs: number | undefined;
  let lastMs = -Infinity;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || (index === 0 && line === AZURE_HEAD)) continue;
    if (arrivals.length === REQUESTS_MAX) return bad(index + 1, `more than ${REQUESTS_MAX} requests`);
    const [, day, hours, minutes, seconds, context, generated] = AZURE_LINE.exec(line) ?? [];
    if (day === undefined) return bad(index + 1, `is none of ${AZURE_HEAD}`);
    if (!days.has(day)) days.set(day, dayOf(day));
    const ms = (days.get(day)! * SECONDS_A_DAY + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
    const [input, output] = [Number(context), Number(generated)];
    if (!isMoment(ms)) return bad(index + 1, "has no such day");
    if (!isTokens(input) || input === 0) return bad(index + 1, "has no prompt");
    if (!isTokens(output)) return bad(index + 1, "has too many tokens");
    if (ms < lastMs) return bad(index + 1, "is earlier than the line before it");
    lastMs = ms;
    firstMs ??= ms;
    arrivals.push({ atMs: ms - firstMs, promptTokens: input, outputTokens: Math.max(1, output), hashes: [] });
  }
  return arrivals.length === 0 ? bad(1, "there is no request") : { arrivals, fault: null };
}

function isMoment(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function isTokens(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= TOKENS_MAX;
}

/** Days since 1970, by the civil calendar (Howard Hinnant's days_from_civil); cores have no Date. */
function dayOf(text: string): number {
  const [year = 0, month = 0, day = 0] = text.split("-").map(Number);
  if (month < 1 || month > 12 || day < 1 || day > 31) return NaN;
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const ofEra = shifted - era * 400;
  const ofYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468;
}
