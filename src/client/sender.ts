/** What sends requests, by whatever protocol, and whom it tells what came of each. */
import type { Flight } from "../load/flight.ts";

export interface Sender {
  /** Sends it; its end comes later, never from within this call. */
  send(flight: Flight): void;
  /** It is over: what it goes on is of no more use. */
  cancel(flight: Flight): void;
  close(): void;
}

export interface SenderEvents {
  /** So many more events with text came. */
  came(flight: Flight, texts: number, nowMs: number): void;
  /** "": it ended well. */
  ended(flight: Flight, failure: string, nowMs: number): void;
}

/** Of what a server says no more is kept. */
const WORDS_MAX = 200;

/** In words, for reports. */
export function wordsOf(error: unknown): string {
  const { code = "", message = String(error) } = error as { code?: string; message?: string };
  return (code === "" || message.includes(code) ? message : `${code}: ${message}`).slice(0, WORDS_MAX);
}

/** Whether nobody listens there. */
export function isRefusal(error: unknown): boolean {
  const { code = "", message = "" } = error as { code?: string; message?: string };
  return code === "ECONNREFUSED" || /ECONNREFUSED|: refused$/.test(message);
}
