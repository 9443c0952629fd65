/**
 * KV caches that go from one mock runtime to another, as vLLM's and SGLang's do where prefill and decode are disaggregated
 * (fleet/role.ts): the numbers alone, but over a real connection, from where the request says. A mock without a role knows
 * nothing of this, as a server without a connector does.
 *
 * vLLM: a prefill server that is asked to (`do_remote_decode`) holds the blocks of the prompt and answers where they are;
 * a decode server that is told (`do_remote_prefill`) fetches them before it begins. SGLang: both meet in a room at the
 * prefill server, whose answer waits until its blocks have been fetched. The bootstrap server is the mock's own port.
 *
 * Limits: HELD_MAX caches are held, for HOLD_MS; then they are gone, as vLLM's are after its timeout.
 */
import { MeshError } from "../base/errors.ts";
import type { SplitRole } from "../fleet/role.ts";
import { isWildcard } from "../net/ip.ts";
import type { Fields } from "./mock-requests.ts";

const TRANSFER_PATH = "/mock/kv/";
const HELD_MAX = 4096;
const HOLD_MS = 480_000;
/** For the other half to come, and for the fetch. */
const MEET_MS = 30_000;
const LOOK_MS = 10;

interface HeldCache {
  readonly blocks: number;
  readonly untilMs: number;
  readonly fetched: () => void;
}

/** What one request has to do with another server. */
export interface Transfer {
  /** The prompt's blocks are for another server. */
  readonly holds: boolean;
  /** Before it is computed: answers whether the prompt's blocks are here now. */
  before(): Promise<boolean>;
  /** The prompt is computed, and has so many blocks: answers what the answer says besides. */
  after(blocks: number): Promise<object>;
}

export class MockTransfers {
  readonly #role: SplitRole;
  readonly #place: () => { readonly host: string; readonly port: number };
  readonly #engine = crypto.randomUUID();
  readonly #held = new Map<string, HeldCache>();
  #count = 0;

  /** `place`: where others reach it. */
  constructor(role: SplitRole, place: () => { readonly host: string; readonly port: number }) {
    this.#role = role;
    this.#place = place;
  }

  /** Null: it is to be computed here, all of it. Throws for what the server would refuse. */
  of(fields: Fields, signal: AbortSignal): Transfer | null {
    return this.#role.transfer === "vllm" ? this.#ofVllm(fields, signal) : this.#ofSglang(fields, signal);
  }

  /** To `GET`: how many blocks there are; they are the asker's now. Null: that is nothing of this, or nobody has them. */
  answer(path: string): Response | null {
    const key = path.startsWith(TRANSFER_PATH) ? path.slice(TRANSFER_PATH.length) : "";
    const held = this.#held.get(key);
    this.#held.delete(key);
    if (held === undefined || held.untilMs < performance.now()) return null;
    held.fetched();
    return Response.json({ blocks: held.blocks });
  }

  #hold(key: string, blocks: number, fetched: () => void = () => {}): void {
    this.#held.set(key, { blocks, untilMs: performance.now() + HOLD_MS, fetched });
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= HELD_MAX) break;
      this.#held.delete(oldest);
    }
  }

  #ofVllm(fields: Fields, signal: AbortSignal): Transfer | null {
    const asked = recordOf(fields["kv_transfer_params"]);
    if (asked === null) return null;
    if (this.#role.part === "prefill" && asked["do_remote_decode"] === true) {
      return {
        holds: true,
        before: async () => false,
        after: async (blocks) => {
          const id = String((this.#count += 1));
          // A prompt of less than a block has nothing to pass on.
          if (blocks === 0) return {};
          this.#hold(`${this.#engine}/${id}`, blocks);
          const { host, port } = this.#place();
          const params = {
            do_remote_prefill: true,
            do_remote_decode: false,
            remote_engine_id: this.#engine,
            remote_block_ids: [[Number(id)]],
            remote_host: host,
            remote_port: port,
          };
          return { kv_transfer_params: params };
        },
      };
    }
    if (this.#role.part !== "decode" || asked["do_remote_prefill"] !== true) return null;
    const { remote_engine_id: engine, remote_block_ids: ids, remote_host: from, remote_port: port } = asked;
    const [[id] = []] = Array.isArray(ids) ? (ids as unknown[][]) : [];
    if (typeof engine !== "string" || typeof id !== "number") throw unclear("kv_transfer_params");
    return {
      holds: false,
      before: () => fetchFrom(placeOf(from, port, "kv_transfer_params"), `${engine}/${id}`, 0, signal),
      after: async () => ({}),
    };
  }

  #ofSglang(fields: Fields, signal: AbortSignal): Transfer {
    const { bootstrap_room: room, bootstrap_host: host, bootstrap_port: port } = fields;
    if (typeof room !== "number" || !Number.isSafeInteger(room) || room < 0) throw unclear("bootstrap_room");
    const key = `rooms/${room}`;
    if (this.#role.part === "decode") {
      return {
        holds: false,
        before: () => fetchFrom(placeOf(host, port, "bootstrap_host"), key, MEET_MS, signal),
        after: async () => ({}),
      };
    }
    return {
      holds: true,
      before: async () => false,
      after: async (blocks) => {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const late = setTimeout(() => reject(new MeshError("internal", `nobody came to room ${room}`)), MEET_MS);
        signal.addEventListener("abort", () => resolve(), { once: true });
        this.#hold(key, blocks, resolve);
        await promise.finally(() => clearTimeout(late));
        return {};
      },
    };
  }
}

/** Takes the blocks from where they are, waiting for them for so long. Throws where nobody has them. */
async function fetchFrom(from: string, key: string, waitMs: number, signal: AbortSignal): Promise<boolean> {
  const untilMs = performance.now() + waitMs;
  const how = { signal: AbortSignal.any([signal, AbortSignal.timeout(MEET_MS)]), proxy: "" };
  for (;;) {
    const { status } = await fetch(`http://${from}${TRANSFER_PATH}${key}`, how).catch((error: Error) => {
      throw new MeshError("internal", `the KV cache can't be fetched from ${from}: ${error.message}`);
    });
    if (status === 200) return true;
    if (performance.now() >= untilMs) throw new MeshError("internal", `${from} has no KV cache ${key}`);
    await Bun.sleep(LOOK_MS);
  }
}

function placeOf(host: unknown, port: unknown, param: string): string {
  const isHost = typeof host === "string" && /^(?:\[[0-9a-f:.]+\]|[\w.:-]{1,253})$/i.test(host);
  if (!isHost || typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) throw unclear(param);
  return `${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
}

function unclear(param: string): MeshError {
  return new MeshError("bad_request", `${param} does not say where the KV cache goes`, { param });
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
}

/** Null without a role. What listens everywhere is reached by others on this machine. */
export function transfersOf(
  role: SplitRole | null | undefined,
  at: { readonly hostname: string; readonly port: number },
): MockTransfers | null {
  const host = (): string => (isWildcard(at.hostname) ? "127.0.0.1" : at.hostname);
  return role ? new MockTransfers(role, () => ({ host: host(), port: at.port })) : null;
}
