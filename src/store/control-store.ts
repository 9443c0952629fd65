/**
 * The policies at a control node: a member of the consensus. Reads are answered from its own state machine, consistent
 * ones after the leader has confirmed how far that must have come; writes go to the leader, wherever it is, and are tried
 * again under their key until they are answered or their time is over.
 */
import { type ErrorCode, MeshError, toMeshError } from "../base/errors.ts";
import { randomBytes } from "node:crypto";
import { type Command, encodeCommand, readCommand } from "../policy/command.ts";
import type { Kind } from "../policy/spec.ts";
import type { Applied } from "../policy/machine.ts";
import type { Outcome } from "../policy/outcome.ts";
import type { Write } from "../policy/write.ts";
import type { Grant, Want } from "../policy/want.ts";
import { type Member, NOBODY } from "../raft/entry.ts";
import { Body } from "./bodies.ts";
import type { Incoming } from "./calls.ts";
import { type Observer, statusOf } from "./control-status.ts";
import { Watchers } from "./copy.ts";
import { Feed } from "./feed.ts";
import type {
  Listing,
  MemberChange,
  PolicyStore,
  ReadOptions,
  StoreStatus,
  Watcher,
  WriteOptions,
} from "./policy-store.ts";
import type { RaftNode } from "./raft-node.ts";
import { decodeSaved, encodeSaved, restoreInto } from "./saved.ts";
import { Steward } from "./steward.ts";

const TIMEOUT_MS = 5000;
/** For one try to have the leader confirm a read. */
const READ_MS = 300;
/** Between two tries while nobody leads. */
const RETRY_MS = 25;
/** A follower is turned away by a control node that has not heard of a leader for so long. */
const LEADERLESS_MS = 3000;

/** What another try, under the same key, may mend. */
const PASSING = new Set<ErrorCode>(["not_leader", "upstream_failed", "request_timeout"]);

export interface ControlStoreOptions extends Observer {
  readonly node: RaftNode;
  /** Where a member is reached now; undefined while nobody knows. */
  readonly addressOf: (member: Member) => string | undefined;
  readonly ask: (address: string, method: string, body: unknown, timeoutMs: number) => Promise<unknown>;
  /** This node was taken out. */
  readonly onRemoved: () => void;
  readonly log: { info(message: string, fields?: object): void; warn(message: string, fields?: object): void };
}

/** A command before the leader dates it. */
type Undated = { [K in Command["op"]]: Omit<Extract<Command, { readonly op: K }>, "atMs"> }[Command["op"]];

/** Seats are not dated: they change nothing that depends on time. */
function dated(undated: Undated): Command {
  return undated.op === "write" || undated.op === "lease" ? { ...undated, atMs: Date.now() } : undated;
}

export class ControlStore implements PolicyStore {
  readonly engine = "embedded";
  readonly #options: ControlStoreOptions;
  readonly #node: RaftNode;
  readonly #watchers = new Watchers();
  readonly #feeds = new Set<Feed>();
  readonly #steward: Steward;
  #ledAtMs = performance.now();
  #timer: ReturnType<typeof setInterval>;
  #stopped = false;

  constructor(options: ControlStoreOptions) {
    this.#options = options;
    this.#node = options.node;
    this.#steward = new Steward({ ...options, submit: (command, timeoutMs) => this.#submit(command, timeoutMs) });
    this.#timer = setInterval(() => this.#tick(), 250);
  }

  /** What entries did, for whoever watches. */
  applied(applied: readonly Applied[]): void {
    for (const { changes, outcome } of applied) {
      if (outcome.ok) this.#watchers.changed(changes, outcome.revision);
    }
  }

  restored(): void {
    this.#watchers.reset(this.#listing());
  }

  async list(options: ReadOptions & { readonly kind?: Kind } = {}): Promise<Listing> {
    await this.#confirm(options);
    return this.#listing(options.kind);
  }

  async get(kind: Kind, name: string, options: ReadOptions = {}): ReturnType<PolicyStore["get"]> {
    await this.#confirm(options);
    return { item: this.#node.machine.get(kind, name) ?? null, revision: this.#node.machine.revision };
  }

  async write(writes: readonly Write[], options: WriteOptions = {}): Promise<Outcome> {
    const command: Undated = { op: "write", key: options.key ?? randomKey(), writes };
    const answer = await this.#submit(command, options.timeoutMs ?? TIMEOUT_MS);
    return answer as Outcome;
  }

  async lease(wants: readonly Want[], options: { readonly timeoutMs?: number } = {}): Promise<readonly Grant[]> {
    const command: Undated = { op: "lease", key: randomKey(), wants };
    return (await this.#submit(command, options.timeoutMs ?? TIMEOUT_MS)) as readonly Grant[];
  }

  watch(watcher: Watcher): () => void {
    return this.#watchers.add(watcher, this.#listing());
  }

  async status(): Promise<StoreStatus> {
    return statusOf(this.#node, this.#options);
  }

  async changeMembers(change: MemberChange, timeoutMs: number): Promise<void> {
    await this.#atLeader("members", { change, timeoutMs }, timeoutMs, () => this.#steward.change(change, timeoutMs));
  }

  async save(timeoutMs: number): Promise<Uint8Array> {
    return encodeSaved(await this.list({ consistent: true, timeoutMs }), Date.now());
  }

  async restore(saved: Uint8Array, timeoutMs: number): Promise<Outcome> {
    return restoreInto(this, decodeSaved(saved), timeoutMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    for (const feed of this.#feeds) feed.end(stopping());
    await this.#node.stop();
  }

  /** A call of another node. */
  async call(incoming: Incoming): Promise<unknown> {
    const { method } = incoming;
    const body = new Body(method, incoming.body);
    switch (method) {
      case "submit":
        return this.#propose(body.record("command") as Undated, body.whole("timeoutMs"));
      // A follower asks whichever control node it knows; a control node asks the leader only, so that no call goes round.
      case "submit-any":
        return this.#submit(body.record("command") as Undated, body.whole("timeoutMs"));
      case "members-any":
        return (await this.changeMembers(body.record("change") as MemberChange, body.whole("timeoutMs")), {});
      case "members":
        return (await this.#steward.change(body.record("change") as MemberChange, body.whole("timeoutMs")), {});
      case "join-any":
        return this.#atLeader("join", incoming.body as object, body.whole("timeoutMs"), () => this.#joined(body));
      case "join":
        return this.#joined(body);
      case "list":
        return this.list({ consistent: true, timeoutMs: body.whole("timeoutMs") });
      case "status":
        return this.status();
      case "follow":
        return this.#follow(incoming, body);
      default:
        throw new MeshError(
          "not_supported",
          `this control node knows no call "${method}"; it may run an older version`,
        );
    }
  }

  #listing(kind?: Kind): Listing {
    const { machine } = this.#node;
    return { items: machine.list(kind), revision: machine.revision };
  }

  async #confirm({ consistent = false, timeoutMs = TIMEOUT_MS }: ReadOptions): Promise<void> {
    if (!consistent) return;
    const untilMs = performance.now() + timeoutMs;
    // A question or its answer may be lost on the way: asked again soon, and not only at the end.
    await this.#retried(untilMs, (leftMs) => this.#node.read(Math.min(leftMs, READ_MS)));
  }

  /** At the leader, here or elsewhere. */
  #submit(command: Undated, timeoutMs: number): Promise<unknown> {
    return this.#atLeader("submit", { command, timeoutMs }, timeoutMs, (leftMs) => this.#propose(command, leftMs));
  }

  async #propose(undated: Undated, timeoutMs: number): Promise<unknown> {
    const bytes = encodeCommand(dated(undated));
    const read = readCommand(bytes);
    if ("bad" in read) throw new MeshError("bad_request", read.bad);
    const applied = await this.#node.propose(bytes, timeoutMs);
    return read.op === "lease" ? applied?.grants : applied?.outcome;
  }

  async #atLeader<A>(
    method: string,
    body: object,
    timeoutMs: number,
    here: (leftMs: number) => Promise<A>,
  ): Promise<unknown> {
    return this.#retried(performance.now() + timeoutMs, async (leftMs) => {
      const { leader } = this.#node.raft.status();
      if (leader === this.#options.self) return here(leftMs);
      const address = this.#options.addressOf(leader);
      if (address === undefined) throw new MeshError("not_leader", "no leader is known");
      const asked = this.#options.ask(address, method, { ...body, timeoutMs: Math.ceil(leftMs) }, leftMs);
      return this.#whileLed(leader, asked);
    });
  }

  /** What a leader is asked, unless another one takes its place: it may be cut off, and never answer. */
  #whileLed(leader: Member, asked: Promise<unknown>): Promise<unknown> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setInterval(() => {
      if (this.#node.raft.status().leader === leader) return;
      reject(
        new MeshError("request_timeout", "the leader changed; what it was asked may have been done", {
          retryable: true,
        }),
      );
    }, RETRY_MS);
    asked.catch(() => {});
    return Promise.race([asked, promise]).finally(() => clearInterval(timer));
  }

  /** Again while the leader is being looked for, until the time is over. */
  async #retried<A>(untilMs: number, attempt: (leftMs: number) => Promise<A>): Promise<A> {
    let failure: MeshError | null = null;
    for (;;) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) throw failure ?? noQuorum();
      try {
        return await attempt(leftMs);
      } catch (thrown) {
        const error = toMeshError(thrown);
        if (!PASSING.has(error.code)) throw error;
        // Once it may have been done, that is what must be told.
        if (error.code === "request_timeout") failure = error;
        if (this.#stopped) throw failure ?? stopping();
        await Bun.sleep(Math.max(0, Math.min(RETRY_MS, untilMs - performance.now())));
      }
    }
  }

  async #joined(body: Body): Promise<unknown> {
    const newcomer = { member: body.whole("member"), node: body.text("node"), address: body.text("address") };
    await this.#steward.admit(newcomer, body.whole("timeoutMs"));
    return { cluster: this.#options.clusterId };
  }

  #follow(incoming: Incoming, body: Body): Promise<unknown> {
    if (this.#isLeaderless()) throw noQuorum();
    const isOurs = body.text("cluster") === this.#options.clusterId;
    const known = isOurs ? { revision: body.whole("revision") } : null;
    const feed = new Feed(incoming, known, (watcher) => this.watch(watcher));
    this.#feeds.add(feed);
    return feed.ended.finally(() => this.#feeds.delete(feed));
  }

  #isLeaderless(): boolean {
    return performance.now() - this.#ledAtMs > LEADERLESS_MS;
  }

  #tick(): void {
    const { leader } = this.#node.raft.status();
    if (leader !== NOBODY) this.#ledAtMs = performance.now();
    else if (this.#isLeaderless()) for (const feed of this.#feeds) feed.end(noQuorum());
    this.#steward.tick();
  }
}

function noQuorum(): MeshError {
  return new MeshError(
    "no_quorum",
    "no majority of the control nodes can be reached, so nothing can be changed now; what is in force stays so. Try again, and see `infermesh ctl control status`",
  );
}

function stopping(): MeshError {
  return new MeshError("draining", "this control node is stopping");
}

function randomKey(): string {
  return randomBytes(12).toString("base64url");
}
