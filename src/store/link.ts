/**
 * One connection between two nodes of the control plane: an introduction in the clear, then frames, sealed where the
 * mesh has a key.
 *
 * The opener's `hello` names the mesh, its store if it has one, and the key that it will seal with; the acceptor's
 * `welcome` takes it or says why not. Both texts salt the keys, so whoever changes one of them on the way breaks the
 * seal. The acceptor's first sealed frame shows the opener that it holds the key, and the other way round; nothing is
 * believed before that. Frames to a store of another cluster id are refused here: a member of one cluster never hears
 * another's.
 *
 * A link lives no longer than the key it is sealed by: it is closed when that key is taken out of the keyring, or, if it
 * is plain, when the mesh gets one.
 *
 * Limits: `HANDSHAKE_MS` for the introduction, and `HELLO_BYTES_MAX` for each of its frames, so that a stranger costs
 * little; a link over which nothing came for `SILENT_MS` is dead (each side says
 * something every `PING_MS`); one whose other side leaves more than `OUTBOX_BYTES_MAX` unread is cut.
 */
import { randomBytes } from "node:crypto";
import { Outbox, type WritableSocket } from "../net/outbox.ts";
import { FRAME_BYTES_MAX, framed, FrameReader } from "./frames.ts";
import { CHECKED, NONCE_BYTES, type Sealer, sealerOf, type SealKeys } from "./sealing.ts";

export const HANDSHAKE_MS = 3000;
const PING_MS = 1000;
const SILENT_MS = 5000;
const OUTBOX_BYTES_MAX = 64 * 2 ** 20;
const HELLO_BYTES_MAX = 4096;
const VERSION = 1;
const PING = new Uint8Array([0]);

/** A socket of Bun's, as far as a link needs one. */
export interface LinkSocket extends WritableSocket {
  end(): void;
  terminate(): void;
}

/** Who a node is on its links. */
export interface LinkIdentity {
  /** The mesh's name. */
  readonly cluster: string;
  readonly node: string;
  /** The cluster id of its store; "" while it has none. Looked at for each link. */
  readonly storeId: () => string;
  readonly keys: SealKeys;
}

export interface LinkHandlers {
  open(link: Link): void;
  /** Views that hold until it returns. */
  frame(link: Link, frame: Uint8Array): void;
  /** Once, also for a link that never opened. */
  closed(link: Link, why: string): void;
}

interface Hello {
  readonly v: number;
  readonly cluster: string;
  readonly node: string;
  readonly store: string;
  /** Fingerprint; "" for plain. */
  readonly key: string;
  readonly nonce: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export class Link {
  /** The other side's, once the link is open. */
  peer: { readonly node: string; readonly storeId: string } = { node: "", storeId: "" };
  readonly #identity: LinkIdentity;
  readonly #handlers: LinkHandlers;
  readonly #socket: LinkSocket;
  readonly #side: "opener" | "acceptor";
  readonly #outbox = new Outbox();
  readonly #reader = new FrameReader((frame) => this.#frame(frame), HELLO_BYTES_MAX);
  #state: "greeting" | "confirming" | "open" | "closed" = "greeting";
  #hello: Uint8Array = new Uint8Array(0);
  /** Without a key frames have a checksum: TCP's lets one damaged frame in some millions pass. */
  #sealer: Sealer = CHECKED;
  /** The fingerprint of what it is sealed by; "" for plain. */
  #key = "";
  #timer: ReturnType<typeof setInterval>;
  #heardMs = performance.now();
  #spokeMs = performance.now();

  constructor(socket: LinkSocket, side: "opener" | "acceptor", identity: LinkIdentity, handlers: LinkHandlers) {
    this.#socket = socket;
    this.#side = side;
    this.#identity = identity;
    this.#handlers = handlers;
    this.#timer = setInterval(() => this.#tick(), PING_MS);
    if (side === "opener") this.#sayHello();
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Sends one frame made of the parts. What is sent on a link that is not open is lost. */
  send(...parts: readonly Uint8Array[]): void {
    if (this.#state !== "open" && this.#state !== "confirming") return;
    this.#spokeMs = performance.now();
    this.#write(framed(...this.#sealer.seal(parts)));
  }

  /** What the socket brought. */
  data(bytes: Uint8Array): void {
    if (this.#state === "closed") return;
    this.#heardMs = performance.now();
    if (!this.#reader.push(bytes)) this.close("a frame of it is empty or too long");
  }

  /** The socket has room again. */
  drain(): void {
    if (this.#state !== "closed") this.#outbox.flush(this.#socket);
  }

  /** Cuts the link; `why` is told to its owner. */
  close(why: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    clearInterval(this.#timer);
    this.#outbox.clear();
    this.#socket.terminate();
    this.#handlers.closed(this, why);
  }

  #write(bytes: Uint8Array): void {
    this.#outbox.write(this.#socket, bytes, 0, bytes.length);
    if (this.#outbox.pending > OUTBOX_BYTES_MAX) this.close("it does not read what it is sent");
  }

  #tick(): void {
    const nowMs = performance.now();
    if (this.#state === "greeting" || this.#state === "confirming") {
      if (nowMs - this.#spokeMs > HANDSHAKE_MS) this.close("it did not introduce itself in time");
    } else if (nowMs - this.#heardMs > SILENT_MS) this.close("nothing was heard of it");
    else if (!this.#isKeyGood) this.close("the keys of the mesh have changed");
    else if (nowMs - this.#spokeMs >= PING_MS * 0.9) this.send(PING);
  }

  get #isKeyGood(): boolean {
    const keys = this.#identity.keys();
    return this.#key === "" ? keys.length === 0 : keys.some(({ fingerprint }) => fingerprint === this.#key);
  }

  #introduction(key: string): Hello {
    const { cluster, node, storeId } = this.#identity;
    return { v: VERSION, cluster, node, store: storeId(), key, nonce: randomBytes(NONCE_BYTES).toString("base64") };
  }

  #sayHello(): void {
    const primary = this.#identity.keys()[0];
    this.#hello = encoder.encode(JSON.stringify(this.#introduction(primary?.fingerprint ?? "")));
    this.#write(framed(this.#hello));
  }

  #frame(frame: Uint8Array): void {
    if (this.#state === "closed") return;
    if (this.#state === "greeting") return this.#side === "opener" ? this.#welcomed(frame) : this.#greeted(frame);
    const plain = this.#sealer.open(frame);
    if (plain === undefined) return this.close("what it sent can't be opened, or was damaged; is its key another?");
    if (this.#state === "confirming") {
      this.#state = "open";
      this.#reader.limit(FRAME_BYTES_MAX);
      if (this.#side === "opener") this.send(PING);
      this.#handlers.open(this);
    }
    if (plain[0] !== PING[0]) this.#handlers.frame(this, plain);
  }

  /** The acceptor reads the hello. */
  #greeted(frame: Uint8Array): void {
    const hello = readHello(frame);
    if (hello === undefined) return this.close("it does not speak this protocol");
    const { cluster, node, storeId, keys } = this.#identity;
    const key = keys().find(({ fingerprint }) => fingerprint === hello.key);
    const own = storeId();
    if (hello.v !== VERSION)
      return this.#refuse(`this node speaks version ${VERSION} of the control protocol, not ${hello.v}`);
    if (hello.cluster !== cluster)
      return this.#refuse(`this node belongs to the mesh ${cluster}, not ${hello.cluster}`);
    // Its own hello, sent back by somebody; or two nodes of one name.
    if (hello.node === node) return this.#refuse(`this node is called ${node} itself`);
    if (hello.store !== "" && own !== "" && hello.store !== own) {
      return this.#refuse(`this node's store is of the control cluster ${own}, not ${hello.store}`);
    }
    if (keys().length > 0 && key === undefined) {
      return this.#refuse(
        hello.key === "" ? "this mesh is sealed by a key; give this node one" : "no key of that fingerprint is here",
      );
    }
    if (keys().length === 0 && hello.key !== "") return this.#refuse("this node has no gossip key");
    const welcome = encoder.encode(JSON.stringify(this.#introduction(hello.key)));
    this.#write(framed(welcome));
    this.peer = { node: hello.node, storeId: hello.store };
    if (key !== undefined) this.#seal(frame, welcome);
    this.#state = "confirming";
    // The opener waits for this to know that the key is here.
    this.send(PING);
  }

  /** The opener reads the welcome. */
  #welcomed(frame: Uint8Array): void {
    const refused = readRefusal(frame);
    if (refused !== undefined) return this.close(refused);
    const welcome = readHello(frame);
    const hello = readHello(this.#hello);
    if (welcome === undefined || welcome.v !== VERSION || welcome.key !== hello?.key) {
      return this.close("it does not speak this protocol");
    }
    if (welcome.cluster !== hello.cluster || welcome.node === hello.node) {
      return this.close(`it says that it is ${welcome.node} of the mesh ${welcome.cluster}`);
    }
    if (welcome.store !== "" && hello.store !== "" && welcome.store !== hello.store) {
      return this.close(`its store is of the control cluster ${welcome.store}, not ${hello.store}`);
    }
    this.peer = { node: welcome.node, storeId: welcome.store };
    if (hello.key !== "") this.#seal(this.#hello, frame);
    this.#state = "confirming";
  }

  #seal(hello: Uint8Array, welcome: Uint8Array): void {
    const fingerprint = readHello(hello)?.key;
    const key = this.#identity.keys().find((one) => one.fingerprint === fingerprint);
    if (key === undefined) return this.close("the key that this link was opened with is gone");
    this.#key = key.fingerprint;
    const nonces = [hello.slice(), welcome.slice()] as const;
    this.#sealer = sealerOf({ key, cluster: this.#identity.cluster, nonces, side: this.#side });
  }

  #refuse(why: string): void {
    this.#write(framed(encoder.encode(JSON.stringify({ refused: why }))));
    if (this.#state === "closed") return;
    this.#state = "closed";
    clearInterval(this.#timer);
    // In order, so that the reason arrives.
    this.#socket.end();
    this.#handlers.closed(this, `refused: ${why}`);
  }
}

function jsonOf(frame: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(frame));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function readHello(frame: Uint8Array): Hello | undefined {
  const { v, cluster, node, store, key, nonce } = jsonOf(frame) ?? {};
  if (typeof v !== "number") return undefined;
  for (const text of [cluster, node, store, key, nonce]) if (typeof text !== "string") return undefined;
  return { v, cluster, node, store, key, nonce } as Hello;
}

function readRefusal(frame: Uint8Array): string | undefined {
  const refused = jsonOf(frame)?.["refused"];
  return typeof refused === "string" ? refused : undefined;
}
