/**
 * A network of control nodes that can be cut between any two, in one direction or both. Each node is reached through a
 * relay of its own; who connects is read from the introduction that opens every link, which is not sealed.
 *
 * What is cut is silent, as when a cable is pulled: bytes vanish, and no connection is reset. When it is mended, the
 * connections that lost bytes are reset, since a stream with a hole in it is none.
 */
import { FrameReader } from "../../src/store/frames.ts";

interface Way {
  readonly from: string;
  readonly to: string;
}

class Passage {
  readonly client: Bun.Socket<Passage>;
  readonly to: string;
  server: Bun.Socket | null = null;
  /** Who opened it; "" until the introduction is there. */
  from = "";
  hasHole = false;
  #early: Uint8Array[] = [];
  readonly #reader = new FrameReader((frame) => {
    if (this.from === "") this.from = introduced(frame);
  });

  constructor(client: Bun.Socket<Passage>, to: string) {
    this.client = client;
    this.to = to;
  }

  /** What the opener sent; true when it may pass. */
  read(bytes: Uint8Array): void {
    if (this.from === "") this.#reader.push(bytes);
  }

  pass(bytes: Uint8Array): void {
    if (this.server === null) this.#early.push(bytes.slice());
    else this.server.write(bytes);
  }

  opened(server: Bun.Socket): void {
    this.server = server;
    for (const bytes of this.#early.splice(0)) server.write(bytes);
  }

  reset(): void {
    this.client.terminate();
    this.server?.terminate();
  }
}

function introduced(frame: Uint8Array): string {
  const { node } = JSON.parse(new TextDecoder().decode(frame)) as { node: string };
  return node;
}

export class FaultyNetwork {
  readonly #passages = new Set<Passage>();
  readonly #relays: Bun.TCPSocketListener<Passage>[] = [];
  #cuts: readonly Way[] = [];

  /** Opens the relay before a node; answers its port. */
  relay(to: string, port: number): number {
    const passages = this.#passages;
    const relay = Bun.listen<Passage>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (client) => {
          const passage = new Passage(client, to);
          client.data = passage;
          passages.add(passage);
          Bun.connect({
            hostname: "127.0.0.1",
            port,
            socket: {
              open: (server) => passage.opened(server),
              data: (_server, bytes) => {
                if (this.#isCut(passage.to, passage.from)) passage.hasHole = true;
                else client.write(bytes);
              },
              close: () => void client.end(),
              error() {},
              connectError: () => client.terminate(),
            },
          }).catch(() => client.terminate());
        },
        data: (client, bytes) => {
          const passage = client.data;
          passage.read(bytes);
          if (this.#isCut(passage.from, to)) passage.hasHole = true;
          else passage.pass(bytes);
        },
        close: ({ data }) => {
          passages.delete(data);
          data.server?.end();
        },
        error() {},
      },
    });
    this.#relays.push(relay);
    return relay.port;
  }

  /** Nothing goes from these to those any more; what was cut before is mended. */
  cut(ways: readonly Way[]): void {
    this.#cuts = ways;
    for (const passage of this.#passages) {
      const still = this.#isCut(passage.from, passage.to) || this.#isCut(passage.to, passage.from);
      if (passage.hasHole && !still) passage.reset();
    }
  }

  /** One node from all others, both ways. */
  isolate(node: string, others: readonly string[]): void {
    this.cut(
      others.flatMap((other) => [
        { from: node, to: other },
        { from: other, to: node },
      ]),
    );
  }

  mend(): void {
    this.cut([]);
  }

  stop(): void {
    for (const relay of this.#relays) relay.stop(true);
  }

  #isCut(from: string, to: string): boolean {
    return this.#cuts.some((way) => way.from === from && way.to === to);
  }
}
