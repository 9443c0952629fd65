/**
 * What a target is told of the client behind the router: `Forwarded` (RFC 7239), and `X-Forwarded-For`, `-Proto` and
 * `-Host`, which everybody reads though no standard has them.
 *
 * Whether what the client says of itself is believed is a setting. "append": its lines stay, and ours come behind them
 * (lists of several lines are one list, RFC 9110 section 5.3), so the last entry is the one that can be trusted; the
 * first proxy's word on scheme and host stands. "replace": its lines are dropped, whatever they are called. The lines of
 * one connection are the same for every request with the same Host, so a caller makes them once.
 *
 * Addresses and hosts that could not stand in a header (zones, paths of sockets, strange bytes) become `unknown` or are
 * left out: nothing from outside is written that was not checked here.
 */
import { choice, section } from "../base/settings.ts";
import type { Infer } from "../base/settings.ts";
import { AUTHORITY, DASH, TOKEN } from "./octets.ts";

export const forwardedSettings = section({
  trust: choice(["append", "replace"], {
    default: "append",
    doc: "What becomes of Forwarded and X-Forwarded-* headers that clients send: ours are appended to them, as behind another proxy, or take their place. Replace where clients reach the router directly and targets believe the first entry.",
  }),
  form: choice(["for", "x-forwarded", "forwarded", "both", "none"], {
    default: "for",
    doc: "Which headers tell targets of the client: X-Forwarded-For alone, with -Proto and -Host, the standard's Forwarded, all of them, or none. Runtimes use them for logs at most, so the default is the shortest.",
  }),
});

export type ForwardedConfig = Infer<typeof forwardedSettings>;

export interface ForwardedClient {
  /** As the socket tells it: IPv4, IPv6, IPv4 in IPv6; anything else is unknown. */
  readonly address: string;
  readonly scheme: "http" | "https";
  /** The request's Host or :authority; "" when it has none. */
  readonly host: string;
}

/** Which of these headers a request has: bits, put together with `|`. */
export const FORWARDING = { none: 0, forwarded: 1, for: 2, proto: 4, host: 8, other: 16 } as const;

const NAMES: readonly (readonly [name: string, bit: number])[] = [
  ["forwarded", FORWARDING.forwarded],
  ["x-forwarded-for", FORWARDING.for],
  ["x-forwarded-proto", FORWARDING.proto],
  ["x-forwarded-host", FORWARDING.host],
  // Nobody writes them here, but targets may believe them: they go where the others go.
  ["x-forwarded-port", FORWARDING.other],
  ["x-forwarded-server", FORWARDING.other],
  ["x-forwarded-scheme", FORWARDING.other],
  ["x-forwarded-ssl", FORWARDING.other],
  ["x-forwarded-prefix", FORWARDING.other],
  ["x-original-host", FORWARDING.other],
  ["x-real-ip", FORWARDING.other],
  ["x-client-ip", FORWARDING.other],
  ["x-cluster-client-ip", FORWARDING.other],
  ["true-client-ip", FORWARDING.other],
];
/** Names of all headers that tell of a client behind a proxy. */
export const FORWARDING_NAMES: readonly string[] = NAMES.map(([name]) => name);
const SHORTEST = 9;
const LONGEST = 19;

/** Which of these headers the name [start, end) is; FORWARDING.none for nearly all. */
export function forwardingBit(buffer: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length < SHORTEST || length > LONGEST) return FORWARDING.none;
  const first = buffer[start]! | 32;
  if (first !== LETTER_F && first !== LETTER_X && first !== LETTER_T) return FORWARDING.none;
  for (const [name, bit] of NAMES) if (name.length === length && isName(buffer, start, name)) return bit;
  return FORWARDING.none;
}

const LETTER_F = 102;
const LETTER_T = 116;
const LETTER_X = 120;
const UNDERSCORE = 95;

/** Letter case aside, and with `_` for `-`: servers in the manner of CGI take them for one. */
function isName(buffer: Uint8Array, start: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const byte = buffer[start + i]!;
    const plain = byte === UNDERSCORE ? DASH : byte >= 65 && byte <= 90 ? byte | 32 : byte;
    if (plain !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** Whether a line of the client's with this FORWARDING bit goes on to the target. */
export function keepsForwarding(bit: number, { trust }: ForwardedConfig): boolean {
  return bit === FORWARDING.none || trust === "append";
}

/** The lines to write, each with its CRLF. `given`: the FORWARDING bits of lines that go on. */
export function forwardingLines({ trust, form }: ForwardedConfig, client: ForwardedClient, given: number): string {
  if (form === "none") return "";
  const kept = trust === "append" ? given : FORWARDING.none;
  const address = plainAddress(client.address);
  const host = isAll(client.host, AUTHORITY) ? client.host : "";
  let lines = "";
  if (form !== "forwarded") lines += `x-forwarded-for: ${address}\r\n`;
  if (form === "x-forwarded" || form === "both") {
    if ((kept & FORWARDING.proto) === 0) lines += `x-forwarded-proto: ${client.scheme}\r\n`;
    if ((kept & FORWARDING.host) === 0 && host !== "") lines += `x-forwarded-host: ${host}\r\n`;
  }
  if (form === "forwarded" || form === "both") lines += `forwarded: ${element(address, client.scheme, host)}\r\n`;
  return lines;
}

/** One element of `Forwarded` (RFC 7239 section 4); an IPv6 address stands in brackets and quotes. */
function element(address: string, scheme: string, host: string): string {
  const node = address.includes(":") ? `"[${address}]"` : address;
  const named = host === "" ? "" : `;host=${isAll(host, TOKEN) ? host : `"${host}"`}`;
  return `for=${node}${named};proto=${scheme}`;
}

/** An address as text that may stand in a header: IPv4 out of IPv6 where it is one, without a zone; else `unknown`. */
function plainAddress(address: string): string {
  const bare = address.replace(/%.*$/s, "");
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  const isAddress = /^\d{1,3}(\.\d{1,3}){3}$/.test(bare) || (bare.includes(":") && /^[0-9A-Fa-f:.]{2,45}$/.test(bare));
  return isAddress ? bare : "unknown";
}

function isAll(text: string, of: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255 || of[code] !== 1) return false;
  }
  return text !== "";
}
