/**
 * An engine's two sockets, as vLLM has them: a PUB that sends numbered batches to who subscribed, and a ROUTER that
 * replays the newest of them. ZMTP as in ../wire/zmtp-peer.ts, over TCP or unix sockets.
 */
import { rmSync } from "node:fs";
import type { Socket, TCPSocketListener } from "bun";
import { Outbox } from "../../src/net/outbox.ts";
import { commandOf, framesIn, greetingOf, messageOf, readyOf } from "../wire/zmtp-peer.ts";

interface Peer {
  bytes: Buffer;
  greeted: boolean;
  topics: string[];
  readonly outbox: Outbox;
}

export interface ZmqEngineOptions {
  /** Of ZMTP 3. */
  readonly minor?: number;
  /** Paths of unix sockets in the place of ports. */
  readonly paths?: readonly [string, string];
  readonly ports?: readonly [number, number];
  readonly bufferMax?: number;
  readonly topic?: string;
}

function write(socket: Socket<Peer>, bytes: Uint8Array): void {
  socket.data.outbox.write(socket, bytes, 0, bytes.length);
}

const COMMAND = 4;
const END = Buffer.alloc(8, 0xff);
const NONE = Buffer.alloc(0);

export class ZmqEngine {
  readonly minor: number;
  readonly #options: ZmqEngineOptions;
  readonly #pub: TCPSocketListener<Peer>;
  readonly #router: TCPSocketListener<Peer>;
  readonly #subscribers = new Set<Socket<Peer>>();
  #buffer: { number: Buffer; payload: Uint8Array }[] = [];
  #next = 0;
  /** Numbers from which a replay was asked for. */
  readonly asked: number[] = [];

  constructor(options: ZmqEngineOptions = {}) {
    this.#options = options;
    this.minor = options.minor ?? 1;
    this.#pub = this.#listen(0, "PUB", (socket, flags, body) => this.#subscription(socket, flags, body));
    let question: Buffer[] = [];
    this.#router = this.#listen(1, "ROUTER", (socket, flags, body) => {
      if ((flags & COMMAND) !== 0) return;
      question.push(Buffer.from(body));
      if ((flags & 1) !== 0) return;
      this.#replay(socket, question);
      question = [];
    });
  }

  get endpoint(): string {
    return this.#options.paths === undefined ? `tcp://127.0.0.1:${this.#pub.port}` : `ipc://${this.#options.paths[0]}`;
  }

  get replayEndpoint(): string {
    return this.#options.paths === undefined
      ? `tcp://127.0.0.1:${this.#router.port}`
      : `ipc://${this.#options.paths[1]}`;
  }

  get ports(): [number, number] {
    return [this.#pub.port, this.#router.port];
  }

  get subscribers(): number {
    return [...this.#subscribers].filter(({ data }) => data.topics.length > 0).length;
  }

  /** `isLost`: it is in the buffer, but nobody hears it. */
  publish(payload: Uint8Array, isLost = false): void {
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(BigInt(this.#next++));
    this.#buffer.push({ number, payload });
    const { bufferMax = 10_000, topic = "" } = this.#options;
    if (this.#buffer.length > bufferMax) this.#buffer.shift();
    if (isLost) return;
    const message = messageOf(Buffer.from(topic), number, payload);
    for (const socket of this.#subscribers) {
      if (socket.data.topics.some((prefix) => topic.startsWith(prefix))) write(socket, message);
    }
  }

  /** Cuts every subscription. */
  cut(): void {
    for (const socket of this.#subscribers) socket.terminate();
  }

  /** Another life: numbers begin at 0, and nothing is remembered. */
  forget(): void {
    this.#buffer = [];
    this.#next = 0;
  }

  stop(): void {
    this.#pub.stop(true);
    this.#router.stop(true);
    for (const path of this.#options.paths ?? []) rmSync(path, { force: true });
  }

  #subscription(socket: Socket<Peer>, flags: number, body: Buffer): void {
    const text = body.toString("latin1");
    if ((flags & COMMAND) !== 0 && text.startsWith("\x09SUBSCRIBE")) socket.data.topics.push(text.slice(10));
    else if ((flags & COMMAND) !== 0 && text.startsWith("\x04PING")) write(socket, commandOf("PONG", body.subarray(7)));
    else if ((flags & COMMAND) === 0 && body[0] === 1 && this.minor === 0) socket.data.topics.push(text.slice(1));
  }

  #replay(socket: Socket<Peer>, question: readonly Buffer[]): void {
    const [delimiter, start] = question;
    if (question.length !== 2 || delimiter!.length > 0 || start!.length !== 8) return;
    const from = start!.readBigUInt64BE();
    this.asked.push(Number(from));
    const answers = this.#buffer
      .filter(({ number }) => number.readBigUInt64BE() >= from)
      .map(({ number, payload }) => messageOf(NONE, number, payload));
    write(socket, Buffer.concat([...answers, messageOf(NONE, END, NONE)]));
  }

  #listen(
    which: 0 | 1,
    type: string,
    frame: (socket: Socket<Peer>, flags: number, body: Buffer) => void,
  ): TCPSocketListener<Peer> {
    const socket = {
      open: (peer: Socket<Peer>) => {
        peer.data = { bytes: NONE, greeted: false, topics: [], outbox: new Outbox() };
        if (which === 0) this.#subscribers.add(peer);
        write(peer, greetingOf({ minor: this.minor }));
      },
      data: (peer: Socket<Peer>, data: Buffer) => {
        const { data: state } = peer;
        state.bytes = Buffer.concat([state.bytes, data]);
        if (!state.greeted) {
          if (state.bytes.length < 64) return;
          state.greeted = true;
          state.bytes = state.bytes.subarray(64);
          write(peer, readyOf({ "Socket-Type": type }));
        }
        const { frames, rest } = framesIn(state.bytes);
        state.bytes = rest;
        for (const { flags, body } of frames) {
          if (!body.toString("latin1").startsWith("\x05READY")) frame(peer, flags, body);
        }
      },
      drain: (peer: Socket<Peer>) => void peer.data.outbox.flush(peer),
      close: (peer: Socket<Peer>) => void this.#subscribers.delete(peer),
    };
    const { paths, ports } = this.#options;
    if (paths !== undefined) {
      return Bun.listen<Peer>({ unix: paths[which], socket }) as unknown as TCPSocketListener<Peer>;
    }
    return Bun.listen<Peer>({ hostname: "127.0.0.1", port: ports?.[which] ?? 0, socket });
  }
}
