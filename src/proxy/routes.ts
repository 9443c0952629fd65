/** A worker's view of the mesh: which models there are, and where the rows of the score table lead. */
import type { Dialer } from "../net/dialer.ts";
import type { ProxyConfig } from "./settings.ts";
import type { RouteSnapshot } from "./protocol.ts";
import { UpstreamPool } from "./upstream-pool.ts";

/** Where the requests of one row go. */
export interface Target {
  readonly node: string;
  /** `x-infermesh-node: ID` with its line end and the empty line: the end of a head on a kept connection. */
  readonly headEnd: Buffer;
  readonly pool: UpstreamPool;
}

interface Model {
  readonly id: number;
  readonly name: string;
  readonly bytes: Buffer;
}

/** FNV-1a of a model's name: the hash that wire/ computes while it reads the name in a body. */
function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

export class Routes {
  version = -1;
  /** Names of the models that are served. */
  names: readonly string[] = [];
  /** The one model that is served, or -1. */
  only = -1;
  /** The body of `GET /v1/models`. */
  listing = '{"object":"list","data":[]}';
  readonly #byHash = new Map<number, Model[]>();
  readonly #byName = new Map<string, Model>();
  /** Names of the models by their numbers. */
  #models: ReadonlyMap<number, string> = new Map();
  #rows = new Map<number, number[]>();
  #entries: ReadonlyMap<string, string> = new Map();
  #targets: (Target | undefined)[] = [];
  #pools = new Map<string, UpstreamPool>();
  /** Pools that no row leads to any more, until their last connection is gone. */
  #retired: UpstreamPool[] = [];

  readonly #dialer: Dialer;

  constructor(dialer: Dialer) {
    this.#dialer = dialer;
  }

  /**
   * Takes a new snapshot; pools of addresses that are still in use stay as they are. Answers the numbers that meant
   * another model before.
   */
  apply(snapshot: RouteSnapshot, config: ProxyConfig): number[] {
    const before = this.#models;
    this.#models = new Map(snapshot.models.map(({ id, name }) => [id, name]));
    this.#rows = new Map();
    for (const { row, model } of snapshot.rows) {
      const rows = this.#rows.get(model);
      if (rows === undefined) this.#rows.set(model, [row]);
      else rows.push(row);
    }
    this.version = snapshot.version;
    this.#byHash.clear();
    this.#byName.clear();
    const entries = new Map<string, string>();
    for (const { id, name, created } of snapshot.models) {
      const bytes = Buffer.from(name);
      const model = { id, name, bytes };
      const hash = hashOf(bytes);
      const bucket = this.#byHash.get(hash);
      if (bucket === undefined) this.#byHash.set(hash, [model]);
      else bucket.push(model);
      this.#byName.set(name, model);
      entries.set(name, JSON.stringify({ id: name, object: "model", created, owned_by: "infermesh" }));
    }
    this.#entries = entries;
    this.names = [...entries.keys()];
    this.only = snapshot.models.length === 1 ? (snapshot.models[0]?.id ?? -1) : -1;
    this.listing = `{"object":"list","data":[${[...entries.values()].join(",")}]}`;

    const pools = new Map<string, UpstreamPool>();
    const targets: (Target | undefined)[] = [];
    for (const { row, node, host, port } of snapshot.rows) {
      const address = `${host}:${port}`;
      const pool = pools.get(address) ?? this.#pools.get(address) ?? new UpstreamPool(host, port, config, this.#dialer);
      pools.set(address, pool);
      const known = this.#targets[row];
      targets[row] =
        known !== undefined && known.node === node && known.pool === pool
          ? known
          : { node, headEnd: Buffer.from(`x-infermesh-node: ${node}\r\n\r\n`), pool };
    }
    for (const [address, pool] of this.#pools) {
      if (pools.has(address)) continue;
      pool.retire();
      this.#retired.push(pool);
    }
    this.#pools = pools;
    this.#targets = targets;
    return [...before].filter(([id, name]) => this.#models.get(id) !== name).map(([id]) => id);
  }

  /** The rows of the model's targets. */
  rowsOf(model: number): readonly number[] {
    return this.#rows.get(model) ?? [];
  }

  /** The model named by bytes [0, length) whose FNV-1a is `hash`, or -1. Allocates nothing. */
  findBytes(bytes: Uint8Array, length: number, hash: number): number {
    const bucket = this.#byHash.get(hash);
    if (bucket === undefined) return -1;
    for (const model of bucket) {
      if (model.bytes.length === length && model.bytes.compare(bytes, 0, length) === 0) return model.id;
    }
    return -1;
  }

  /** The id of a model by its name, or -1. */
  find(name: string): number {
    return this.#byName.get(name)?.id ?? -1;
  }

  /** The name of a model by its id; "" where it is not known, or not any more. */
  modelName(id: number): string {
    return this.#models.get(id) ?? "";
  }

  /** The body of `GET /v1/models/NAME`. */
  entry(name: string): string | undefined {
    return this.#entries.get(name);
  }

  target(row: number): Target | undefined {
    return this.#targets[row];
  }

  /** Closes connections that nobody has used for a while, and gives up those that take too long to open. */
  sweep(nowMs: number): void {
    for (const pool of this.#pools.values()) pool.sweep(nowMs);
    if (this.#retired.length === 0) return;
    for (const pool of this.#retired) pool.sweep(nowMs);
    this.#retired = this.#retired.filter(({ size }) => size > 0);
  }
}
