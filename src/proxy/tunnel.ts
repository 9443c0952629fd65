/**
 * A connection that was switched to another protocol, which is a WebSocket nearly always: bytes pass as they are, both
 * ways, and so do the ends of both ways: when one side ends its half in order, the other one's is ended behind what is
 * under way, and the other half goes on until it ends too. Frames are followed only so far that the ends can be told in their own language when one of them breaks or the
 * router stops (RFC 6455 section 7.4); where the bytes are no frames, the connection is cut instead.
 */
import { CLOSE_CODE, closeFrame, FrameScanner } from "../wire/websocket.ts";

export class Tunnel {
  readonly #target = new FrameScanner();
  readonly #client = new FrameScanner();
  #isOver = false;
  /** That side has ended its half, in order. */
  hasClientEnded = false;
  hasTargetEnded = false;

  fromTarget(bytes: Uint8Array, start: number, end: number): void {
    this.#target.push(bytes, start, end);
  }

  fromClient(bytes: Uint8Array, start: number, end: number): void {
    this.#client.push(bytes, start, end);
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

  /** What ends the client's side when the target's has broken; null: the connection must be cut. */
  brokenEnd(): Buffer | null {
    if (this.#isOver || this.hasTargetEnded || !this.#mayClose(this.#target)) return null;
    return Buffer.from(closeFrame(CLOSE_CODE.internalError, "the connection to the target broke", false));
  }

  #mayClose(direction: FrameScanner): boolean {
    return direction.atBoundary && !direction.closed;
  }
}
