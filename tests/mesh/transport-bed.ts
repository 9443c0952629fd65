/** Live transports on loopback, and a raw socket to say to them what no transport would. */
import { randomBytes } from "node:crypto";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { CHANNEL } from "../../src/mesh/envelope.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import type { Listener } from "../../src/mesh/requests.ts";
import { transportSettings, type TransportLimits } from "../../src/mesh/settings.ts";
import { openTransport, type Transport, type TransportOptions } from "../../src/mesh/transport.ts";
import { eventually } from "../admin/raw-client.ts";

export const KEY = new Uint8Array(randomBytes(32));
export const LIMITS = defaultsOf(transportSettings);
export const TIMEOUT_MS = 5000;

export interface Node {
  readonly transport: Transport;
  readonly keyring: Keyring;
  /** "127.0.0.1:port". */
  readonly at: string;
  readonly received: { from: string; text: string }[];
  readonly errors: string[];
  readonly warnings: string[];
}

export interface RawUdp {
  readonly at: string;
  readonly port: number;
  readonly received: Uint8Array[];
  send(bytes: Uint8Array, to: number): void;
}

/** What one test opened; `close` ends it all. */
export class Bed {
  readonly #stops: (() => void)[] = [];

  close(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  async node(
    overrides: Partial<Omit<TransportOptions, "limits" | "keyring">> &
      Listener & {
        readonly limits?: Partial<TransportLimits>;
        readonly keys?: readonly Uint8Array[];
      } = {},
  ): Promise<Node> {
    const { keys = [KEY], limits, onPacket, onRequest, ...rest } = overrides;
    const keyring = new Keyring(keys);
    const node = { keyring, received: [], errors: [], warnings: [] } as unknown as Node;
    const transport = await openTransport({
      host: "127.0.0.1",
      port: 0,
      cluster: "test",
      keyring,
      onError: (error) => void node.errors.push(`${error.code}: ${error.message}`),
      onWarning: (message) => void node.warnings.push(message),
      ...rest,
      limits: { ...LIMITS, ...limits },
    });
    transport.listen(CHANNEL.membership, {
      onPacket: onPacket ?? ((from, bytes) => void node.received.push({ from, text: Buffer.from(bytes).toString() })),
      onRequest: onRequest ?? ((_from, bytes) => Buffer.concat([Buffer.from("re: "), bytes])),
    });
    this.#stops.push(() => transport.stop());
    return Object.assign(node, { transport, at: `127.0.0.1:${transport.port}` });
  }

  async rawUdp(): Promise<RawUdp> {
    const received: Uint8Array[] = [];
    const socket = await Bun.udpSocket({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (_socket, bytes) => void received.push(new Uint8Array(bytes)) },
    });
    this.#stops.push(() => socket.close());
    return {
      at: `127.0.0.1:${socket.port}`,
      port: socket.port,
      received,
      send: (bytes, to) => void socket.send(bytes, to, "127.0.0.1"),
    };
  }
}

export const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

/** Until a node has heard as many packets. */
export async function heard(node: Node, count: number): Promise<void> {
  await eventually(
    () => node.received.length >= count,
    TIMEOUT_MS,
    () => `heard ${node.received.length} of ${count}; ${JSON.stringify(node.transport.stats())}`,
  );
}
