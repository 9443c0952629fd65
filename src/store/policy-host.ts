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
 * Two agents that each started alone and met later have a cluster each. One that bootstrapped itself without being told
 * to, and in whose store nothing was ever written, gives it up and follows the other; otherwise both warn, and an operator
 * decides.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MeshError, toMeshError } from "../base/errors.ts";
import { formatAddress, parseAddress } from "../base/units.ts";
import { codeOf } from "../net/crash.ts";
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
import type { LinkIdentity } from "./link.ts";
import { type DurableLog, openLog } from "./log.ts";
import { MARK_SUFFIX } from "./log-mark.ts";
import type {
  Listing,
  MemberChange,
  PolicyStore,
  ReadOptions,
  StoreStatus,
  Watcher,
  WriteOptions,
} from "./policy-store.ts";
import { Seat } from "./seat.ts";
import type { ControlConfig } from "./settings.ts";
import type { SealKeys } from "./sealing.ts";
import { Ways } from "./ways.ts";

const ADMIT_MS = 5000;
const RETRY_MS = 500;
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
  readonly log: { info(message: string, fields?: object): void; warn(message: string, fields?: object): void };
}

export class PolicyHost implements PolicyStore {
  readonly #options: PolicyHostOptions;
  readonly #ways: Ways;
  /** Ways on which this node names no store, and so is let in by those of another cluster too: for questions only. */
  readonly #scouts: Ways;
  readonly #links: { readonly identity: LinkIdentity; readonly handlers: CallHandlers };
  #door: Door | null = null;
  /** What is watched here: it outlives the engine behind it. */
  readonly #copy = new Copy();
  #seat: Seat | null = null;
  #follower: FollowerStore | null = null;
  #unwatch: () => void = () => {};
  #joining: Promise<void> | null = null;
  #stopped = false;
  /** It bootstrapped itself without having been told to. */
  #isUnasked = false;
  #timer: ReturnType<typeof setInterval> | undefined;

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
    return this.#current.engine;
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

  list(options: ReadOptions & { readonly kind?: Kind } = {}): Promise<Listing> {
    return this.#current.list(options);
  }

  get(kind: Kind, name: string, options: ReadOptions = {}): ReturnType<PolicyStore["get"]> {
    return this.#current.get(kind, name, options);
  }

  write(writes: readonly Write[], options: WriteOptions = {}): Promise<Outcome> {
    return this.#current.write(writes, options);
  }

  lease(wants: readonly Want[], options: { readonly timeoutMs?: number } = {}): Promise<readonly Grant[]> {
    return this.#current.lease(wants, options);
  }

  watch(watcher: Watcher): () => void {
    return this.#copy.watch(watcher);
  }

  status(): Promise<StoreStatus> {
    return this.#current.status();
  }

  changeMembers(change: MemberChange, timeoutMs: number): Promise<void> {
    return this.#current.changeMembers(change, timeoutMs);
  }

  save(timeoutMs: number): Promise<Uint8Array> {
    return this.#current.save(timeoutMs);
  }

  restore(saved: Uint8Array, timeoutMs: number): Promise<Outcome> {
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
    clearInterval(this.#timer);
    this.#unwatch();
    const seat = this.#seat;
    this.#seat = null;
    await seat?.stop();
    await this.#follower?.stop();
    this.#door?.stop();
    this.#ways.renew("this node hands over");
  }

  async resume(): Promise<void> {
    this.#stopped = false;
    this.#follower = null;
    await this.#start();
  }

  async stop(): Promise<void> {
    await this.suspend();
    this.#ways.stop();
    this.#scouts.stop();
  }

  get #current(): PolicyStore {
    const store = this.#follower ?? this.#seat?.store ?? null;
    if (store === null) throw new MeshError("starting", "the policies are being opened; try again in a moment");
    return store;
  }

  get #dir(): string {
    return this.#options.config.dir === "" ? this.#options.dataDir : this.#options.config.dir;
  }

  get #path(): string {
    return join(this.#dir, `control-${this.#options.node}.sqlite`);
  }

  /** A predecessor of this process may still have it for a moment. */
  async #openKept(): Promise<DurableLog | null> {
    for (const untilMs = performance.now() + HELD_MS; ; await Bun.sleep(RETRY_MS)) {
      try {
        return await openLog(this.#path, undefined, this.#options.logEntry);
      } catch (error) {
        if (toMeshError(error).code !== "conflict" || performance.now() > untilMs) throw error;
      }
    }
  }

  async #start(): Promise<void> {
    const { config, isAlone, peers, log } = this.#options;
    this.#door = openDoor(this.#options, this.#links.identity, this.#links.handlers);
    if (config.mode === "off") {
      if (existsSync(this.#path))
        log.warn("this node has a control node's store, which --control off leaves closed", { path: this.#path });
      return this.#becomeFollower();
    }
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const kept = await this.#openKept();
    if (kept !== null) {
      const seat = await this.#sit(kept);
      if (seat.isAdmitted) return this.#takeSeat(seat);
      // It was stopped before it was admitted.
      this.#becomeFollower();
      return this.#join(peers);
    }
    const isFirst = config.mode === "bootstrap" || (config.mode === "auto" && isAlone && peers().length === 0);
    if (isFirst) return this.#bootstrap();
    this.#becomeFollower();
    if (config.mode === "join") this.#join(peers);
  }

  async #bootstrap(): Promise<void> {
    const member = drawMember();
    const log = await openLog(
      this.#path,
      { clusterId: randomBytes(16).toString("hex"), member },
      this.#options.logEntry,
    );
    if (log === null) throw new MeshError("internal", "a new store was not made");
    const seat = await this.#sit(log, bootstrap([member]));
    await this.#takeSeat(seat);
    this.#isUnasked = this.#options.config.mode === "auto";
    if (this.#isUnasked) this.#timer = setInterval(() => void this.#yield(), RETRY_MS);
    this.#options.log.info("control plane begun", { cluster: seat.clusterId });
  }

  /** Goes on with a log, or begins one with what `first` holds. */
  async #sit(log: DurableLog, first?: Start): Promise<Seat> {
    if (first !== undefined) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      log.onDurable = () => resolve();
      log.onFailure = reject;
      log.write({ number: 0, entries: first.entries, hardState: first.hardState });
      await promise;
    }
    const seat = new Seat({
      raft: this.#options.raft,
      log,
      ...(first === undefined ? {} : { first }),
      ways: this.#ways,
      name: this.#options.node,
      address: () => this.address,
      whereIs: this.#options.whereIs,
      onRemoved: () => void this.#removed(),
      lines: this.#options.log,
    });
    this.#seat = seat;
    // Links opened before this node had a store name none, and carry no message of the consensus.
    this.#ways.renew("this node has a store now");
    return seat;
  }

  /** Reads, writes and watches go by the seat from now on. */
  async #takeSeat(seat: Seat): Promise<void> {
    const follower = this.#follower;
    this.#follower = null;
    await follower?.stop();
    this.#watchBehind(seat.store);
    this.#options.announce(this.address, true);
    seat.appear();
  }

  #becomeFollower(): void {
    const { node, log } = this.#options;
    this.#follower = new FollowerStore({
      ways: this.#ways,
      addresses: () => this.#options.peers(),
      file: join(this.#dir, `policies-${node}.json`),
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
  #join(addresses: () => readonly string[]): void {
    this.#joining ??= this.#admitted(addresses).finally(() => {
      this.#joining = null;
    });
    this.#joining.catch((error: unknown) => {
      this.#options.log.warn("this node can't become a control node", { error: toMeshError(error).message });
    });
  }

  async #admitted(addresses: () => readonly string[]): Promise<void> {
    let told = "";
    while (!this.#stopped) {
      for (const address of addresses()) {
        try {
          if (await this.#admittedBy(address)) return;
        } catch (thrown) {
          const error = toMeshError(thrown);
          if (error.code === "conflict") await this.#giveUpSeat("not-admitted");
          if (error.code === "conflict") throw error;
          if (error.message !== told)
            this.#options.log.warn("not a control node yet", { by: address, error: error.message });
          told = error.message;
        }
      }
      await Bun.sleep(RETRY_MS);
    }
  }

  /** False where that node is of another cluster than the one whose admission was begun. */
  async #admittedBy(address: string): Promise<boolean> {
    const { node, log } = this.#options;
    const about = (await this.#scouts.ask(address, "about", {}, { timeoutMs: ADMIT_MS })) as { cluster: string };
    if (about.cluster === "" || (this.#seat !== null && this.#seat.clusterId !== about.cluster)) return false;
    if (this.#seat === null) {
      // Its store is there before it is a member: what the leader sends from then on is not lost.
      const made = await openLog(
        this.#path,
        { clusterId: about.cluster, member: drawMember() },
        this.#options.logEntry,
      );
      if (made === null) throw new MeshError("internal", "a new store was not made");
      await this.#sit(made);
    }
    const seat = this.#seat as unknown as Seat;
    const body = { member: seat.member, node, address: this.address, timeoutMs: ADMIT_MS };
    await this.#ways.ask(address, "join-any", body, { timeoutMs: ADMIT_MS });
    await this.#takeSeat(seat);
    log.info("this node is a control node now", { cluster: seat.clusterId });
    return true;
  }

  /** A store that nobody asked for, and in which nothing was written, gives way to another cluster's. */
  async #yield(): Promise<void> {
    const seat = this.#seat;
    if (seat === null || !this.#isUnasked || !seat.isEmpty) return clearInterval(this.#timer);
    for (const address of this.#options.peers()) {
      const about = await this.#scouts.ask(address, "about", {}, { timeoutMs: ADMIT_MS }).catch(() => undefined);
      const { cluster, unasked, revision } = (about ?? {}) as {
        cluster?: string;
        unasked?: boolean;
        revision?: number;
      };
      if (cluster === undefined || cluster === "" || cluster === seat.clusterId) continue;
      // Of two that are alike, the one with the greater id: both decide by the same rule.
      const isOurs = unasked === true && revision === 0 && seat.clusterId < cluster;
      if (isOurs || this.#seat !== seat || !seat.isEmpty) continue;
      this.#options.log.info("another control cluster is there already: this node follows it", { cluster });
      clearInterval(this.#timer);
      await this.#giveUpSeat("yielded");
      return;
    }
  }

  async #removed(): Promise<void> {
    this.#options.log.info("this node was taken out of the control nodes: it follows them from now on");
    await this.#giveUpSeat("removed");
  }

  /** Closes the store, keeps it aside under another name if anything was in it, and follows. */
  async #giveUpSeat(why: string): Promise<void> {
    const seat = this.#seat;
    if (seat === null) return;
    this.#seat = null;
    // Whoever asks meanwhile is answered from what is known.
    if (!this.#stopped && this.#follower === null) this.#becomeFollower();
    await seat.stop();
    const { isEmpty } = seat;
    // One name for all of them: they are one log.
    const aside = `${this.#path}.${why}-${Date.now()}`;
    for (const suffix of ["", "-wal", "-shm", MARK_SUFFIX]) {
      try {
        if (isEmpty) rmSync(`${this.#path}${suffix}`, { force: true });
        else renameSync(`${this.#path}${suffix}`, `${aside}${suffix}`);
      } catch (error) {
        if (codeOf(error) !== "ENOENT") this.#options.log.warn("an old store is still there", { path: this.#path });
      }
    }
  }

  async #call(incoming: Incoming): Promise<unknown> {
    const seat = this.#seat;
    switch (incoming.method) {
      case "about":
        return { cluster: seat?.clusterId ?? "", unasked: this.#isUnasked, revision: seat?.revision ?? 0 };
      case "invite": {
        const { addresses } = incoming.body as { addresses?: unknown };
        if (seat !== null) throw new MeshError("conflict", `${this.#options.node} is a control node already`);
        if (!Array.isArray(addresses)) throw new MeshError("bad_request", "invite: addresses are not a list");
        const known = addresses.filter(
          (one): one is string => typeof one === "string" && parseAddress(one) !== undefined,
        );
        this.#join(() => [...new Set([...this.#options.peers(), ...known])]);
        return {};
      }
      case "taken-out":
        // It names the member: this node may be in again by now, as another one.
        if (seat?.member === new Body("taken-out", incoming.body).whole("member")) void this.#removed();
        return {};
      default:
        if (seat === null) throw new MeshError("not_leader", `${this.#options.node} is no control node`);
        return seat.call(incoming);
    }
  }
}

function drawMember(): Member {
  const number = randomBytes(MEMBER_BYTES).readUIntBE(0, MEMBER_BYTES);
  return number === 0 ? drawMember() : number;
}

/** With --control auto a port that is in use is no fault: nobody has told others of it. */
function openDoor({ config, log }: PolicyHostOptions, identity: LinkIdentity, handlers: CallHandlers): Door | null {
  if (config.mode === "off") return null;
  const onRefused = (why: string, from: string): void =>
    log.info("a connection to the control port was refused", { from, why });
  const options = { identity, handlers, onRefused };
  try {
    return new Door({ ...options, address: config.listen });
  } catch (error) {
    if (config.mode !== "auto" || config.listen.port === 0) throw error;
    return new Door({ ...options, address: { ...config.listen, port: 0 } });
  }
}
