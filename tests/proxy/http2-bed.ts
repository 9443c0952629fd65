/** Clients and targets of HTTP/2 for tests of the relay: the project's own core at both ends, over real sockets. */
import { afterEach } from "bun:test";
import type { Socket } from "bun";
import type { HeaderBlock } from "../../src/wire/header-block.ts";
import { fieldOf } from "../../src/wire/header-field.ts";
import { Http2Connection, type Http2Options } from "../../src/wire/http2-connection.ts";
import { H2_ERROR } from "../../src/wire/http2-frames.ts";
import type { Http2Stream, StreamOwner } from "../../src/wire/http2-stream.ts";
import { WaitingBytes } from "../../src/proxy/waiting-bytes.ts";
import { by, fixtures, type Relay, until } from "./harness.ts";

const OPTIONS: Http2Options = {
  streamsMax: 100,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 1_048_576,
  listBytesMax: 65_536,
  outputBytesMax: 1 << 20,
};

export type Fields = Readonly<Record<string, string>>;

/** A message as gRPC frames it. */
export function framed(message: string | Uint8Array, flag = 0): Buffer {
  const bytes = Buffer.from(message);
  const head = Buffer.alloc(5, 0);
  head[0] = flag;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** A protobuf message of string fields. */
export function proto(fields: Readonly<Record<number, string>>): Buffer {
  return Buffer.concat(
    Object.entries(fields).flatMap(([number, text]) => [
      Buffer.from([(Number(number) << 3) | 2, Buffer.byteLength(text)]),
      Buffer.from(text),
    ]),
  );
}

export function encoded(fields: Fields): Buffer {
  return Buffer.concat(Object.entries(fields).map(([name, value]) => fieldOf(name, value).encoded));
}

function fieldsOf(block: HeaderBlock): Record<string, string> {
  return Object.fromEntries(block.fields.map((field) => [Buffer.from(field.name.bytes).toString(), field.text]));
}

/** One side's view of a stream: what came on it so far. */
export class Call implements StreamOwner {
  head: Record<string, string> = {};
  tail: Record<string, string> | null = null;
  readonly #heard = new WaitingBytes();
  /** The other side has sent its last frame. */
  ended = false;
  /** The code of the reset that ended it before its time. */
  code: number | null = null;
  readonly end: End;
  stream: Http2Stream | null = null;
  /** False: nothing is consumed. */
  consumes = true;
  onBody: ((call: Call) => void) | null = null;
  isWritable = true;

  constructor(end: End) {
    this.end = end;
  }

  get bytes(): Buffer {
    return this.#heard.bytes;
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  /** The messages that are whole. */
  get messages(): string[] {
    const out: string[] = [];
    const { bytes } = this;
    for (let at = 0; at + 5 <= bytes.length;) {
      const stop = at + 5 + bytes.readUInt32BE(at + 1);
      if (stop > bytes.length) break;
      out.push(bytes.toString("latin1", at + 5, stop));
      at = stop;
    }
    return out;
  }

  get isOver(): boolean {
    return this.ended || this.code !== null;
  }

  /** `grpc-status`, wherever it stood. */
  get status(): number {
    return Number((this.tail ?? this.head)["grpc-status"] ?? -1);
  }

  get message(): string {
    return decodeURIComponent((this.tail ?? this.head)["grpc-message"] ?? "");
  }

  respond(fields: Fields, ended = false): this {
    const bytes = encoded(fields);
    this.end.connection.sendHead(this.stream!, bytes, 0, bytes.length, ended);
    return this.flushed();
  }

  send(bytes: Uint8Array, ended = false): this {
    this.isWritable = this.end.connection.sendBody(this.stream!, bytes, 0, bytes.length, ended);
    return this.flushed();
  }

  /** A whole unary answer. */
  answer(message: string, extra: Fields = {}): this {
    return this.respond(GRPC_HEAD)
      .send(framed(message))
      .respond({ "grpc-status": "0", ...extra }, true);
  }

  reset(code: number = H2_ERROR.cancel): this {
    this.end.connection.reset(this.stream!, code);
    return this.flushed();
  }

  consume(bytes: number): this {
    this.end.connection.consume(this.stream!, bytes);
    return this.flushed();
  }

  async over(): Promise<this> {
    await until(() => this.isOver);
    return this;
  }

  flushed(): this {
    this.end.flush();
    return this;
  }

  answered(_stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    this.head = fieldsOf(block);
    this.head[":status"] = String(block.status);
    this.ended = ended;
  }

  body(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    this.#heard.keep(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start));
    if (this.consumes) this.end.connection.consume(stream, end - start);
    this.ended = ended;
    this.onBody?.(this);
  }

  trailers(_stream: Http2Stream, block: HeaderBlock): void {
    this.tail = fieldsOf(block);
    this.ended = true;
    this.onBody?.(this);
  }

  writable(): void {
    this.isWritable = true;
  }

  lost(_stream: Http2Stream, code: number): void {
    this.code = code;
    this.onBody?.(this);
  }
}

export const GRPC_HEAD: Fields = { ":status": "200", "content-type": "application/grpc" };

/** One end of one connection. */
export class End {
  readonly connection: Http2Connection;
  socket: Socket | null = null;
  closed = false;
  isAway = false;
  failure: number | null = null;
  readonly calls: Call[] = [];

  constructor(isServer: boolean, options: Partial<Http2Options>, requested: (call: Call) => void = () => {}) {
    this.connection = new Http2Connection(
      isServer,
      { ...OPTIONS, ...options },
      {
        requested: (stream, block, ended) => {
          const call = new Call(this);
          call.stream = stream;
          call.head = fieldsOf(block);
          call.ended = ended;
          stream.owner = call;
          this.calls.push(call);
          requested(call);
        },
        goingAway: () => {
          this.isAway = true;
        },
        settled: () => {},
        failed: (code) => {
          this.failure = code;
        },
      },
    );
  }

  flush(): void {
    const { output } = this.connection;
    while (this.socket !== null && output.pending > 0) {
      const taken = this.socket.write(output.bytes, output.start, output.pending);
      if (taken <= 0) return;
      output.sent(taken);
      this.connection.drained();
    }
  }

  handlers() {
    return {
      open: (socket: Socket): void => {
        this.socket = socket;
        this.flush();
      },
      data: (_socket: Socket, bytes: Buffer): void => {
        this.connection.receive(bytes, 0, bytes.length, performance.now());
        this.flush();
      },
      drain: (): void => this.flush(),
      close: (): void => {
        this.closed = true;
        this.connection.lose(false);
      },
    };
  }

  cut(): void {
    this.socket?.terminate();
  }
}

export const UNARY = "/inference.GRPCInferenceService/ModelInfer";

export class H2Client extends End {
  static async open(port: number, options: Partial<Http2Options> = {}): Promise<H2Client> {
    const client = new H2Client(false, options);
    await Bun.connect({ hostname: "127.0.0.1", port, socket: client.handlers() });
    return client;
  }

  request(fields: Fields, ended = false): Call {
    return this.requestBytes(encoded(fields), ended);
  }

  /** Begins a request whose encoded fields are these. */
  requestBytes(bytes: Uint8Array, ended = false): Call {
    const call = new Call(this);
    call.stream = this.connection.open(call, bytes, 0, bytes.length, ended);
    if (call.stream === null) throw new Error("the peer takes no more streams");
    this.calls.push(call);
    this.flush();
    return call;
  }

  /** Begins a gRPC call. */
  call(path: string = UNARY, metadata: Fields = {}): Call {
    return this.request({
      ":method": "POST",
      ":scheme": "http",
      ":path": path,
      ":authority": "test",
      te: "trailers",
      "content-type": "application/grpc",
      ...metadata,
    });
  }

  /** A whole unary call of model "m". */
  unary(message = "hi", metadata: Fields = {}, path: string = UNARY): Promise<Call> {
    return this.call(path, { "x-infermesh-model": "m", ...metadata })
      .send(framed(message), true)
      .over();
  }
}

/** A target that speaks HTTP/2: each request goes to a script when it begins. */
export class H2Target {
  readonly ends: End[] = [];
  readonly calls: Call[] = [];
  readonly port: number;
  readonly #listener: { stop(force?: boolean): void; port: number };

  constructor(script: (call: Call, nth: number) => void, options: Partial<Http2Options> = {}, port = 0) {
    const { ends, calls } = this;
    this.#listener = Bun.listen<End>({
      hostname: "127.0.0.1",
      port,
      socket: {
        open(socket) {
          const end = new End(true, options, (call) => {
            calls.push(call);
            script(call, calls.length);
          });
          ends.push(end);
          socket.data = end;
          end.handlers().open(socket as unknown as Socket);
        },
        data: (socket, bytes) => socket.data.handlers().data(socket as unknown as Socket, bytes),
        drain: (socket) => socket.data.handlers().drain(),
        close: (socket) => socket.data.handlers().close(),
      },
    });
    this.port = this.#listener.port;
  }

  stop(): void {
    this.#listener.stop(true);
  }
}

/** Answers when the request is whole: its messages, joined. */
export function echo(call: Call): void {
  whenWhole(call, () => call.answer(call.messages.join("+")));
}

export function whenWhole(call: Call, then: () => void): void {
  if (call.ended) then();
  else
    call.onBody = () => {
      if (!call.ended) return;
      call.onBody = null;
      then();
    };
}

/** Targets and clients that end with the test that made them. */
export function http2Fixtures(): {
  target: (...args: ConstructorParameters<typeof H2Target>) => H2Target;
  client: (...args: Parameters<typeof H2Client.open>) => Promise<H2Client>;
} {
  const opened: { stop(): void }[] = [];
  afterEach(() => {
    for (const one of opened.splice(0)) one.stop();
  });
  return {
    target: (...args) => {
      const made = new H2Target(...args);
      opened.push(made);
      return made;
    },
    client: async (...args) => {
      const made = await H2Client.open(...args);
      opened.push({ stop: () => made.cut() });
      return made;
    },
  };
}

/** What tests of the gRPC lane have at hand; a `bed` is a relay in front of one target, and a client of it. */
export function grpcFixtures() {
  const { relay, upstream } = fixtures();
  const { target, client } = http2Fixtures();
  const bed = async (
    script: (call: Call, nth: number) => void,
    config: ConstructorParameters<typeof Relay>[1] = {},
    options: Partial<Http2Options> = {},
  ) => {
    const up = target(script, options);
    const router = relay([by("grpc", up.port)], config);
    return { up, router, client: await client(router.port) };
  };
  return { relay, upstream, target, client, bed };
}
