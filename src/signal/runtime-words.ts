/**
 * A node's runtimes as words of its description, which were there before runtimes were: routers of earlier versions hold
 * them for words that nobody uses.
 *
 *     mark 1, then between separators: name, kind, version, bits (ready, draining; the state's place from the third on) in
 *     base 36, seconds since 2024, and for each endpoint a letter (h or g; a capital one: with TLS), port, space, name
 *     mark 2, message: of the runtime before
 *
 * Limits: 16 runtimes. Endpoints for which a word of 256 bytes has no room are left out, from the end.
 */
import { RUNTIME_STATES } from "../base/runtime-terms.ts";
import type { EndpointSample, NodeRuntime } from "../score/sample.ts";

const RUNTIMES_MAX = 16;
const WORD_BYTES_MAX = 256;
const VERSION_CHARS_MAX = 48;
const RUNTIME_MARK = "\u0001";
const MESSAGE_MARK = "\u0002";
const SEPARATOR = "\u001f";
const READY = 1;
const DRAINING = 2;
const LETTERS = { http: "h", grpc: "g" } as const;
const ENDPOINT = /^([hg])(\d{1,5}) (.+)$/i;
const encoder = new TextEncoder();

/** The words for these runtimes, and what a receiver makes of them. */
export function runtimeWords(runtimes: readonly NodeRuntime[]): string[] {
  return runtimes.slice(0, RUNTIMES_MAX).flatMap((runtime) => {
    const { name, kind, version, ready, draining, state, sinceMs, message, endpoints } = runtime;
    const bits = (ready ? READY : 0) | (draining ? DRAINING : 0) | (RUNTIME_STATES.indexOf(state) << 2);
    const fields = [
      name,
      kind,
      version.slice(0, VERSION_CHARS_MAX),
      bits.toString(36),
      Math.floor(sinceMs / 1000).toString(36),
    ];
    const words = [joined([...fields.map(plain), ...endpoints.map(endpointText)])];
    if (message !== "") words.push(`${MESSAGE_MARK}${plain(message)}`);
    return words;
  });
}

function joined(fields: readonly string[]): string {
  const all = [...fields];
  for (;;) {
    const word = `${RUNTIME_MARK}${all.join(SEPARATOR)}`;
    // What names the runtime stays, and is cut where it is too long.
    if (all.length <= 5 || encoder.encode(word).length <= WORD_BYTES_MAX) return word;
    all.pop();
  }
}

function endpointText({ name, port, protocol, tls }: EndpointSample): string {
  const letter = LETTERS[protocol];
  return `${tls ? letter.toUpperCase() : letter}${port} ${plain(name)}`;
}

/** Without what would be taken for a mark. */
function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f]/g, " ");
}

/** The runtimes that are told of among these words. */
export function runtimesIn(words: readonly string[]): NodeRuntime[] {
  const runtimes: NodeRuntime[] = [];
  for (const word of words) {
    const last = runtimes.at(-1);
    if (word.startsWith(RUNTIME_MARK)) {
      const runtime = runtimeIn(word.slice(1).split(SEPARATOR));
      if (runtime !== undefined && runtimes.length < RUNTIMES_MAX) runtimes.push(runtime);
    } else if (word.startsWith(MESSAGE_MARK) && last !== undefined) {
      runtimes[runtimes.length - 1] = { ...last, message: word.slice(1) };
    }
  }
  return runtimes;
}

function runtimeIn([name = "", kind = "", version = "", bitsText = "", since = "", ...endpoints]: readonly string[]) {
  const bits = parseInt(bitsText, 36);
  const seconds = parseInt(since, 36);
  if (name === "" || !(bits >= 0 && bits < 1024)) return undefined;
  const ready = (bits & READY) !== 0;
  return {
    name,
    kind,
    version,
    ready,
    draining: (bits & DRAINING) !== 0,
    // A state of a later version says no more than whether it is ready.
    state: RUNTIME_STATES[bits >>> 2] ?? (ready ? "ready" : "starting"),
    message: "",
    sinceMs: Number.isSafeInteger(seconds * 1000) && seconds > 0 ? seconds * 1000 : 0,
    endpoints: endpoints.flatMap(endpointIn),
  } as const satisfies NodeRuntime;
}

function endpointIn(text: string): EndpointSample[] {
  const [, letter = "", port = "", name = ""] = ENDPOINT.exec(text) ?? [];
  if (letter === "" || Number(port) < 1 || Number(port) > 65_535) return [];
  const protocol = letter.toLowerCase() === "g" ? "grpc" : "http";
  return [{ name, host: "", port: Number(port), protocol, tls: letter !== letter.toLowerCase() }];
}
