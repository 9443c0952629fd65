/** What carries a worker's streams: the epoll lane where it can be had and is not refused, else Bun's sockets. */
import { BunTransport } from "../net/bun-streams.ts";
import { EpollTransport } from "../net/epoll.ts";
import type { Transport } from "../net/stream.ts";
import { shareReadings } from "./clock.ts";
import type { ProxyConfig } from "./settings.ts";

/** With the reason where it is not the lane. */
export function openTransport({ transport }: ProxyConfig): { transport: Transport; reason: string } {
  if (transport === "bun") return { transport: new BunTransport(), reason: "asked for" };
  const lane = EpollTransport.open(shareReadings);
  return "reason" in lane ? { transport: new BunTransport(), reason: lane.reason } : { transport: lane, reason: "" };
}
