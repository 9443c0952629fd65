/** What a simulated router is given of the mesh. */
import type { Sent } from "./sent.ts";

/** Where requests go that a router sends, and those that it can't. */
export interface Network {
  /** The router's place in it. */
  readonly place: number;
  /** How many routers let one of them decide; 0: each decides alone. */
  readonly deciding: number;
  /** Says something to another router. */
  tell(router: number, packet: Uint8Array, nowMs: number): void;
  send(sent: Sent, nowMs: number): void;
  lost(): void;
  later(atMs: number, happens: (nowMs: number) => void): void;
  /** A number that no request has. */
  copyId(): number;
  /** What was sent is not wanted any more. */
  cancel(sent: Sent, nowMs: number): void;
}
