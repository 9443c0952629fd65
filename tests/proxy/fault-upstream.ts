/**
 * An upstream that fails where it is told to: on accept, in the middle of a request, before, within or after its answer;
 * by a reset, by an orderly end, or by falling silent.
 */
import type { Socket } from "bun";
import { answer, chunk, SSE_HEAD } from "./harness.ts";

/** Where in an exchange it fails, in their order. */
export const STAGE = {
  /** As the connection comes. */
  accept: "accept",
  /** As the first byte of a request comes. */
  head: "head",
  /** With a part of the body read. */
  body: "body",
  /** With the whole request read, before the answer. */
  request: "request",
  /** Within the answer's head. */
  answerHead: "answer head",
  /** Behind the answer's head. */
  answerBegun: "answer begun",
  /** Within a body that has a length. */
  answerBody: "answer body",
  /** Between two chunks of a body that is no event stream. */
  chunks: "chunks",
  /** Between two events. */
  events: "events",
  /** Within a chunk of an event stream. */
  event: "event",
  /** Behind the last byte. */
  answered: "answered",
} as const;
export type Stage = (typeof STAGE)[keyof typeof STAGE];

export const ACTION = { reset: "reset", end: "end", stall: "stall" } as const;
export type Action = (typeof ACTION)[keyof typeof ACTION];

export const WHOLE = answer('{"ok":true}');
const HALF_BODY = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"half":';
const CHUNKED_HEAD = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/** What it has sent when it fails. */
const SENT: Readonly<Record<Stage, string>> = {
  [STAGE.accept]: "",
  [STAGE.head]: "",
  [STAGE.body]: "",
  [STAGE.request]: "",
  [STAGE.answerHead]: "HTTP/1.1 200 OK\r\ncontent-le",
  [STAGE.answerBegun]: "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
  [STAGE.answerBody]: HALF_BODY,
  [STAGE.chunks]: `${CHUNKED_HEAD}${chunk("some")}`,
  [STAGE.events]: `${SSE_HEAD}${chunk("data: one\n\n")}`,
  [STAGE.event]: `${SSE_HEAD}${chunk("data: one\n\n")}40\r\ndata: tw`,
  [STAGE.answered]: WHOLE,
};

interface Incoming {
  text: string;
  failed: boolean;
}

export class FaultUpstream {
  /** Request ids that it has read whole: what a runtime would have run. */
  readonly ran: string[] = [];
  readonly port: number;
  connections = 0;
  open = 0;
  readonly #listener: { stop(force?: boolean): void; port: number };
  readonly #stage: Stage;
  readonly #action: Action;

  constructor(stage: Stage, action: Action) {
    this.#stage = stage;
    this.#action = action;
    this.#listener = Bun.listen<Incoming>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = { text: "", failed: false };
          this.connections++;
          this.open++;
          if (stage === STAGE.accept) this.#fail(socket);
        },
        data: (socket, bytes) => this.#read(socket, bytes.toString("latin1")),
        close: () => {
          this.open--;
        },
      },
    });
    this.port = this.#listener.port;
  }

  stop(): void {
    this.#listener.stop(true);
  }

  #read(socket: Socket<Incoming>, bytes: string): void {
    const { data } = socket;
    data.text += bytes;
    if (data.failed) return;
    if (this.#stage === STAGE.head) {
      this.#fail(socket);
      return;
    }
    const headEnd = data.text.indexOf("\r\n\r\n") + 4;
    if (headEnd < 4) return;
    const head = data.text.slice(0, headEnd);
    const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (this.#stage === STAGE.body && data.text.length > headEnd) {
      this.#fail(socket);
      return;
    }
    if (data.text.length < headEnd + length) return;
    data.text = data.text.slice(headEnd + length);
    this.ran.push(/x-request-id: (\S+)/i.exec(head)?.[1] ?? "");
    this.#fail(socket);
  }

  #fail(socket: Socket<Incoming>): void {
    socket.data.failed = this.#stage !== STAGE.answered;
    const sent = SENT[this.#stage];
    if (sent !== "") socket.write(sent);
    if (this.#action === ACTION.stall) return;
    const leave = (): void => {
      if (this.#action === ACTION.reset) socket.terminate();
      else socket.end();
    };
    // A reset overtakes what was just written; what was sent is to be seen first.
    if (sent === "") leave();
    else setTimeout(leave, 5);
  }
}
