/** A worker's view of the mesh: which models there are, and where the rows of the score table lead. */
import type { SplitRole } from "../fleet/role.ts";
import type { Aliases } from "../flow/aliases.ts";
import type { Dialer } from "../net/dialer.ts";
import type { ProxyConfig } from "./settings.ts";
import type { RouteRow, RouteSnapshot } from "./protocol.ts";
import { fieldOf } from "../wire/header-field.ts";
import { Http2Pool } from "./http2-pool.ts";
import type { Wires } from "./http2-wire.ts";
import { ModelNames } from "./model-names.ts";
import { type Pairs, pairsOf } from "./pairs.ts";
import { OtherNames } from "./other-names.ts";
import type { OtherName } from "./other-names.ts";
import { sessionOf } from "./sessions.ts";
import { revisionsOf } from "./splits.ts";
import { UpstreamPool } from "./upstream-pool.ts";

/** Where the requests of one row go. */
export interface Target {
  readonly node: string;
  /** `x-infermesh-node: ID` with its line end and the empty line: the end of a head on a kept connection. */
  readonly headEnd: Buffer;
  /** Connections of HTTP/1.1, where it speaks that. */
  readonly pool: UpstreamPool | null;
  /** Connections of HTTP/2, where it speaks gRPC. */
  readonly calls: Http2Pool | null;
  /** `x-infermesh-node` as a field of HTTP/2. */
  readonly nodeField: Uint8Array;
  /** Of its name, for what is spread by that. */
  readonly hash: number;
  /** Relative capacity. */
  weight: number;
  /** It tells of its load, if it is asked to. */
  tellsLoad: boolean;
  /** The part of requests that it computes; null: all. */
  role: SplitRole | null;
}

const NO_REVISIONS: ReadonlyMap<string, number> = new Map();

type Pool = UpstreamPool | Http2Pool;

export class Routes {
  version = -1;
  /** Names of the models that are served, their aliases among them. */
  names: readonly string[] = [];
  /** The one model that is served, or -1. */
  only = -1;
  /** The body of `GET /v1/models`. */
  listing = '{"object":"list","data":[]}';
  /** Models that targets of gRPC serve. */
  readonly calls = new ModelNames();
  /** The last name that was looked up, where it is not the model's own. */
  asked: OtherName | null = null;
  #aliases: Aliases | null = null;
  /** Null: there are none. */
  #others: OtherNames | null = null;
  readonly #byName = new ModelNames();
  /** Names of the models by their numbers. */
  #models: ReadonlyMap<number, string> = new Map();
  #rows = new Map<number, number[]>();
  #pairs: ReadonlyMap<number, Pairs> = new Map();
  /** By model, the numbers of its revisions. */
  #revisions: ReadonlyMap<number, ReadonlyMap<string, number>> = new Map();
  /** By the names in `names`: as they are listed, and the model that each leads to. */
  #entries: ReadonlyMap<string, { readonly text: string; readonly model: string }> = new Map();
  /** When each model was first heard of, by its name. */
  #created: ReadonlyMap<string, number> = new Map();
  #targets: (Target | undefined)[] = [];
  #pools = new Map<string, Pool>();
  /** Pools that no row leads to any more, until their last connection is gone. */
  #retired: Pool[] = [];

  readonly #dialer: Dialer;
  readonly #wires: Wires;

  constructor(dialer: Dialer, wires: Wires) {
    this.#dialer = dialer;
    this.#wires = wires;
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
    this.#byName.clear();
    this.calls.clear();
    const created = new Map<string, number>();
    this.#pairs = pairsOf(snapshot);
    this.#revisions = revisionsOf(snapshot);
    for (const model of snapshot.models) {
      if (model.pool !== undefined) continue;
      if (model.protocol === "grpc") {
        this.calls.add(model.id, model.name);
        continue;
      }
      this.#byName.add(model.id, model.name);
      created.set(model.name, model.created);
    }
    this.#created = created;
    this.only = this.#byName.only;
    this.#listNames();

    const pools = new Map<string, Pool>();
    const targets: (Target | undefined)[] = [];
    for (const route of snapshot.rows) {
      const { row, node, host, port, tls, protocol } = route;
      const address = `${protocol}${tls ? "s" : ""}://${host}:${port}`;
      const pool = pools.get(address) ?? this.#pools.get(address) ?? this.#newPool(route, config);
      pools.set(address, pool);
      const known = this.#targets[row];
      const same = known !== undefined && known.node === node && (known.pool ?? known.calls) === pool;
      const target = same ? known : newTarget(node, pool);
      target.weight = route.weight;
      target.tellsLoad = route.tellsLoad;
      target.role = route.role ?? null;
      targets[row] = target;
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

  #newPool(route: RouteRow, config: ProxyConfig): Pool {
    if (route.protocol === "grpc") return new Http2Pool(route, config, this.#dialer, this.#wires);
    return new UpstreamPool(route, config, this.#dialer);
  }

  /** Takes other aliases, from the next look-up on. */
  setAliases(aliases: Aliases): void {
    this.#aliases = aliases;
    this.#listNames();
  }

  /** Makes what is asked for by name: other names, and the listings. */
  #listNames(): void {
    const others = this.#aliases === null ? null : new OtherNames(this.#aliases, (model) => this.served(model));
    this.#others = others === null || others.isEmpty ? null : others;
    this.asked = null;
    const entries = new Map<string, { readonly text: string; readonly model: string }>();
    const list = (id: string, model: string, more: object): void => {
      const created = this.#created.get(model);
      if (created === undefined) entries.delete(id);
      else {
        const text = JSON.stringify({ id, object: "model", created, owned_by: "infermesh", ...more });
        entries.set(id, { text, model });
      }
    };
    for (const model of this.#created.keys()) list(model, model, {});
    // As OpenAI's own listing tells which model a name leads to.
    for (const [alias, model] of this.#aliases?.models ?? []) list(alias, model, { root: model });
    this.#entries = entries;
    this.names = [...entries.keys()];
    this.listing = listingOf(entries.values());
  }

  /** The names and the listing for a caller who may not use every model. */
  listedFor(mayUse: (model: string) => boolean): { readonly names: readonly string[]; readonly listing: string } {
    const entries = [...this.#entries].filter(([, { model }]) => mayUse(model));
    return { names: entries.map(([name]) => name), listing: listingOf(entries.map(([, entry]) => entry)) };
  }

  /**
   * How a model's requests may be shared out between targets of two kinds; of such a kind itself: not at all. Undefined:
   * none of its targets has a role.
   */
  pairsOf(model: number): Pairs | undefined {
    return this.#pairs.get(model);
  }

  /** The numbers under which targets of revisions are that requests of the model are split among. */
  revisions(model: number): ReadonlyMap<string, number> {
    return this.#revisions.get(model) ?? NO_REVISIONS;
  }

  /** The model that it is a revision of; itself, where it is none. */
  wholeOf(model: number): number {
    for (const [whole, ids] of this.#revisions) for (const id of ids.values()) if (id === model) return whole;
    return model;
  }

  /** The rows of the model's targets. */
  rowsOf(model: number): readonly number[] {
    return this.#rows.get(model) ?? [];
  }

  /** The model that bytes [0, length) stand for, whose FNV-1a is `hash`, or -1. Allocates nothing. */
  findBytes(bytes: Uint8Array, length: number, hash: number): number {
    if (this.#others !== null) {
      this.asked = this.#others.findBytes(bytes, length, hash);
      if (this.asked !== null) return this.asked.id;
    }
    return this.#byName.findBytes(bytes, 0, length, hash);
  }

  /** The id of the model that a name stands for, or -1. */
  find(name: string): number {
    if (this.#others !== null) {
      this.asked = this.#others.find(name);
      if (this.asked !== null) return this.asked.id;
    }
    return this.served(name);
  }

  /** The id of a model by its own name, or -1. */
  served(model: string): number {
    return this.#byName.find(model);
  }

  /** The name of a model by its id; "" where it is not known, or not any more. */
  modelName(id: number): string {
    return this.#models.get(id) ?? "";
  }

  /** The body of `GET /v1/models/NAME`. */
  entry(name: string): { readonly text: string; readonly model: string } | undefined {
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

function listingOf(entries: Iterable<{ readonly text: string }>): string {
  return `{"object":"list","data":[${[...entries].map(({ text }) => text).join(",")}]}`;
}

function newTarget(node: string, pool: Pool): Target {
  const isHttp2 = pool instanceof Http2Pool;
  return {
    node,
    headEnd: Buffer.from(`x-infermesh-node: ${node}\r\n\r\n`),
    pool: isHttp2 ? null : pool,
    calls: isHttp2 ? pool : null,
    nodeField: fieldOf("x-infermesh-node", node).encoded,
    hash: sessionOf(node),
    weight: 1,
    tellsLoad: false,
    role: null,
  };
}
