/**
 * Asks a member of the mesh who it is, without becoming one: over TCP by a question that any member answers, then over UDP
 * by a ping. So it is told whether both ways are open, how long they take, and whether the clocks agree.
 *
 * Members are silent to strangers, whose key, cluster or clock is another one; that is told from nobody being there by the
 * connection, which they take and close. One without keys is known by a second question, which is plain.
 */
import { isIP } from "node:net";
import { toMeshError } from "../base/errors.ts";
import { parseAddress } from "../base/units.ts";
import type { PeerAnswer as Met } from "../diagnosis/network-checks.ts";
import { acknowledges, answered, ping, question } from "../swim/question.ts";
import { clusterMark } from "../swim/wire.ts";
import type { Endpoint } from "./addresses.ts";
import { nativeChecksum } from "./checksum.ts";
import { Envelope, KIND, PLAIN_HEADER_BYTES, SEALED_BYTES, sentAtSeconds } from "./envelope.ts";
import { Keyring } from "./keyring.ts";
import { ReplayTable } from "./replay.ts";
import type { GossipConfig } from "./settings.ts";
import { CLOSED, REFUSED, TcpClient } from "./tcp-client.ts";
import { Udp } from "./udp.ts";

/** What comes of asking: who asks does not know yet whether the address is its own. */
export type PeerAnswer = Exclude<Met, { readonly kind: "own" }>;

export interface ProbeOptions {
  readonly mesh: Pick<GossipConfig, "cluster" | "limits">;
  readonly keyring: Keyring;
  /** For each of the questions. */
  readonly timeoutMs: number;
  readonly nowSeconds?: () => number;
}

/** Datagrams may be lost. */
const PINGS = 3;

/** `address`: an IP address and a port. Never rejects. */
export async function probePeer(address: string, options: ProbeOptions): Promise<PeerAnswer> {
  const place = parseAddress(address);
  if (place === undefined || isIP(place.host) === 0)
    return { kind: "silent", message: "it is no IP address with a port" };
  const told = await new Probe(options, options.keyring).ask(place);
  if (told.kind !== "stranger" || options.keyring.primary === undefined) return told;
  const plain = await new Probe(options, new Keyring()).ask(place);
  return plain.kind === "answered" ? { kind: "plain" } : told;
}

class Probe {
  readonly #timeoutMs: number;
  readonly #nowSeconds: () => number;
  readonly #mark;
  readonly #envelope: Envelope;
  readonly #client: TcpClient;

  constructor({ mesh, timeoutMs, nowSeconds = wallSeconds }: ProbeOptions, keyring: Keyring) {
    const { cluster, limits } = mesh;
    const windowSeconds = Math.ceil(limits.replayWindowMs / 1000);
    this.#timeoutMs = timeoutMs;
    this.#nowSeconds = nowSeconds;
    this.#mark = clusterMark(cluster, nativeChecksum);
    this.#envelope = new Envelope({
      cluster,
      keyring,
      replays: new ReplayTable({ windowSeconds, sessionsMax: 64 }),
      windowSeconds,
      bytesMax: limits.frameBytesMax,
      nowSeconds,
    });
    this.#client = new TcpClient({
      frameBytesMin: PLAIN_HEADER_BYTES,
      frameBytesMax: limits.frameBytesMax + SEALED_BYTES,
      connectionsMax: 1,
    });
  }

  async ask(to: Endpoint): Promise<PeerAnswer> {
    const digest = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const request = this.#envelope.seal(KIND.request, question(this.#mark, digest));
    const startedMs = performance.now();
    let packet: Uint8Array;
    try {
      packet = await this.#client.ask(to, request, this.#timeoutMs);
    } catch (error) {
      const { message } = toMeshError(error);
      if (message === REFUSED) return { kind: "refused" };
      return message === CLOSED ? { kind: "stranger" } : { kind: "silent", message };
    }
    const tcpMs = performance.now() - startedMs;
    const frame = this.#envelope.open(KIND.response, packet, request);
    const told = typeof frame === "string" ? undefined : answered(this.#mark, frame);
    if (told === undefined) {
      return {
        kind: "silent",
        message: "what it answers is not understood: is that a --gossip port, of a version like this?",
      };
    }
    const sentAt = sentAtSeconds(packet);
    const secondsAhead = sentAt === undefined ? null : sentAt - this.#nowSeconds();
    return { kind: "answered", ...told, tcpMs, udpMs: await this.#ping(to, told.id), secondsAhead };
  }

  /** How long a datagram takes there and back; null where none comes. */
  async #ping(to: Endpoint, id: string): Promise<number | null> {
    const { promise, resolve } = Promise.withResolvers<number | null>();
    const sentMs: number[] = [];
    const udp = await Udp.open({ host: isIP(to.host) === 6 ? "::" : "0.0.0.0", port: 0 }, 65_536, {
      onDatagram: (bytes) => {
        const packet = this.#envelope.open(KIND.datagram, bytes);
        if (typeof packet === "string") return;
        const seq = sentMs.findIndex((_, at) => acknowledges(this.#mark, packet, at + 1));
        if (seq >= 0) resolve(performance.now() - (sentMs[seq] ?? 0));
      },
      onDrain() {},
      onUnreachable() {},
      onFailure() {},
    }).catch(() => undefined);
    if (udp === undefined) return null;
    const send = (): void => {
      if (sentMs.length === PINGS) return resolve(null);
      sentMs.push(performance.now());
      udp.send(this.#envelope.seal(KIND.datagram, ping(this.#mark, id, sentMs.length)), to.host, to.port);
    };
    send();
    const timer = setInterval(send, this.#timeoutMs / PINGS);
    try {
      return await promise;
    } finally {
      clearInterval(timer);
      udp.close();
    }
  }
}

function wallSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
