/**
 * Which clients' calls are often reset at their targets, whoever's will that was: by their addresses, so that a client
 * that opens connection after connection is still one. Who has a quarter of the resets that retire a connection to a
 * target (http2-pool.ts) in the same time is restless, and its calls go on connections apart. Behind a gateway that
 * stands for all clients all are restless together, and it makes no difference.
 *
 * Limits: 1,024 addresses of a worker; the one whose calls have not been reset for longest makes way.
 */
import { ResetWindow } from "../wire/http2-resets.ts";
import { RESETS_WINDOW_MS } from "./http2-upstream.ts";

const ADDRESSES_MAX = 1024;
const SHARE = 4;

export class RestlessClients {
  /** By address, those that were reset last behind. */
  readonly #windows = new Map<string, ResetWindow>();

  /** What is known of a client's resets; null: there were none of late. */
  find(address: string): ResetWindow | null {
    return this.#windows.get(address) ?? null;
  }

  /** A call of the client's was reset; `resetsMax` as a target's connection is to bear. */
  note(address: string, resetsMax: number, nowMs: number): ResetWindow {
    const window = this.#windows.get(address) ?? new ResetWindow(Math.floor(resetsMax / SHARE), RESETS_WINDOW_MS);
    window.note(nowMs);
    this.#windows.delete(address);
    this.#windows.set(address, window);
    if (this.#windows.size > ADDRESSES_MAX) {
      for (const oldest of this.#windows.keys()) {
        this.#windows.delete(oldest);
        break;
      }
    }
    return window;
  }
}
