/**
 * Calls of the API from one member to another, over the mesh's own sealed requests: an --api port listens on its
 * machine's loopback, and who stands at another machine is to reach a node all the same. What a member may be asked is
 * up to whoever serves; the answer is bytes, or an error with its code.
 *
 *     asked:     version 1, path (text), request (the rest)
 *     answered:  0, response (the rest)  |  1, code (text), message (text)
 */
import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { ERRORS, type ErrorCode, MeshError, toMeshError } from "../base/errors.ts";

const VERSION = 1;
const OK = 0;
const FAILED = 1;
const PATH_BYTES_MAX = 256;
const MESSAGE_BYTES_MAX = 4096;

/** Serves one call; throws a MeshError. */
export type CallHandler = (path: string, request: Uint8Array) => Promise<Uint8Array>;

export interface MemberCallsOptions {
  /** "host:port" of a member's gossip; undefined for nobody who lives. */
  address(id: string): string | undefined;
  request(to: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
}

export class MemberCalls {
  readonly #options: MemberCallsOptions;
  #handler: CallHandler | null = null;

  constructor(options: MemberCallsOptions) {
    this.#options = options;
  }

  /** What others ask is answered by this from now on. */
  serve(handler: CallHandler): void {
    this.#handler = handler;
  }

  /** The answer of that member; throws a MeshError, its own or the way's. */
  async ask(id: string, path: string, request: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const to = this.#options.address(id);
    if (to === undefined) throw new MeshError("not_found", `${id} is not in the mesh now`);
    const out = new ByteWriter(64 + request.length, true);
    out.byte(VERSION);
    out.text(path);
    out.reserve(request.length);
    out.copy(request);
    let answer: Uint8Array;
    try {
      answer = await this.#options.request(to, out.bytes(), timeoutMs);
    } catch (error) {
      const { code, message } = toMeshError(error);
      throw new MeshError(code, `${id} at ${to}: ${message}`, { cause: error });
    }
    return answerIn(id, answer);
  }

  /** Answers another member; undefined for what is no call. */
  async answer(bytes: Uint8Array): Promise<Uint8Array | undefined> {
    const reader = new ByteReader();
    reader.read(bytes);
    const version = reader.byte();
    const path = reader.text(PATH_BYTES_MAX);
    if (reader.bad || version !== VERSION || this.#handler === null) return undefined;
    const out = new ByteWriter(256, true);
    try {
      const response = await this.#handler(path, bytes.slice(reader.at));
      out.byte(OK);
      out.reserve(response.length);
      out.copy(response);
    } catch (error) {
      const { code, message } = error instanceof MeshError ? error : new MeshError("internal", "internal error");
      out.byte(FAILED);
      out.text(code);
      out.text(message.slice(0, MESSAGE_BYTES_MAX / 4));
    }
    return out.bytes();
  }
}

function answerIn(id: string, bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader();
  reader.read(bytes);
  const kind = reader.byte();
  if (kind === OK && !reader.bad) return bytes.slice(reader.at);
  const code = reader.text(PATH_BYTES_MAX);
  const message = reader.text(MESSAGE_BYTES_MAX);
  if (reader.bad || kind !== FAILED) throw new MeshError("upstream_failed", `${id} answers what can't be read`);
  throw new MeshError(Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : "upstream_failed", `${id}: ${message}`);
}
