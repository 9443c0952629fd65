/**
 * The policies at a control node: a member of the consensus. Reads are answered from its own state machine, consistent
 * ones after the leader has confirmed how far that must have come; writes go to the leader, wherever it is, and are tried
 * again under their key until they are answered or their time is over.
 */
import { MeshError } from "../base/errors.ts";
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
import { Arrival, Feed, pieces } from "./feed.ts";
import type {
  Listing,
  MemberChange,
  PolicyStore,
  ReadOptions,
  StoreStatus,
  Watcher,
  WriteOptions,
} from "./policy-store.ts";
import { type RaftNode, stopping } from "./raft-node.ts";
import { decodeSaved, encodeSaved, restoreInto } from "./saved.ts";
import { type Newcomer, Steward } from "./steward.ts";
import { noQuorum, Tries } from "./tries.ts";

const TIMEOUT_MS = 5000;
/** For one try to have the leader confirm a read. */
const READ_MS = 300;
/** A follower is turned away by a control node that has not heard of a leader for so long. */
const LEADERLESS_MS = 3000;

/** What any node of the mesh may have in the log; the rest is for members. */
const ANYBODYS = new Set<unknown>(["write", "lease"]);

export interface ControlStoreOptions extends Observer {
  readonly node: RaftNode;
  /** Where a member is reached now; undefined while nobody knows. */
  readonly addressOf: (member: Member) => string | undefined;
  readonly ask: (
    address: string,
    method: string,
    body: unknown,
    timeoutMs: number,
    onPiece?: (value: unknown) => void,
  ) => Promise<unknown>;
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
  readonly #tries: Tries;
  #ledAtMs = performance.now();
  #timer: ReturnType<typeof setInterval>;

  constructor(options: ControlStoreOptions) {
    this.#options = options;
    this.#node = options.node;
    this.#tries = new Tries(options);
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
    if (options.consistent === true && this.#lags) return this.#listElsewhere(options);
    await this.#confirm(options);
    return this.#listing(options.kind);
  }

  async get(kind: Kind, name: string, options: ReadOptions = {}): ReturnType<PolicyStore["get"]> {
    if (options.consistent === true && this.#lags) {
      const { items, revision } = await this.#listElsewhere({ ...options, kind });
      return { item: items.find((item) => item.name === name) ?? null, revision };
    }
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
    await this.#tries.atLeader("members", { change, timeoutMs }, timeoutMs, () =>
      this.#steward.change(change, timeoutMs),
    );
  }

  async save(timeoutMs: number): Promise<Uint8Array> {
    return encodeSaved(await this.list({ consistent: true, timeoutMs }), Date.now());
  }

  async restore(saved: Uint8Array, timeoutMs: number): Promise<Outcome> {
    return restoreInto(this, decodeSaved(saved), timeoutMs);
  }

  async stop(): Promise<void> {
    this.#tries.stop();
    clearInterval(this.#timer);
    for (const feed of this.#feeds) feed.end(stopping());
    await this.#node.stop();
  }

  /** A call of another node. What only a member may ask is refused to all whose link names another store, or none. */
  async call(incoming: Incoming): Promise<unknown> {
    const { method } = incoming;
    const body = new Body(method, incoming.body);
    if (method !== "follow") this.#expectOurs(body);
    switch (method) {
      case "submit":
        this.#expectMember(incoming);
        return this.#propose(body.record("command") as Undated, body.timeoutMs());
      // A follower asks whichever control node it knows; a control node asks the leader only, so that no call goes round.
      case "submit-any":
        return this.#submit(anybodys(body.record("command")), body.timeoutMs());
      case "members-any":
        return (await this.changeMembers(body.record("change") as MemberChange, body.timeoutMs()), {});
      case "members":
        this.#expectMember(incoming);
        return (await this.#steward.change(body.record("change") as MemberChange, body.timeoutMs()), {});
      case "join-any": {
        this.#expectMember(incoming);
        const newcomer = newcomerOf(body);
        return this.#tries.atLeader("join", newcomer, body.timeoutMs(), (leftMs) => this.#admit(newcomer, leftMs));
      }
      case "join":
        this.#expectMember(incoming);
        return this.#admit(newcomerOf(body), body.timeoutMs());
      case "list":
        return this.#tellList(incoming, body.timeoutMs());
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

  /** It can't store what the leader sends, and so is sent no more: its own state stays behind. */
  get #lags(): boolean {
    return this.#node.alarm !== null && this.#node.raft.status().leader !== this.#options.self;
  }

  async #listElsewhere(options: ReadOptions & { readonly kind?: Kind }): Promise<Listing> {
    const { kind, timeoutMs = TIMEOUT_MS } = options;
    const { addressOf, ask } = this.#options;
    return this.#tries.until(performance.now() + timeoutMs, async (leftMs) => {
      const address = addressOf(this.#node.raft.status().leader);
      if (address === undefined) throw new MeshError("not_leader", "no leader is known");
      const arrival = new Arrival();
      await ask(address, "list", { timeoutMs: Math.ceil(leftMs) }, leftMs, (value) => arrival.take(value));
      return arrival.listing(kind);
    });
  }

  async #confirm({ consistent = false, timeoutMs = TIMEOUT_MS }: ReadOptions): Promise<void> {
    if (!consistent) return;
    const untilMs = performance.now() + timeoutMs;
    // A question or its answer may be lost on the way: asked again soon, and not only at the end.
    await this.#tries.until(untilMs, (leftMs) => this.#node.read(Math.min(leftMs, READ_MS)));
  }

  /** At the leader, here or elsewhere. */
  #submit(command: Undated, timeoutMs: number): Promise<unknown> {
    return this.#tries.atLeader("submit", { command, timeoutMs }, timeoutMs, (leftMs) =>
      this.#propose(command, leftMs),
    );
  }

  async #propose(undated: Undated, timeoutMs: number): Promise<unknown> {
    const bytes = encodeCommand(dated(undated));
    const read = readCommand(bytes);
    if ("bad" in read) throw new MeshError("bad_request", read.bad);
    const applied = await this.#node.propose(bytes, timeoutMs);
    return read.op === "lease" ? applied?.grants : applied?.outcome;
  }

  /** Calls that are meant for one control cluster say so: a mesh may have two by mistake. */
  #expectOurs(body: Body): void {
    const { clusterId } = this.#options;
    if (!body.has("cluster") || body.text("cluster") === clusterId) return;
    throw new MeshError("not_leader", `this control node is of the control cluster ${clusterId}`);
  }

  #expectMember({ method, node, storeId }: Incoming): void {
    if (storeId === this.#options.clusterId) return;
    throw new MeshError(
      "forbidden",
      `${method}: ${node} has no store of the control cluster ${this.#options.clusterId}`,
    );
  }

  async #admit(newcomer: Newcomer, timeoutMs: number): Promise<unknown> {
    await this.#steward.admit(newcomer, timeoutMs);
    return { cluster: this.#options.clusterId };
  }

  /** In pieces: all of it may be longer than a frame. */
  async #tellList(incoming: Incoming, timeoutMs: number): Promise<unknown> {
    const { items, revision } = await this.list({ consistent: true, timeoutMs });
    for (const piece of pieces(items, revision)) incoming.piece(piece);
    return {};
  }

  /**
   * After a consistent read: this node may have been away, and whoever followed another one must not fall behind what it
   * knows already.
   */
  async #follow(incoming: Incoming, body: Body): Promise<unknown> {
    if (this.#isLeaderless()) throw noQuorum();
    await this.#confirm({ consistent: true, timeoutMs: LEADERLESS_MS });
    if (incoming.isGone) return {};
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

function newcomerOf(body: Body): Newcomer {
  return { member: body.whole("member"), node: body.text("node"), address: body.text("address") };
}

function anybodys(command: Readonly<Record<string, unknown>>): Undated {
  if (ANYBODYS.has(command["op"])) return command as unknown as Undated;
  throw new MeshError("forbidden", "submit-any: only writes and leases are taken from nodes that are no members");
}

function randomKey(): string {
  return randomBytes(12).toString("base64url");
}
