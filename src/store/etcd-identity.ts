/**
 * Which mesh's policies lie under a prefix: a number drawn when the prefix is first used, and the version of the layout,
 * so that a later program's data, or something that is not the mesh's, is refused rather than misread.
 */
import { randomBytes } from "node:crypto";
import { MeshError, toMeshError } from "../base/errors.ts";
import { isRecord } from "../base/field.ts";
import { Compare } from "../gen/etcd.js";
import type { EtcdClient } from "./etcd-client.ts";
import { EtcdFailure, must } from "./etcd-failure.ts";
import { endOf } from "./etcd-feed.ts";
import { type EtcdKeys, ROOT } from "./etcd-keys.ts";

const LAYOUT = 1;
const TIMEOUT_MS = 5000;
const AGAIN_MS = 500;
const OTHERS_SHOWN_MAX = 10;

export interface EtcdIdentityOptions {
  readonly client: EtcdClient;
  readonly keys: EtcdKeys;
  /** The address, for messages. */
  readonly where: string;
  readonly log: { info(message: string, fields?: object): void; warn(message: string, fields?: object): void };
  /** It is known now, or why not. */
  readonly onTurn: () => void;
  /** It is another than it was. */
  readonly onReplaced: () => void;
}

export class EtcdIdentity {
  readonly #options: EtcdIdentityOptions;
  #clusterId = "";
  #refusal: MeshError | null = null;
  #looking: Promise<void> | null = null;
  #isStopped = false;

  constructor(options: EtcdIdentityOptions) {
    this.#options = options;
  }

  /** Hexadecimal; "" while it is not known. */
  get clusterId(): string {
    return this.#clusterId;
  }

  /** Why it is not known, or can't be looked at again. */
  get refusal(): MeshError | null {
    return this.#refusal;
  }

  /** Finds out, however long it takes. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  /** The client has been closed. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#looking;
  }

  async #look(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#ask();
        this.#refusal = null;
        return this.#options.onTurn();
      } catch (thrown) {
        this.#refusal = toMeshError(thrown);
      }
      if (this.#isStopped) return;
      this.#options.onTurn();
      await Bun.sleep(AGAIN_MS);
    }
  }

  async #ask(): Promise<void> {
    const { client, keys, where, log, onReplaced } = this.#options;
    const drawn = Buffer.from(JSON.stringify({ layout: LAYOUT, cluster: randomBytes(16).toString("hex") }));
    const request = {
      compare: [{ target: Compare.CompareTarget.CREATE, key: keys.identity, createRevision: 0 }],
      success: [{ requestPut: { key: keys.identity, value: drawn } }],
      failure: [{ requestRange: { key: keys.identity } }],
    };
    // Twice is as good as once: the first one stays.
    const reply = must(await client.txn(request, TIMEOUT_MS, true));
    const held = reply.succeeded ? drawn : reply.responses[0]?.responseRange?.kvs?.[0]?.value;
    const cluster = clusterIn(held, `${where}: ${keys.identity.toString()}`);
    if (reply.succeeded) {
      const others = (await othersBeside(client, keys, TIMEOUT_MS)).join(", ");
      const fields = { prefix: keys.prefix, ...(others === "" ? {} : { others }) };
      log.info("no policies were kept under this prefix of etcd yet: it is begun", fields);
    }
    const before = this.#clusterId;
    this.#clusterId = cluster;
    if (before === "" || before === cluster) return;
    log.warn("etcd's data was replaced: its policies are loaded anew", { before, now: cluster });
    onReplaced();
  }
}

/** Throws a MeshError where there is another thing. */
function clusterIn(value: Uint8Array | null | undefined, what: string): string {
  const raw = jsonOf(value);
  if (!isRecord(raw) || typeof raw["cluster"] !== "string") {
    throw new MeshError(
      "config_invalid",
      `${what} is no identity of a mesh: name another cluster in the store's address`,
    );
  }
  if (raw["layout"] !== LAYOUT) {
    const message = `${what} says layout ${String(raw["layout"])}, and this version knows ${LAYOUT}: run the version of infermesh that wrote it`;
    throw new MeshError("config_invalid", message);
  }
  return raw["cluster"];
}

/** Other clusters in the same etcd, as far as this user may see them: a new one may be a name that was mistyped. */
async function othersBeside(client: EtcdClient, { prefix }: EtcdKeys, timeoutMs: number): Promise<string[]> {
  const others: string[] = [];
  let key: Uint8Array = Buffer.from(ROOT);
  const rangeEnd = endOf(key);
  while (others.length < OTHERS_SHOWN_MAX) {
    const page = await client.range({ key, rangeEnd, limit: 1, keysOnly: true }, timeoutMs);
    const first = page instanceof EtcdFailure ? undefined : page.kvs[0]?.key;
    if (!first) break;
    const name = Buffer.from(first).toString().slice(ROOT.length).split("/")[0] ?? "";
    if (`${ROOT}${name}/` !== prefix) others.push(name);
    key = endOf(Buffer.from(`${ROOT}${name}/`));
  }
  return others;
}

function jsonOf(value: Uint8Array | null | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(value ?? []).toString());
  } catch {
    return undefined;
  }
}
