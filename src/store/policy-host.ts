/**
 * The policies at one node, whatever its part in the control plane is now: a follower may become a control node, and a
 * control node that was taken out follows again, while those who read, write and watch here notice nothing.
 *
 * How a node becomes a control node:
 *
 * - It has a store: it goes on as the member that it was.
 * - `bootstrap`, or an agent alone in the world (`auto`): it makes a store of a new cluster, with itself as the only voter.
 *   Whatever gossip says plays no part in this, so that two halves of a mesh can't both believe to be the whole; but a
 *   lone node that hears of control nodes at its start stands by instead.
 * - `join`, or an invitation by `ctl control add`: it draws a number, asks a control node to admit it, and makes a store
 *   that is filled by the leader.
 *
 * Two agents that each started alone and met later have a cluster each. One whose mode is `auto`, that is its store's only
 * member, and in whose store nothing was ever written, gives it up and follows the other; otherwise both warn, and an
 * operator decides. A node that was taken out stands by until it is invited, whatever its flags say.
 *
 * The process may be killed between any two steps: see store-files.ts for what is made and what is put away.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { isRecord } from "../base/field.ts";
import { MeshError, toMeshError } from "../base/errors.ts";
import { formatAddress, parseAddress } from "../base/units.ts";
import type { Write } from "../policy/write.ts";
import type { Kind } from "../policy/spec.ts";
import type { Outcome } from "../policy/outcome.ts";
import type { Grant, Want } from "../policy/want.ts";
import type { Member } from "../raft/entry.ts";
import { bootstrap, type Start } from "../raft/raft.ts";
import type { RaftConfig } from "../raft/settings.ts";
import { Body } from "./bodies.ts";
import type { CallHandlers, Incoming } from "./calls.ts";
import { Copy } from "./copy.ts";
import { Door } from "./door.ts";
import { FollowerStore } from "./follower-store.ts";
import type { Identity } from "./log-schema.ts";
import type { LinkIdentity } from "./link.ts";
import { type DurableLog, openLog } from "./log.ts";
import type {
  Listing,
  MemberChange,
  PolicyStore,
  ReadOptions,
  StoreStatus,
  Watcher,
  WriteOptions,
} from "./policy-store.ts";
import type { Compaction } from "./raft-node.ts";
import { Seat } from "./seat.ts";
import type { ControlConfig } from "./settings.ts";
import type { SealKeys } from "./sealing.ts";
import { StoreFiles } from "./store-files.ts";
import { Ways } from "./ways.ts";

const ADMIT_MS = 5000;
const RETRY_MS = 500;
/** Between two looks for another control cluster in the mesh. */
const LOOK_MS = 5000;
/** Of one cause a connection that was refused is told so often at most. */
const TOLD_MS = 60_000;
/** For another process to let go of the store. */
const HELD_MS = 5000;
const MEMBER_BYTES = 6;

export interface PolicyHostOptions {
  readonly config: ControlConfig;
  readonly raft: RaftConfig;
  /** The URL of log-worker.ts, made by a file of src/ itself. */
  readonly logEntry: URL;
  /** The mesh's names of itself and of this node. */
  readonly cluster: string;
  readonly node: string;
  /** Where state is kept. */
  readonly dataDir: string;
  readonly keys: SealKeys;
  /** The host by which others reach this node. */
  readonly host: () => string;
  /** Whether the node joins nobody: with `auto` it is the first of its mesh then. */
  readonly isAlone: boolean;
  /** Control nodes that the mesh tells of, this one not among them; the nearest first. */
  readonly peers: () => readonly string[];
  /** Where the mesh says that a control node is now; "" where it says nothing. */
  readonly whereIs: (node: string) => string;
  /** Tells the mesh where this node is reached ("" for nowhere), and whether it is a control node. */
  readonly announce: (address: string, isControlNode: boolean) => void;
  /** When the log is compacted; a default is right for all but tests. */
  readonly compaction?: Compaction;
  readonly log: { info(message: string, fields?: object): void; warn(message: string, fields?: object): void };
}

export class PolicyHost implements PolicyStore {
  readonly #options: PolicyHostOptions;
  readonly #ways: Ways;
  /** Ways on which this node names no store, and so is let in by those of another cluster too: for questions only. */
  readonly #scouts: Ways;
  readonly #files: StoreFiles;
  readonly #links: { readonly identity: LinkIdentity; readonly handlers: CallHandlers };
  #door: Door | null = null;
  /** What is watched here: it outlives the engine behind it. */
  readonly #copy = new Copy();
  #seat: Seat | null = null;
  #follower: FollowerStore | null = null;
  #unwatch: () => void = () => {};
  #joining: Promise<void> | null = null;
  /** A store is being given up: its files are not free yet. */
  #leaving: Promise<void> = Promise.resolve();
  #stopped = false;
  /** Counts the starts: what began before the last one has no say any more. */
  #life = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isLooking = false;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** Other control clusters that were warned of. */
  readonly #strangers = new Set<string>();

  /** Opens the store of this node or finds out that it has none; rejects with a MeshError when its store can't be used. */
  static async open(options: PolicyHostOptions): Promise<PolicyHost> {
    const host = new PolicyHost(options);
    try {
      await host.#start();
    } catch (error) {
      await host.stop();
      throw error;
    }
    return host;
  }

  private constructor(options: PolicyHostOptions) {
    this.#options = options;
    this.#files = new StoreFiles(join(this.#dir, `control-${options.node}.sqlite`));
    const identity: LinkIdentity = {
      cluster: options.cluster,
      node: options.node,
      storeId: () => this.#seat?.clusterId ?? "",
      keys: options.keys,
    };
    const handlers: CallHandlers = {
      message: (bytes, calls) => this.#seat?.receive(bytes, calls),
      call: (incoming) => this.#call(incoming),
    };
    this.#links = { identity, handlers };
    this.#scouts = new Ways({ identity: { ...identity, storeId: () => "" }, handlers, onBroken() {} });
    this.#ways = new Ways({ identity, handlers, onBroken: (address) => this.#seat?.unreachable(address) });
  }

  get engine(): StoreStatus["engine"] {
    return this.#engine?.engine ?? "follower";
  }

  /** Where this node is reached by control nodes and followers; "" where it listens nowhere. */
  get address(): string {
    const { config, host } = this.#options;
    if (this.#door === null || config.advertise !== "") return this.#door === null ? "" : config.advertise;
    return formatAddress({ host: host(), port: this.#door.port });
  }

  get isControlNode(): boolean {
    return this.#seat !== null && this.#follower === null;
  }

  async list(options: ReadOptions & { readonly kind?: Kind } = {}): Promise<Listing> {
    if (this.#engine === null && options.consistent !== true) return this.#copy.list(options.kind);
    return this.#current.list(options);
  }

  async get(kind: Kind, name: string, options: ReadOptions = {}): ReturnType<PolicyStore["get"]> {
    if (this.#engine !== null || options.consistent === true) return this.#current.get(kind, name, options);
    return { item: this.#copy.get({ kind, name }), revision: this.#copy.revision };
  }

  async write(writes: readonly Write[], options: WriteOptions = {}): Promise<Outcome> {
    return this.#current.write(writes, options);
  }

  async lease(wants: readonly Want[], options: { readonly timeoutMs?: number } = {}): Promise<readonly Grant[]> {
    return this.#current.lease(wants, options);
  }

  watch(watcher: Watcher): () => void {
    return this.#copy.watch(watcher);
  }

  async status(): Promise<StoreStatus> {
    return this.#current.status();
  }

  async changeMembers(change: MemberChange, timeoutMs: number): Promise<void> {
    return this.#current.changeMembers(change, timeoutMs);
  }

  async save(timeoutMs: number): Promise<Uint8Array> {
    return this.#current.save(timeoutMs);
  }

  async restore(saved: Uint8Array, timeoutMs: number): Promise<Outcome> {
    return this.#current.restore(saved, timeoutMs);
  }

  /** Control nodes came or went. */
  peersChanged(): void {
    this.#follower?.lookAgain();
  }

  /**
   * Lets go of the store and of the port, for another process that is this node now; what is known is still answered.
   * `resume` takes them up again.
   */
  async suspend(): Promise<void> {
    this.#stopped = true;
    this.#life += 1;
    clearInterval(this.#timer);
    this.#unwatch();
    this.#door?.stop();
    const [seat, follower] = [this.#seat, this.#follower];
    this.#seat = null;
    this.#follower = null;
    await Promise.all([seat?.stop(), follower?.stop()]);
    // Whoever waits for an answer hears that there is none.
    this.#ways.renew("this node hands over");
    this.#scouts.renew("this node hands over");
    await this.#leaving;
    this.#joining = null;
  }

  async resume(): Promise<void> {
    this.#stopped = false;
    await this.#start();
  }

  async stop(): Promise<void> {
    await this.suspend();
    this.#ways.stop();
    this.#scouts.stop();
  }

  get #engine(): PolicyStore | null {
    return this.#follower ?? this.#seat?.store ?? null;
  }

  get #current(): PolicyStore {
    const store = this.#engine;
    if (store === null) throw new MeshError("starting", "the policies are being opened; try again in a moment");
    return store;
  }

  get #dir(): string {
    return this.#options.config.dir === "" ? this.#options.dataDir : this.#options.config.dir;
  }

  /** Whether nobody would miss its control cluster. */
  get #isUnasked(): boolean {
    const seat = this.#seat;
    return this.#options.config.mode === "auto" && seat !== null && seat.isEmpty && seat.isLone;
  }

  /** A predecessor of this process may still have it for a moment. */
  async #openKept(): Promise<DurableLog | null> {
    for (const untilMs = performance.now() + HELD_MS; ; await Bun.sleep(RETRY_MS)) {
      try {
        this.#files.settle();
        return await openLog(this.#files.path, undefined, this.#options.logEntry);
      } catch (error) {
        if (toMeshError(error).code !== "conflict" || performance.now() > untilMs) throw error;
      }
    }
  }

  async #start(): Promise<void> {
    const { config, isAlone, peers, log } = this.#options;
    this.#door = openDoor(this.#options, this.#links.identity, this.#links.handlers);
    if (config.mode === "off") {
      const { exist, path } = this.#files;
      if (exist) log.warn("this node has a control node's store, which --control off leaves closed", { path });
      return this.#becomeFollower();
    }
    const isFirst = config.mode === "bootstrap" || (config.mode === "auto" && isAlone && peers().length === 0);
    const fault = this.#makeDir();
    if (fault !== null) {
      // Who stands by has no store to keep: it serves all the same, as in a container with a read-only root.
      if (config.mode !== "auto" || isFirst) throw fault;
      log.warn("the policies are not kept over a restart, and this node can't become a control node", {
        error: fault.message,
      });
      return this.#becomeFollower("", false);
    }
    const kept = await this.#openKept();
    if (kept !== null) {
      const seat = await this.#sit(kept);
      if (seat.isAdmitted) return this.#takeSeat(seat);
      // It was stopped before it was admitted.
      this.#becomeFollower();
      return this.#join(peers);
    }
    const { removed } = this.#files;
    if (isFirst && removed === "") return this.#bootstrap();
    this.#becomeFollower();
    if (removed === "") {
      if (config.mode === "join") this.#join(peers);
    } else if (isFirst || config.mode === "join") {
      const next = `to have it among them again: \`infermesh ctl control add ${this.#options.node}\`; to begin afresh, move that file away and restart`;
      log.warn("this node was taken out of the control nodes, and stands by", { store: removed, next });
    }
  }

  /** Null where the directory is there. */
  #makeDir(): MeshError | null {
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
      return null;
    } catch (cause) {
      const why = `can't make the directory ${this.#dir}: ${(cause as Error).message}`;
      return new MeshError("config_invalid", `${why}; name one that can be written by --data-dir`, { cause });
    }
  }

  async #bootstrap(): Promise<void> {
    const member = drawMember();
    const clusterId = randomBytes(16).toString("hex");
    this.#files.doubt();
    const log = await this.#newLog({ clusterId, member });
    const seat = await this.#sit(log, bootstrap([member]));
    this.#files.keep();
    this.#takeSeat(seat);
    this.#options.log.info("control plane begun", { cluster: seat.clusterId });
  }

  async #newLog(identity: Identity): Promise<DurableLog> {
    const log = await openLog(this.#files.path, identity, this.#options.logEntry);
    if (log === null) throw new MeshError("internal", "a new store was not made");
    return log;
  }

  /** Goes on with a log, or begins one with what `first` holds. */
  async #sit(log: DurableLog, first?: Start): Promise<Seat> {
    if (first !== undefined) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      log.onDurable = () => resolve();
      log.onFailure = reject;
      log.write({ number: 0, entries: first.entries, hardState: first.hardState });
      await promise.catch(async (error: unknown) => {
        await log.close();
        throw error;
      });
    }
    const { compaction } = this.#options;
    const seat: Seat = new Seat({
      raft: this.#options.raft,
      ...(compaction === undefined ? {} : { compaction }),
      log,
      ...(first === undefined ? {} : { first }),
      ways: this.#ways,
      name: this.#options.node,
      address: () => this.address,
      whereIs: this.#options.whereIs,
      onRemoved: () => this.#removed(seat),
      lines: this.#options.log,
    });
    this.#seat = seat;
    // Links of before, whoever opened them, say that it has none, and carry no message of the consensus.
    this.#ways.renew("this node has a store now");
    this.#door?.renew("this node has a store now");
    return seat;
  }

  /** Reads, writes and watches go by the seat from now on. */
  #takeSeat(seat: Seat): void {
    const follower = this.#follower;
    this.#follower = null;
    void follower?.stop();
    this.#watchBehind(seat.store);
    this.#options.announce(this.address, true);
    seat.appear();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.#look(), RETRY_MS);
  }

  /** With what it knows as a member of that cluster: its file is of before. */
  #becomeFollower(cluster = "", isKept = true): void {
    const { node, log } = this.#options;
    this.#follower = new FollowerStore({
      ...(cluster === "" ? {} : { known: { cluster, ...this.#copy.list() } }),
      ways: this.#ways,
      addresses: () => this.#options.peers(),
      file: isKept ? join(this.#dir, `policies-${node}.json`) : "",
      log,
    });
    this.#watchBehind(this.#follower);
    this.#options.announce(this.address, false);
  }

  #watchBehind(store: PolicyStore): void {
    this.#unwatch();
    this.#unwatch = store.watch({
      reset: (items, revision) => this.#copy.reset(items, revision),
      changed: (changes, revision) => this.#copy.changed(changes, revision),
    });
  }

  /** Asks control nodes to be admitted, until one does. */
  #join(addresses: () => readonly string[], cluster = ""): void {
    if (this.#joining !== null) return;
    const joining = this.#admitted(addresses, cluster)
      .catch((error: unknown) => {
        this.#options.log.warn("this node can't become a control node", { error: toMeshError(error).message });
      })
      .finally(() => {
        if (this.#joining === joining) this.#joining = null;
      });
    this.#joining = joining;
  }

  async #admitted(addresses: () => readonly string[], cluster: string): Promise<void> {
    const life = this.#life;
    let told = "";
    const tell = (by: string, error: string): void => {
      if (error !== told) this.#options.log.warn("not a control node yet", { by, error });
      told = error;
    };
    while (life === this.#life) {
      for (const address of addresses()) {
        try {
          const wanted = this.#seat?.clusterId ?? cluster;
          const found = await this.#clusterAt(address);
          if (life !== this.#life) return;
          if (found === "") continue;
          if (wanted === "" || found === wanted) {
            if (await this.#admittedBy(address, found, life)) return;
          } else
            tell(address, `it is of the control cluster ${found}, and this node waits to be admitted to ${wanted}`);
        } catch (thrown) {
          const error = toMeshError(thrown);
          if (error.code === "conflict" && this.#seat !== null) {
            await this.#giveUpSeat(this.#seat, "not-admitted");
            throw error;
          }
          tell(address, error.message);
        }
      }
      await Bun.sleep(RETRY_MS);
    }
  }

  /** "" where that node is no control node. */
  async #clusterAt(address: string): Promise<string> {
    return new Body("about", await this.#scouts.ask(address, "about", {}, { timeoutMs: ADMIT_MS })).about().cluster;
  }

  /** False where this node has been stopped meanwhile. */
  async #admittedBy(address: string, cluster: string, life: number): Promise<boolean> {
    const { node, log } = this.#options;
    await this.#leaving;
    if (this.#seat === null) {
      // Its store is there before it is a member: what the leader sends from then on is not lost.
      const made = await this.#newLog({ clusterId: cluster, member: drawMember() });
      if (life !== this.#life) return (await made.close(), false);
      await this.#sit(made);
    }
    const seat = this.#seat as unknown as Seat;
    const body = { member: seat.member, node, address: this.address, timeoutMs: ADMIT_MS };
    await this.#ways.ask(address, "join-any", body, { timeoutMs: ADMIT_MS });
    // Until it has what this node knows already, those who watch here would see policies go and come back.
    while (life === this.#life && this.#seat === seat && !(await isCaughtUp(seat))) await Bun.sleep(RETRY_MS);
    if (life !== this.#life || this.#seat !== seat) return false;
    this.#takeSeat(seat);
    log.info("this node is a control node now", { cluster: seat.clusterId });
    return true;
  }

  /** Looks for another control cluster in the mesh: a store that nobody would miss gives way to it, others warn. */
  async #look(): Promise<void> {
    const seat = this.#seat;
    if (seat === null || this.#follower !== null || this.#isLooking) return;
    // One that may give way does so before anybody relies on it.
    if (!this.#isUnasked && performance.now() - this.#lookedMs < LOOK_MS) return;
    this.#isLooking = true;
    this.#lookedMs = performance.now();
    try {
      for (const address of this.#options.peers()) {
        const told = await this.#scouts.ask(address, "about", {}, { timeoutMs: ADMIT_MS }).catch(() => null);
        if (this.#seat !== seat) return;
        if (told === null) continue;
        const { cluster, unasked, revision } = new Body("about", told).about();
        if (cluster === "" || cluster === seat.clusterId) continue;
        // Of two that nobody would miss the one with the smaller id stays: both decide by the same rule.
        const yields = unasked && revision === 0 && (!this.#isUnasked || seat.clusterId < cluster);
        if (yields) continue;
        if (!this.#isUnasked) {
          this.#warnOf(cluster, address, seat);
          continue;
        }
        this.#options.log.info("another control cluster is there already: this node follows it", { cluster });
        return await this.#giveUpSeat(seat, "yielded");
      }
    } catch (error) {
      this.#options.log.warn("a control node told nothing that makes sense", { error: toMeshError(error).message });
    } finally {
      this.#isLooking = false;
    }
  }

  #warnOf(cluster: string, address: string, { clusterId }: Seat): void {
    if (this.#strangers.has(cluster)) return;
    this.#strangers.add(cluster);
    const next =
      "what is set in one is not known in the other: save the policies of one (`infermesh ctl snapshot save`), stop its nodes, move their control-*.sqlite files away, start them with --control join";
    this.#options.log.warn("this mesh has two control clusters", { here: clusterId, other: cluster, address, next });
  }

  #removed(seat: Seat): void {
    if (this.#seat !== seat) return;
    this.#options.log.info("this node was taken out of the control nodes: it follows them from now on");
    void this.#giveUpSeat(seat, "removed");
  }

  /** Closes the store, keeps it aside under another name if it may be asked for again, and follows. */
  async #giveUpSeat(seat: Seat, why: "removed" | "yielded" | "not-admitted"): Promise<void> {
    if (this.#seat !== seat) return;
    this.#seat = null;
    clearInterval(this.#timer);
    // Whoever asks meanwhile is answered from what is known.
    if (!this.#stopped && this.#follower === null) this.#becomeFollower(why === "removed" ? seat.clusterId : "");
    this.#leaving = seat
      .stop()
      .then(() => (seat.isEmpty && why !== "removed" ? this.#files.delete() : this.#files.putAside(why)))
      .catch((error: unknown) => {
        const { message } = toMeshError(error);
        this.#options.log.warn("an old store is still there", { path: this.#files.path, error: message });
      });
    await this.#leaving;
  }

  async #call(incoming: Incoming): Promise<unknown> {
    const seat = this.#seat;
    switch (incoming.method) {
      case "about":
        // One that waits to be admitted is none yet.
        if (!this.isControlNode || seat === null) return { cluster: "", unasked: false, revision: 0 };
        return { cluster: seat.clusterId, unasked: this.#isUnasked, revision: seat.revision };
      case "invite": {
        const addresses = isRecord(incoming.body) ? incoming.body["addresses"] : undefined;
        if (incoming.storeId === "") throw new MeshError("forbidden", "invite: only control nodes may");
        if (this.#options.config.mode === "off") {
          throw new MeshError("conflict", `${this.#options.node} runs with --control off`);
        }
        if (seat !== null && this.isControlNode && seat.clusterId !== incoming.storeId) {
          const other = `${this.#options.node} is a control node of another control cluster, ${seat.clusterId}`;
          throw new MeshError("conflict", other);
        }
        if (seat !== null && this.isControlNode)
          throw new MeshError("conflict", `${this.#options.node} is a control node already`);
        if (!Array.isArray(addresses)) throw new MeshError("bad_request", "invite: addresses are not a list");
        const known = addresses.filter(
          (one): one is string => typeof one === "string" && parseAddress(one) !== undefined,
        );
        this.#join(() => [...new Set([...this.#options.peers(), ...known])], incoming.storeId);
        return {};
      }
      case "taken-out":
        // Only a hint, since it can't be taken back: this member asks the others whether it is so.
        if (seat?.member === new Body("taken-out", incoming.body).whole("member")) seat.report();
        return {};
      default:
        if (seat === null || (!this.isControlNode && incoming.method !== "report"))
          throw new MeshError("not_leader", `${this.#options.node} is no control node`);
        return seat.call(incoming);
    }
  }
}

function isCaughtUp({ store }: Seat): Promise<boolean> {
  return store.list({ consistent: true, timeoutMs: ADMIT_MS }).then(
    () => true,
    () => false,
  );
}

function drawMember(): Member {
  const number = randomBytes(MEMBER_BYTES).readUIntBE(0, MEMBER_BYTES);
  return number === 0 ? drawMember() : number;
}

/** With --control auto a port that is in use is no fault: nobody has told others of it. */
function openDoor({ config, log }: PolicyHostOptions, identity: LinkIdentity, handlers: CallHandlers): Door | null {
  if (config.mode === "off") return null;
  let told = { why: "", atMs: Number.NEGATIVE_INFINITY };
  const onRefused = (why: string, from: string): void => {
    const nowMs = performance.now();
    if (why === told.why && nowMs - told.atMs < TOLD_MS) return;
    told = { why, atMs: nowMs };
    log.info("a connection to the control port was refused", { from, why });
  };
  const options = { identity, handlers, onRefused };
  try {
    return new Door({ ...options, address: config.listen });
  } catch (error) {
    if (config.mode !== "auto" || config.listen.port === 0) throw error;
    return new Door({ ...options, address: { ...config.listen, port: 0 } });
  }
}
