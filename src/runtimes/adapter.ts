/**
 * The seam between what a runtime speaks and who speaks with it. An adapter says what is to be asked and makes a reading
 * of the answers; sockets, deadlines and keys are the shell's, and when what is asked is the watch's (watch.ts).
 *
 *     const adapter = ...;                                  // one for each runtime: it holds the counters of before
 *     for (const look of adapter.looks) {
 *       const read = adapter.answered(look, await ask(look.ask), nowMs);
 *     }
 *     const { models, figures } = adapter.reading(nowMs);
 *
 * An adapter never throws for what a server answers: bytes of any kind come to a Read that says what is wrong.
 */
import type { ModelReading, RuntimeKind, RuntimeReading } from "./reading.ts";

/** Which of the runtime's ports: most have one, Triton three, TorchServe three. */
export type Port = "api" | "metrics" | "management" | "grpc";

export interface Ask {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly port: Port;
  /** With its query. */
  readonly path: string;
  readonly body?: string;
  /** Of the body; JSON where it is not said. */
  readonly contentType?: string;
  readonly accept?: string;
}

/** A whole answer, in time and within the size limit. */
export interface Answer {
  readonly status: number;
  /** As sent; "" where it was not. */
  readonly contentType: string;
  readonly body: Uint8Array;
}

/**
 * identity   which server is this, and its version: asked first, and anew when its process may be another one
 * health     does it serve
 * metrics    its figures
 * models     which models it has, and their states
 * detail     more of what the others tell (slots, the server's options): seldom, and nothing depends on it
 */
export type LookRole = "identity" | "health" | "metrics" | "models" | "detail";

/** Something to be asked again and again. */
export interface Look {
  /** Unique within its adapter. */
  readonly name: string;
  readonly role: LookRole;
  readonly ask: Ask;
  /** How seldom it is enough, where that is seldomer than usual for its role. */
  readonly everyMs?: number;
}

/**
 * not_ready       it loads still (503 of a health path)
 * foreign         this is not the server that it was said to be
 * denied          401 or 403
 * unreadable      garbage: neither what is expected nor a clear refusal
 * not_supported   this version or setup has no such path (404, 405, 501): it is asked seldom from then on
 */
export type ReadFault = "not_ready" | "foreign" | "denied" | "unreadable" | "not_supported";

export type Read =
  /** `note`: for people, where something is to be said of what was read. */
  | { readonly ok: true; readonly note?: string }
  | { readonly ok: false; readonly kind: ReadFault; readonly message: string };

export const READ: Read = { ok: true };

/** One for each runtime; it is told every answer in the order in which they came. */
export interface Adapter {
  readonly kind: RuntimeKind;
  /** What is asked now; it may change with what was answered, and is another list then. */
  readonly looks: readonly Look[];
  /**
   * Grows when an answer hints that the models are others now: then looks of role `models` are due, at once as long as
   * such hints come to something.
   */
  readonly modelsMark?: number;
  /** Grows with it where the hint is that somebody had one loaded or let go, which always comes to something. */
  readonly loadsMark?: number;
  /** What tells of models as they come and go, for as long as it is read; undefined where there is none. */
  readonly feed?: Feed | undefined;
  /** Whether that tells of all models that come and go, as far as one can see: then they are looked at more seldom. */
  readonly countsLoads?: boolean;
  /** Grows when an answer shows that another process gave it: then all is asked anew. */
  readonly processMark?: number;
  answered(look: Look, answer: Answer, nowMs: number): Read;
  reading(nowMs: number): RuntimeReading;
  /** Another process is at the port: counters begin anew, models and version are not known. */
  restarted(): void;
  /** Undefined where this runtime can't, or not by this way. `reading`: as it is known now, by whatever way. */
  load?(model: string, options: LoadOptions, reading: RuntimeReading): ModelCall | undefined;
  unload?(model: string, reading: RuntimeReading): ModelCall | undefined;
}

export interface LoadOptions {
  /** Where the runtime shall take it from: a path or name as the runtime understands it; "" for where it looks by itself. */
  readonly source: string;
  /** Of a LoRA adapter: the model that it adapts; "" for what is a model by itself. */
  readonly parent: string;
}

/** The asks are made one after the other; the call is done when the last is answered well and `settled` says so. */
export interface ModelCall {
  readonly asks: readonly Ask[];
  /** For how long an answer may take: some servers answer when the model is loaded, which takes minutes. */
  readonly patienceMs: number;
  /** Reads a line of an answer that comes in lines while it works; undefined for a line that tells nothing. */
  progress?(line: string): Progress | undefined;
  /** Why the answer to the ask at this place is a refusal; "" where it is fine. */
  fault(answer: Answer, index: number): string;
  /** Whether the reading shows that it is done. */
  settled(reading: RuntimeReading): boolean;
  /** Of servers that answer when it is done: what the last answer, which is fine, proves. */
  readonly proves?: (answer: Answer) => Proof | undefined;
}

/** A path whose answer goes on, in server-sent events, for as long as somebody reads it. */
export interface Feed {
  readonly ask: Ask;
  /** What the data of an event says: what is so of a model; that something is other; undefined where it says nothing. */
  read(data: string): FeedNews | undefined;
}

export type FeedNews = { readonly model: string; readonly proof: Proof } | "other";

/** What an answer proves before any look tells it (proofs.ts). */
export interface Proof {
  /** The models as they are then, of those that the looks tell. */
  models(told: readonly ModelReading[]): readonly ModelReading[];
  /** Names of the looks that tell it themselves; where it is left out, those of role `models`. */
  readonly toldBy?: readonly string[];
}

export interface Progress {
  readonly text: string;
  /** 0..1 */
  readonly fraction?: number;
}
