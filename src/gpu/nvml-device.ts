/**
 * Asking one device (a GPU, or a MIG device of one) for its figures.
 *
 * What a device does not have, or does not give us, is not asked for again for a minute. A buffer is filled with ones
 * before each call, which is "not available": a library that answers well and writes nothing gives no figure.
 *
 * Buffers are made once and shared; they are handed over anew at each call, never by an address that was kept.
 */
import type { Pointer } from "bun:ffi";
import { type BackendError } from "./backend.ts";
import { GpuGone, RC, meaningOf, troubleOf } from "./nvml-codes.ts";
import { longOf, textOf, versionWord, wordOf } from "./nvml-decode.ts";
import type {
  CHOICE_CALLS,
  LONG_CALLS,
  NvmlCalls,
  PAIR_CALLS,
  STRUCT_CALLS,
  TEXT_CALLS,
  WORD_CALLS,
} from "./nvml-symbols.ts";

/** How long what is refused is not asked for. */
export const QUIET_MS = 60_000;
const SCRATCH_BYTES = 512;

interface StructVersion {
  readonly bytes: number;
  readonly version: number;
}

/** An initialised library: its calls, and the buffers that every call of this thread may use. */
export class NvmlSession {
  readonly path: string;
  readonly calls: NvmlCalls;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For calls with a second place to write to. */
  readonly moreWords: Uint32Array<ArrayBuffer>;

  constructor(path: string, calls: NvmlCalls) {
    this.path = path;
    this.calls = calls;
    const scratch = new ArrayBuffer(SCRATCH_BYTES);
    this.words = new Uint32Array(scratch);
    this.bytes = new Uint8Array(scratch);
    this.moreWords = new Uint32Array(new ArrayBuffer(SCRATCH_BYTES));
  }

  /** The shared words, all ones. */
  blank(): Uint32Array<ArrayBuffer> {
    this.moreWords.fill(0xffff_ffff);
    return this.words.fill(0xffff_ffff);
  }

  /** A text that a call wrote into the shared bytes. */
  text(call: (bytes: Uint8Array<ArrayBuffer>) => number): string | undefined {
    this.bytes.fill(0);
    return call(this.bytes) === RC.ok ? textOf(this.bytes, 0, 96) : undefined;
  }

  trouble(call: string, rc: number): BackendError {
    return troubleOf(this.path, call, rc);
  }
}

export class NvmlDevice {
  readonly session: NvmlSession;
  readonly handle: Pointer;
  nowMs = 0;
  readonly #calls: NvmlCalls;
  /** Until when a figure is not asked for; only what was refused is in it. */
  readonly #quietUntilMs = new Map<string, number>();
  #answers = 0;
  #odd = 0;

  constructor(session: NvmlSession, handle: number, nowMs: number) {
    this.session = session;
    this.#calls = session.calls;
    this.handle = handle as Pointer;
    this.nowMs = nowMs;
  }

  begin(nowMs: number): void {
    this.nowMs = nowMs;
    this.#answers = 0;
    this.#odd = 0;
  }

  /** Throws where most of what was asked since `begin` was answered by "unknown error": the driver is stuck. */
  end(): void {
    if (this.#odd > this.#answers) throw new GpuGone("most of the calls", RC.unknown);
  }

  /** Whether there is an answer. Throws a GpuGone or a BackendError where none is to come. */
  heard(call: string, rc: number, key = call): boolean {
    if (rc === RC.ok) {
      this.#answers += 1;
      return true;
    }
    switch (meaningOf(rc)) {
      case "none":
        this.#answers += 1;
        this.#quietUntilMs.set(key, this.nowMs + QUIET_MS);
        break;
      case "odd":
        this.#odd += 1;
        break;
      case "gone":
        throw new GpuGone(call, rc);
      case "over":
        throw this.session.trouble(call, rc);
      default:
        this.#answers += 1;
    }
    return false;
  }

  isQuiet(key: string): boolean {
    if (this.#quietUntilMs.size === 0) return false;
    const until = this.#quietUntilMs.get(key);
    if (until === undefined) return false;
    if (this.nowMs < until) return true;
    this.#quietUntilMs.delete(key);
    return false;
  }

  word(name: keyof typeof WORD_CALLS): number | undefined {
    const call = this.#calls[name];
    if (call === undefined || this.isQuiet(name)) return undefined;
    const words = this.session.words;
    words[0] = 0xffff_ffff;
    return this.heard(name, call(this.handle, words)) ? wordOf(words, 0) : undefined;
  }

  choice(name: keyof typeof CHOICE_CALLS, which: number): number | undefined {
    const call = this.#calls[name];
    const key = `${name} ${which}`;
    if (call === undefined || this.isQuiet(key)) return undefined;
    const words = this.session.words;
    words[0] = 0xffff_ffff;
    return this.heard(name, call(this.handle, which, words), key) ? wordOf(words, 0) : undefined;
  }

  long(name: keyof typeof LONG_CALLS): number | undefined {
    const call = this.#calls[name];
    if (call === undefined || this.isQuiet(name)) return undefined;
    const words = this.session.words;
    words[0] = 0xffff_ffff;
    words[1] = 0xffff_ffff;
    return this.heard(name, call(this.handle, words)) ? longOf(words, 0) : undefined;
  }

  /** The first of two words; `second` is the other one. */
  pair(name: keyof typeof PAIR_CALLS): number | undefined {
    const call = this.#calls[name];
    const { words, moreWords } = this.session;
    words[0] = 0xffff_ffff;
    moreWords[0] = 0xffff_ffff;
    if (call === undefined || this.isQuiet(name)) return undefined;
    return this.heard(name, call(this.handle, words, moreWords)) ? wordOf(words, 0) : undefined;
  }

  /** The second word of the last `pair`. */
  get second(): number | undefined {
    return wordOf(this.session.moreWords, 0);
  }

  /** The shared words with the struct in them, to be read before the next call; `choice` is a struct's second word. */
  struct(name: keyof typeof STRUCT_CALLS, version?: StructVersion, choice?: number): Uint32Array | undefined {
    const call = this.#calls[name];
    const key = version === undefined ? name : `${name} ${version.version}`;
    if (call === undefined || this.isQuiet(key)) return undefined;
    const words = this.session.blank();
    if (version !== undefined) words[0] = versionWord(version.bytes, version.version);
    if (choice !== undefined) words[1] = choice;
    return this.heard(name, call(this.handle, words), key) ? words : undefined;
  }

  text(name: keyof typeof TEXT_CALLS, bytesMax: number): string | undefined {
    const call = this.#calls[name];
    if (call === undefined || this.isQuiet(name)) return undefined;
    this.session.bytes.fill(0);
    const rc = call(this.handle, this.session.bytes, bytesMax);
    return this.heard(name, rc) ? textOf(this.session.bytes, 0, bytesMax) : undefined;
  }
}
