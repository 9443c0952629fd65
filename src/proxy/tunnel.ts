/**
 * A connection that was switched to another protocol, which is a WebSocket nearly always: bytes pass as they are, both
 * ways, and so do the ends of both ways: when one side ends its half in order, the other one's is ended behind what is
 * under way, and the other half goes on until it ends too. Frames are followed only so far that the ends can be told in their own language when one of them breaks or the
 * router stops (RFC 6455 section 7.4); where the bytes are no frames, the connection is cut instead. With policies in force
 * the client's messages are read for the models that they name (wire/socket-names.ts).
 */
import type { Downstream } from "./answer.ts";
import type { Attempt } from "./attempt.ts";
import type { MeshError } from "../base/errors.ts";
import { SocketNames } from "../wire/socket-names.ts";
import { CLOSE_CODE, closeFrame, FrameScanner } from "../wire/websocket.ts";
import type { ProxyConfig } from "./settings.ts";

/** Of a close frame, with its code. */
const REASON_BYTES_MAX = 123;
const NONE: readonly string[] = [];

export class Tunnel {
  readonly #target = new FrameScanner();
  readonly #client = new FrameScanner();
  readonly #names: SocketNames | null;
  #isOver = false;
  /** That side has ended its half, in order. */
  hasClientEnded = false;
  hasTargetEnded = false;

  /** `readsNames`: of models, in what the client says. */
  constructor(readsNames: boolean) {
    this.#names = readsNames ? new SocketNames() : null;
  }

  /** A message of the client's can't be read here, and may be at the target. */
  get isUnreadable(): boolean {
    return this.#names?.isUnreadable === true;
  }

  /** The models that bytes [start, end) of what the client says name. */
  namesIn(bytes: Uint8Array, start: number, end: number): readonly string[] {
    return this.#names?.push(bytes, start, end) ?? NONE;
  }

  /** A side that has heard that the other one has ended is not to be silent for as long as both may. */
  silentMsMax({ streamTimeoutMs, tunnelIdleMs }: Pick<ProxyConfig, "streamTimeoutMs" | "tunnelIdleMs">): number {
    return this.hasClientEnded || this.hasTargetEnded ? Math.min(streamTimeoutMs, tunnelIdleMs) : tunnelIdleMs;
  }

  fromTarget(bytes: Uint8Array, start: number, end: number): void {
    this.#target.push(bytes, start, end);
  }

  fromClient(bytes: Uint8Array, start: number, end: number): void {
    this.#client.push(bytes, start, end);
  }

  /** The router stops: both ends of a WebSocket are told, and close. */
  end(client: Downstream, target: Attempt | null): void {
    const goodbye = this.goodbye();
    if (goodbye === null) return;
    client.write(goodbye.toClient, 0, goodbye.toClient.length);
    target?.send(goodbye.toTarget, 0, goodbye.toTarget.length);
  }

  /** Close frames for both ends since the router stops; null while one is in mid-frame or has ended, or after they were sent. */
  goodbye(): { readonly toClient: Uint8Array; readonly toTarget: Uint8Array } | null {
    if (this.#isOver || this.hasClientEnded || this.hasTargetEnded) return null;
    if (!this.#mayClose(this.#target) || !this.#mayClose(this.#client)) return null;
    this.#isOver = true;
    const reason = "the router stops";
    return {
      toClient: closeFrame(CLOSE_CODE.goingAway, reason, false),
      toTarget: closeFrame(CLOSE_CODE.goingAway, reason, true),
    };
  }

  /**
   * What ends the client's side when the target's has broken, or when it said what it may not; null: the connection must be
   * cut.
   */
  brokenEnd({ source, message }: MeshError): Buffer | null {
    if (this.#isOver || this.hasTargetEnded || !this.#mayClose(this.#target)) return null;
    const isOwnFault = source === "client";
    const code = isOwnFault ? CLOSE_CODE.violation : CLOSE_CODE.internalError;
    const reason = isOwnFault ? message.slice(0, REASON_BYTES_MAX) : "the connection to the target broke";
    return Buffer.from(closeFrame(code, reason, false));
  }

  #mayClose(direction: FrameScanner): boolean {
    return direction.atBoundary && !direction.closed;
  }
}
