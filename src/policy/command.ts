/**
 * Commands in the log, as UTF-8 JSON, so that whoever looks into a store can read them. What can't be read is never
 * proposed; in a log all the same, it has the outcome `invalid` on every member.
 *
 * Limits: 1 MiB a command; what is nested deeper than a policy can be is refused before it is parsed, so that no depth
 * makes one member's stack overflow and another's not.
 */
import { type Fault, isRecord, refuse } from "../base/field.ts";
import { CLOCK_MS_MAX } from "./clock.ts";
import { type Want, readWants } from "./want.ts";
import { type Fields, type Reader, faultsText, name, objectOf, oneOf, readingAt, whole } from "./spec-reading.ts";
import { NAME_CHARACTERS_MAX } from "./spec.ts";
import { KEY_CHARACTERS_MAX, isCanonical, type Write, readWrites } from "./write.ts";

export const COMMAND_BYTES_MAX = 1024 * 1024;
const DEPTH_MAX = 16;
const MEMBER_MAX = 2 ** 48 - 1;

/** `key`: whoever repeats a command repeats its key, so that it applies once. `atMs`: the leader's clock. */
export interface WriteCommand {
  readonly op: "write";
  readonly key: string;
  readonly atMs: number;
  readonly writes: readonly Write[];
}

/** Asks for shares of quotas. Needs no memory of its key: who asks again has the same share once. */
export interface LeaseCommand {
  readonly op: "lease";
  readonly key: string;
  readonly atMs: number;
  readonly wants: readonly Want[];
}

/** Who a member number is, and where its links are taken. */
export interface SeatCommand {
  readonly op: "seat";
  readonly member: number;
  /** The mesh's id of its node. */
  readonly node: string;
  /** `host:port`. */
  readonly address: string;
}

export interface UnseatCommand {
  readonly op: "unseat";
  readonly member: number;
}

export type Command = WriteCommand | LeaseCommand | SeatCommand | UnseatCommand;

const op = oneOf(["write", "lease", "seat", "unseat"]);
const key = name(KEY_CHARACTERS_MAX, "an idempotency key");
const atMs = whole(0, CLOCK_MS_MAX);
const member = whole(1, MEMBER_MAX);

const SEAT_FIELDS = ["member", "node", "address"] as const;
const seat: Fields<Omit<SeatCommand, "op">> = {
  member,
  node: name(NAME_CHARACTERS_MAX, "a node id"),
  address: (raw, at) =>
    typeof raw === "string" && raw.length <= 300 && /^\S+:\d{1,5}$/.test(raw) ? raw : refuse(raw, at, "HOST:PORT"),
};

/** A member's number, its node, its address: also of snapshots. */
export const readSeat = objectOf<Omit<SeatCommand, "op">>(seat, SEAT_FIELDS);

const OPS: { readonly [O in Command["op"]]: Reader<Command & { op: O }> } = {
  write: objectOf<WriteCommand>({ op: oneOf(["write"]), key, atMs, writes: readWrites }, [
    "op",
    "key",
    "atMs",
    "writes",
  ]),
  lease: objectOf<LeaseCommand>({ op: oneOf(["lease"]), key, atMs, wants: readWants }, ["op", "key", "atMs", "wants"]),
  seat: objectOf<SeatCommand>({ op: oneOf(["seat"]), ...seat }, ["op", ...SEAT_FIELDS]),
  unseat: objectOf<UnseatCommand>({ op: oneOf(["unseat"]), member }, ["op", "member"]),
};

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** What was read of bytes that nobody changes: who proposes a command looks at it first, and applies it a moment later. */
const known = new WeakMap<Uint8Array, Command>();

/** The bytes must stay as they are. */
export function encodeCommand(command: Command): Uint8Array {
  const bytes = encoder.encode(JSON.stringify(command));
  // Of writes that were read where they were asked for, reading them again would come to the same.
  if (command.op === "write" && isCanonical(command.writes) && bytes.length <= COMMAND_BYTES_MAX) {
    const at = readingAt("", []);
    const own = { key: key(command.key, at), atMs: atMs(command.atMs, at) };
    if (at.faults.length === 0) known.set(bytes, { ...command, ...own } as WriteCommand);
  }
  return bytes;
}

/** The command in its canonical form, or what is wrong with it. Never throws. The bytes must stay as they are. */
export function readCommand(bytes: Uint8Array): Command | { readonly bad: string } {
  const read = known.get(bytes) ?? readAnew(bytes);
  if (!("bad" in read)) known.set(bytes, read);
  return read;
}

function readAnew(bytes: Uint8Array): Command | { readonly bad: string } {
  if (bytes.length > COMMAND_BYTES_MAX) {
    return {
      bad: `a command has at most ${COMMAND_BYTES_MAX} bytes, this one has ${bytes.length}: write less at a time`,
    };
  }
  const raw = parseJson(bytes);
  if (!isRecord(raw)) return { bad: "a command is a JSON object in UTF-8" };
  const faults: Fault[] = [];
  const at = readingAt("", faults);
  const kind = op(raw["op"], readingAt("op", faults));
  const command = kind === undefined ? undefined : OPS[kind](raw, at);
  return command ?? { bad: faultsText(faults) ?? "not readable" };
}

/** What the bytes say, or undefined for what is no JSON, no UTF-8 or nested too deep. */
export function parseJson(bytes: Uint8Array): unknown {
  if (isTooDeep(bytes)) return undefined;
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function isTooDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at]!;
    if (isText) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) isText = false;
    } else if (byte === QUOTE) isText = true;
    // [ and {, ] and }
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      if (depth > DEPTH_MAX) return true;
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
  return false;
}
