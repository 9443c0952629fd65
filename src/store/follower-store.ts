/**
 * The policies at a node that is no control node: a copy, kept by following one of them, and calls to it for what a copy
 * can't answer. When that one is gone, or has lost its majority, the next one is followed; while there is none, what is
 * known stays in force. The copy is written beside the node's other state, so that this also holds across a restart.
 *
 * A mesh may have two control clusters by mistake. Calls name the one that is followed, and others refuse them. Another one
 * is followed only after none of the first was reached for `LOYAL_MS`, and never one that is new and empty.
 */
import { isRecord } from "../base/field.ts";
import { type ErrorCode, MeshError, toMeshError } from "../base/errors.ts";
import type { Write } from "../policy/write.ts";
import type { Item } from "../policy/item.ts";
import type { Kind } from "../policy/spec.ts";
import type { Outcome } from "../policy/outcome.ts";
import type { Grant, Want } from "../policy/want.ts";
import { randomBytes } from "node:crypto";
import { Body, readPiece } from "./bodies.ts";
import { Copy } from "./copy.ts";
import { Arrival } from "./feed.ts";
import { CopyFile, type KeptCopy } from "./copy-file.ts";
import type {
  Listing,
  MemberChange,
  PolicyStore,
  ReadOptions,
  StoreStatus,
  Watcher,
  WriteOptions,
} from "./policy-store.ts";
import { decodeSaved, encodeSaved, restoreInto } from "./saved.ts";
import type { Ways } from "./ways.ts";

const TIMEOUT_MS = 5000;
/** Whoever asks how things are would rather hear soon that nobody can be reached. */
const STATUS_MS = 1000;
const RETRY_MS = 100;
const RETRY_MS_MAX = 1000;
/** Who comes is told of; this is for what was told amiss. */
const NOBODY_MS = 10_000;
/** Of a call's time, so that who is asked can say what is the matter before the caller gives up. */
const ASKED_SHARE = 0.9;
const LOYAL_MS = 10_000;

/** What another control node, or another try, may mend. */
const PASSING = new Set<ErrorCode>(["upstream_failed", "not_leader", "no_quorum", "draining", "request_timeout"]);

export interface FollowerStoreOptions {
  readonly ways: Ways;
  /** Control nodes' addresses, as the mesh tells them now; the nearest first. */
  readonly addresses: () => readonly string[];
  /** Where the copy is kept; "" for nowhere. */
  readonly file: string;
  /** In the place of what the file holds. */
  readonly known?: KeptCopy;
  readonly loyalMs?: number;
  readonly log: { info(message: string, fields?: object): void; warn(message: string, fields?: object): void };
}

interface Pieces {
  readonly onPiece?: (body: unknown) => void;
  /** Before each attempt. */
  readonly onBegin?: () => void;
}

export class FollowerStore implements PolicyStore {
  readonly engine = "follower";
  readonly #options: FollowerStoreOptions;
  readonly #copy = new Copy();
  readonly #file: CopyFile;
  /** Whose policies the copy holds; "" while it holds none. */
  #clusterId = "";
  /** Whom it follows now; "" for nobody. */
  #followed = "";
  #why = "no control node is known yet";
  #arriving: Item[] = [];
  #arrivingFrom = "";
  #stopped = false;
  /** Aborted at the end: what is followed is told that nobody listens any more. */
  readonly #end = new AbortController();
  /** When the cluster that is followed was heard last. */
  #heardMs = performance.now();
  #wake: () => void = () => {};

  constructor(options: FollowerStoreOptions) {
    this.#options = options;
    this.#file = new CopyFile(options.file, (why) => options.log.warn("the copy of the policies is not kept", { why }));
    const kept = options.known ?? this.#file.read();
    if (kept !== undefined) {
      this.#clusterId = kept.cluster;
      this.#copy.reset(kept.items, kept.revision);
    }
    void this.#follow();
  }

  async list(options: ReadOptions & { readonly kind?: Kind } = {}): Promise<Listing> {
    const { kind, consistent = false, timeoutMs = TIMEOUT_MS } = options;
    if (!consistent) return this.#copy.list(kind);
    const arrival = new Arrival();
    const onPiece = (value: unknown): void => arrival.take(value);
    await this.#ask("list", { timeoutMs }, timeoutMs, { onPiece, onBegin: () => arrival.begin() });
    return arrival.listing(kind);
  }

  async get(kind: Kind, name: string, options: ReadOptions = {}): ReturnType<PolicyStore["get"]> {
    if (options.consistent !== true) return { item: this.#copy.get({ kind, name }), revision: this.#copy.revision };
    const { items, revision } = await this.list({ ...options, kind });
    return { item: items.find((item) => item.name === name) ?? null, revision };
  }

  async write(writes: readonly Write[], options: WriteOptions = {}): Promise<Outcome> {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const command = { op: "write", key: options.key ?? randomBytes(12).toString("base64url"), writes };
    return (await this.#ask("submit-any", { command, timeoutMs }, timeoutMs)) as Outcome;
  }

  async lease(wants: readonly Want[], options: { readonly timeoutMs?: number } = {}): Promise<readonly Grant[]> {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const command = { op: "lease", key: randomBytes(12).toString("base64url"), wants };
    return (await this.#ask("submit-any", { command, timeoutMs }, timeoutMs)) as readonly Grant[];
  }

  watch(watcher: Watcher): () => void {
    return this.#copy.watch(watcher);
  }

  async status(): Promise<StoreStatus> {
    // A mesh without control nodes is usual, and each scrape of the metrics asks: nobody waits for one to come.
    const isAlone = this.#followed === "" && this.#options.addresses().length === 0;
    const told = isAlone
      ? this.#unreachable()
      : await this.#ask("status", {}, STATUS_MS).catch((error: unknown) => toMeshError(error));
    const own = { engine: this.engine, revision: this.#copy.revision, items: this.#copy.size } as const;
    if (isRecord(told) && Array.isArray(told["members"])) return { ...(told as unknown as StoreStatus), ...own };
    return {
      ...own,
      cluster: this.#clusterId,
      writable: false,
      alarm: told instanceof MeshError ? told.message : "the control node's answer makes no sense",
      term: 0,
      leader: "",
      commitIndex: 0,
      appliedIndex: 0,
      logBytes: 0,
      members: [],
      changing: false,
    };
  }

  async changeMembers(change: MemberChange, timeoutMs: number): Promise<void> {
    await this.#ask("members-any", { change, timeoutMs }, timeoutMs);
  }

  async save(timeoutMs: number): Promise<Uint8Array> {
    return encodeSaved(await this.list({ consistent: true, timeoutMs }), Date.now());
  }

  async restore(saved: Uint8Array, timeoutMs: number): Promise<Outcome> {
    return restoreInto(this, decodeSaved(saved), timeoutMs);
  }

  /** Control nodes came or went: look again at once. */
  lookAgain(): void {
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#end.abort();
    this.#wake();
    this.#file.write({ cluster: this.#clusterId, ...this.#copy.list() });
    this.#file.flush();
  }

  #unreachable(): MeshError {
    const message = `no control node can be reached (${this.#why}); see \`infermesh ctl control status\``;
    return new MeshError("no_quorum", message);
  }

  /** At a control node: the one that is followed first. What broke on the way is tried at the next, under the same key. */
  async #ask(method: string, body: object, timeoutMs: number, { onPiece, onBegin }: Pieces = {}): Promise<unknown> {
    const untilMs = performance.now() + timeoutMs;
    let failure = this.#unreachable();
    for (;;) {
      const others = this.#options.addresses().filter((address) => address !== this.#followed);
      for (const address of this.#followed === "" ? others : [this.#followed, ...others]) {
        const leftMs = untilMs - performance.now();
        if (leftMs <= 0 || this.#stopped) throw failure;
        try {
          const told = {
            ...body,
            ...("timeoutMs" in body ? { timeoutMs: Math.ceil(leftMs * ASKED_SHARE) } : {}),
            ...(this.#clusterId === "" ? {} : { cluster: this.#clusterId }),
          };
          onBegin?.();
          const options = { timeoutMs: leftMs, ...(onPiece === undefined ? {} : { onPiece }) };
          return await this.#options.ways.ask(address, method, told, options);
        } catch (thrown) {
          const error = toMeshError(thrown);
          // Once it may have been done, that is what must be told.
          if (!PASSING.has(error.code)) throw failure.code === "request_timeout" ? failure : error;
          if (error.code !== "upstream_failed" && failure.code !== "request_timeout") failure = error;
        }
      }
      if (untilMs - performance.now() <= RETRY_MS) throw failure;
      await Bun.sleep(RETRY_MS);
    }
  }

  async #follow(): Promise<void> {
    let turn = 0;
    let pauseMs = RETRY_MS;
    while (!this.#stopped) {
      const addresses = this.#options.addresses();
      const address = addresses[turn % Math.max(1, addresses.length)];
      turn += 1;
      if (address !== undefined && (await this.#followAt(address))) pauseMs = RETRY_MS;
      if (this.#stopped) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, address === undefined ? NOBODY_MS : pauseMs);
      await promise;
      clearTimeout(timer);
      // All of them once without a pause to speak of, then more slowly.
      if (turn >= addresses.length) pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX);
    }
  }

  /** Resolves when that node is not followed any more: true if it was for a while. */
  async #followAt(address: string): Promise<boolean> {
    let wasHeard = false;
    this.#arriving = [];
    const { ways, log } = this.#options;
    const { signal } = this.#end;
    try {
      const onPiece = (value: unknown): void => {
        const piece = readPiece(value);
        if (piece === undefined || this.#stopped) return;
        if (!wasHeard) {
          this.#followed = address;
          this.#why = "";
        }
        wasHeard = true;
        this.#heardMs = performance.now();
        this.#told(piece);
      };
      const told = await ways.ask(address, "about", {}, { timeoutMs: TIMEOUT_MS, signal });
      const { cluster, unasked, revision } = new Body("about", told).about();
      if (cluster === "") throw new MeshError("not_leader", `${address} is no control node`);
      const known = { cluster: this.#clusterId, revision: this.#copy.revision };
      if (known.cluster !== "" && cluster !== known.cluster) this.#expectHeir(cluster, unasked && revision === 0);
      this.#arrivingFrom = cluster;
      await ways.ask(address, "follow", known, { onPiece, signal });
    } catch (error) {
      if (this.#stopped) return wasHeard;
      this.#why = toMeshError(error).message;
      if (wasHeard) log.info("control node lost", { address, why: this.#why });
    }
    if (wasHeard) this.#heardMs = performance.now();
    this.#followed = "";
    return wasHeard;
  }

  /** Throws unless that cluster may take the place of the one that was followed. */
  #expectHeir(cluster: string, isNew: boolean): void {
    if (this.#copy.revision === 0) return;
    const { loyalMs = LOYAL_MS } = this.#options;
    const lost = `the control cluster ${this.#clusterId} can't be reached; its policies stay in force`;
    if (isNew) {
      throw new MeshError("no_quorum", `${lost}. ${cluster} is there, and is followed once something is written to it`);
    }
    if (performance.now() - this.#heardMs < loyalMs)
      throw new MeshError("no_quorum", `${lost}. ${cluster} is there as well`);
  }

  #told(piece: NonNullable<ReturnType<typeof readPiece>>): void {
    if ("same" in piece) return;
    if ("changes" in piece) this.#copy.changed(piece.changes, piece.revision);
    else {
      this.#arriving.push(...piece.items);
      if (piece.revision === undefined) return;
      if (this.#clusterId !== "" && this.#clusterId !== this.#arrivingFrom) {
        const change = { before: this.#clusterId, now: this.#arrivingFrom };
        this.#options.log.warn("another control cluster is followed now", change);
      }
      this.#clusterId = this.#arrivingFrom;
      this.#copy.reset(this.#arriving, piece.revision);
      this.#arriving = [];
    }
    this.#file.write({ cluster: this.#clusterId, ...this.#copy.list() });
  }
}
