/**
 * What routers say to each other over a line between two desks (desk-line.ts; DESIGN.md has why). A packet:
 *
 *     0x62, version (1 byte), flags (1 byte: 1 = the sender decides for models), the sender's life (4), the receiver's life
 *     as the sender knows it (4; 0: not yet), number of the packet (4; 0: it has no words), number of the last packet that
 *     was heard with all before it (4), then words until the end
 *
 * Words of who asks, about requests by numbers of its own:
 *
 *     ask        1, id, model (6), digest (6), tokens, priority (1), flags (1: 1 = its answer comes whole, 2 = it is of a
 *                session), age and time until it is wanted (tenths of ms, the latter plus one, 0: no matter), tenant (6),
 *                weight (float), of the session place (6) and slack (tenths of ms), homes
 *     homes      2, id, homes: count (1), then place (6) and tokens of each
 *     over       3, id                it waits no more, or ended without a first token
 *     answered   4, id, ago           its first token came so long ago (tenths of ms)
 *     unreached  5, id                where it was bound nobody can be reached from there
 *
 * and of who decides:
 *
 *     bound      6, id, place (6), tokens, waiting, ahead and work (tenths of ms), kind (1)
 *     declined   7, model (6), why (1)
 *     crowd      8, model (6), 1 or 0  somebody waits for it, or nobody does any more
 *
 * Numbers without a size are varints. Models, places and tenants are keys (base/key.ts); the digest is the sum of the keys of
 * all places that the model has, modulo 2^48: by it two routers see that they mean the same targets.
 *
 * Limits: `HOMES_MAX` homes, `WORD_BYTES_MAX` bytes a word; numbers as below. What is not as it should be makes the whole
 * packet malformed; a packet of another version is none.
 */
import { ByteReader, type ByteWriter } from "../base/bytes.ts";

export const DESK = 0x62;
const VERSION = 1;
export const HEAD_BYTES = 19;
export const WORD_BYTES_MAX = 160;
export const HOMES_MAX = 8;
const PRIORITY_MAX = 255;
const TOKENS_MAX = 2 ** 31;
const WEIGHT_MAX = 1e6;
const TENTHS_MAX = 2 ** 32 - 2;
const DECIDES = 1;
const SILENT = 1;
const SESSION = 2;
const KINDS = 3;

export const WORD = { ask: 1, homes: 2, over: 3, answered: 4, unreached: 5, bound: 6, declined: 7, crowd: 8 } as const;
/** Why a desk does not decide: another one does, its targets are not the same, it holds as much as it may. */
export const DECLINED = { notMine: 0, differs: 1, full: 2 } as const;
export type Declined = (typeof DECLINED)[keyof typeof DECLINED];

export interface PlaceHome {
  readonly place: number;
  readonly tokens: number;
}

/** What is told of a request that waits. */
export interface DeskFigures {
  readonly tokens: number;
  readonly priority: number;
  readonly ageMs: number;
  /** Until its first token is wanted; Infinity: no matter. */
  readonly wantedInMs: number;
  readonly tenant: number;
  readonly weight: number;
  readonly isSilent: boolean;
  /** Where its session is; null: it is of none. */
  readonly session: { readonly place: number; readonly slackMs: number } | null;
  readonly homes: readonly PlaceHome[];
}

export interface DeskAsk extends DeskFigures {
  readonly word: typeof WORD.ask;
  readonly id: number;
  readonly model: number;
  readonly digest: number;
}

/** Where a request is to go, and why there and then. */
export interface DeskBound {
  readonly place: number;
  readonly tokens: number;
  readonly waiting: number;
  readonly aheadMs: number;
  readonly workMs: number;
  /** By number, among BINDING_KINDS (late-room.ts). */
  readonly kind: number;
}

export type DeskWord =
  | DeskAsk
  | { readonly word: typeof WORD.homes; readonly id: number; readonly homes: readonly PlaceHome[] }
  | { readonly word: typeof WORD.over | typeof WORD.unreached; readonly id: number }
  | { readonly word: typeof WORD.answered; readonly id: number; readonly agoMs: number }
  | ({ readonly word: typeof WORD.bound; readonly id: number } & DeskBound)
  | { readonly word: typeof WORD.declined; readonly model: number; readonly why: Declined }
  | { readonly word: typeof WORD.crowd; readonly model: number; readonly isCrowded: boolean };

export interface DeskHead {
  readonly decides: boolean;
  readonly life: number;
  readonly toLife: number;
  readonly seq: number;
  readonly ack: number;
}

export function writeHead(writer: ByteWriter, { decides, life, toLife, seq, ack }: DeskHead): void {
  writer.byte(DESK);
  writer.byte(VERSION);
  writer.byte(decides ? DECIDES : 0);
  for (const number of [life, toLife, seq, ack]) writer.fixed32(number);
}

export function writeWord(writer: ByteWriter, word: DeskWord): void {
  writer.byte(word.word);
  switch (word.word) {
    case WORD.ask:
      writeAsk(writer, word);
      break;
    case WORD.homes:
      writer.varint(word.id);
      writeHomes(writer, word.homes);
      break;
    case WORD.over:
    case WORD.unreached:
      writer.varint(word.id);
      break;
    case WORD.answered:
      writer.varint(word.id);
      writer.varint(tenths(word.agoMs));
      break;
    case WORD.bound:
      writer.varint(word.id);
      writer.fixed48(word.place);
      writer.varint(word.tokens);
      writer.varint(word.waiting);
      writer.varint(tenths(word.aheadMs));
      writer.varint(tenths(word.workMs));
      writer.byte(word.kind);
      break;
    case WORD.declined:
      writer.fixed48(word.model);
      writer.byte(word.why);
      break;
    case WORD.crowd:
      writer.fixed48(word.model);
      writer.byte(word.isCrowded ? 1 : 0);
      break;
  }
}

function writeAsk(writer: ByteWriter, ask: DeskAsk): void {
  writer.varint(ask.id);
  writer.fixed48(ask.model);
  writer.fixed48(ask.digest);
  writer.varint(Math.min(TOKENS_MAX, Math.max(1, Math.trunc(ask.tokens))));
  writer.byte(Math.min(PRIORITY_MAX, ask.priority));
  writer.byte((ask.isSilent ? SILENT : 0) | (ask.session === null ? 0 : SESSION));
  writer.varint(tenths(ask.ageMs));
  writer.varint(ask.wantedInMs === Infinity ? 0 : 1 + tenths(ask.wantedInMs));
  writer.fixed48(ask.tenant);
  writer.float(Math.min(WEIGHT_MAX, ask.weight));
  if (ask.session !== null) {
    writer.fixed48(ask.session.place);
    writer.varint(tenths(ask.session.slackMs));
  }
  writeHomes(writer, ask.homes);
}

/** Those that have most of it, if there are too many. */
function writeHomes(writer: ByteWriter, homes: readonly PlaceHome[]): void {
  const told = homes.length <= HOMES_MAX ? homes : homes.toSorted((a, b) => b.tokens - a.tokens).slice(0, HOMES_MAX);
  writer.byte(told.length);
  for (const { place, tokens } of told) {
    writer.fixed48(place);
    writer.varint(Math.min(TOKENS_MAX, Math.max(0, Math.trunc(tokens))));
  }
}

/** A time that has passed already is now. */
function tenths(ms: number): number {
  return Math.min(TENTHS_MAX, Math.max(0, Math.round(ms * 10)));
}

const reader = new ByteReader();

/** The head of a packet; undefined where it is none of ours. */
export function readHead(packet: Uint8Array): DeskHead | undefined {
  reader.read(packet);
  if (reader.byte() !== DESK || reader.byte() !== VERSION) return undefined;
  const flags = reader.byte();
  const [life, toLife, seq, ack] = [reader.fixed32(), reader.fixed32(), reader.fixed32(), reader.fixed32()];
  if (reader.bad || flags > DECIDES || life === 0) return undefined;
  return { decides: flags === DECIDES, life, toLife, seq, ack };
}

/** The words of a packet, or of what follows its head; undefined when any of them is not right. */
export function readWords(packet: Uint8Array, at = HEAD_BYTES): DeskWord[] | undefined {
  reader.read(packet, at);
  const words: DeskWord[] = [];
  while (!reader.bad && reader.at < reader.end) {
    const word = readWord(reader.byte());
    if (word === undefined) return undefined;
    words.push(word);
  }
  return reader.bad ? undefined : words;
}

function readWord(kind: number): DeskWord | undefined {
  switch (kind) {
    case WORD.ask:
      return readAsk();
    case WORD.homes: {
      const id = reader.varint();
      const homes = readHomes();
      return homes === undefined ? undefined : { word: kind, id, homes };
    }
    case WORD.over:
    case WORD.unreached:
      return { word: kind, id: reader.varint() };
    case WORD.answered:
      return { word: kind, id: reader.varint(), agoMs: reader.varint() / 10 };
    case WORD.bound:
      return readBound();
    case WORD.declined: {
      const model = reader.fixed48();
      const why = reader.byte();
      return why > DECLINED.full ? undefined : { word: kind, model, why: why as Declined };
    }
    case WORD.crowd: {
      const model = reader.fixed48();
      const crowded = reader.byte();
      return crowded > 1 ? undefined : { word: kind, model, isCrowded: crowded === 1 };
    }
    default:
      return undefined;
  }
}

function readAsk(): DeskAsk | undefined {
  const [id, model, digest, tokens] = [reader.varint(), reader.fixed48(), reader.fixed48(), reader.varint()];
  const [priority, flags, age, wanted] = [reader.byte(), reader.byte(), reader.varint(), reader.varint()];
  const [tenant, weight] = [reader.fixed48(), reader.float()];
  const isOfSession = (flags & SESSION) !== 0;
  const session = isOfSession ? { place: reader.fixed48(), slackMs: reader.varint() / 10 } : null;
  const homes = readHomes();
  if (homes === undefined || tokens < 1 || tokens > TOKENS_MAX || flags > (SILENT | SESSION)) return undefined;
  if (!(weight > 0 && weight <= WEIGHT_MAX)) return undefined;
  const wantedInMs = wanted === 0 ? Infinity : (wanted - 1) / 10;
  const isSilent = (flags & SILENT) !== 0;
  return {
    word: WORD.ask,
    id,
    model,
    digest,
    tokens,
    priority,
    ageMs: age / 10,
    wantedInMs,
    tenant,
    weight,
    isSilent,
    session,
    homes,
  };
}

function readHomes(): PlaceHome[] | undefined {
  const count = reader.byte();
  if (count > HOMES_MAX) return undefined;
  const homes: PlaceHome[] = [];
  for (let at = 0; at < count; at += 1) {
    const place = reader.fixed48();
    const tokens = reader.varint();
    if (reader.bad || tokens > TOKENS_MAX) return undefined;
    homes.push({ place, tokens });
  }
  return homes;
}

function readBound(): DeskWord | undefined {
  const [id, place, tokens, waiting] = [reader.varint(), reader.fixed48(), reader.varint(), reader.varint()];
  const [ahead, work, kind] = [reader.varint(), reader.varint(), reader.byte()];
  if (tokens < 1 || tokens > TOKENS_MAX || kind >= KINDS) return undefined;
  return { word: WORD.bound, id, place, tokens, waiting, aheadMs: ahead / 10, workMs: work / 10, kind };
}
