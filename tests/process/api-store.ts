/** The policies of a running node by its JSON API, in the shape that the histories of tests/store are made with. */
import { type ErrorCode, MeshError } from "../../src/base/errors.ts";
import type { Item } from "../../src/policy/item.ts";
import type { Outcome } from "../../src/policy/outcome.ts";
import type { Kind } from "../../src/policy/spec.ts";
import type { Write } from "../../src/policy/write.ts";
import type { ReadOptions, StoreStatus, WriteOptions } from "../../src/store/policy-store.ts";

const SERVICE = "infermesh.control.v1.ControlPlane";

interface Told {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly current?: unknown;
}

interface Failure {
  readonly message: string;
  readonly details?: readonly { readonly debug?: Told }[];
}

/** Bun says it in either way. */
const REFUSED = new Set(["ConnectionRefused", "ECONNREFUSED"]);
/** Between two tries to reach a node that is being restarted. */
const RETRY_MS = 25;

/** Calls a method, as soon as somebody listens there; throws a MeshError with the code that the answer tells. */
export async function call(
  api: string | (() => string),
  method: string,
  request: object,
  timeoutMs = 5000,
): Promise<unknown> {
  const response = await answered(typeof api === "string" ? () => api : api, method, request, timeoutMs);
  const answer: unknown = await response.json().catch(() => {
    throw new MeshError("request_timeout", "the answer was cut off", { retryable: true });
  });
  if (response.ok) return answer;
  const { message, details } = answer as Failure;
  const debug = details?.[0]?.debug;
  const error = new MeshError(debug?.code ?? "internal", message, { retryable: debug?.retryable ?? false });
  throw Object.assign(error, { current: debug?.current });
}

async function answered(api: () => string, method: string, request: object, timeoutMs: number): Promise<Response> {
  for (const untilMs = performance.now() + timeoutMs; ; await Bun.sleep(RETRY_MS)) {
    try {
      return await fetch(`http://${api()}/${SERVICE}/${method}`, {
        method: "POST",
        headers: { "content-type": "application/json", "connect-timeout-ms": String(timeoutMs) },
        body: JSON.stringify(request),
        signal: AbortSignal.timeout(timeoutMs + 1000),
      });
    } catch (error) {
      // Who can't be reached has not been asked; who was lost on the way may have done it.
      const isRefused = REFUSED.has((error as { code?: string }).code ?? "");
      if (isRefused && performance.now() < untilMs) continue;
      throw new MeshError(isRefused ? "no_quorum" : "request_timeout", String(error), { retryable: true });
    }
  }
}

export class ApiStore {
  readonly #api: () => string;

  /** Where it is asked; looked at each time, since it may have been restarted. */
  constructor(api: () => string) {
    this.#api = api;
  }

  async get(
    kind: Kind,
    name: string,
    { timeoutMs }: ReadOptions = {},
  ): Promise<{ item: Item | null; revision: number }> {
    try {
      const { policy } = (await call(this.#api, "GetPolicy", { kind, name }, timeoutMs)) as { policy: unknown };
      const item = itemOf(policy);
      return { item, revision: item.revision };
    } catch (error) {
      if ((error as MeshError).code === "not_found") return { item: null, revision: 0 };
      throw error;
    }
  }

  async write(writes: readonly Write[], { timeoutMs, key = "" }: WriteOptions = {}): Promise<Outcome> {
    const request = { writes: writes.map(messageOf), ...(key === "" ? {} : { idempotencyKey: key }) };
    try {
      const answer = (await call(this.#api, "ApplyPolicies", request, timeoutMs)) as {
        readonly policies: readonly unknown[];
        readonly revision: string;
        readonly changed: boolean;
        readonly alreadyApplied: boolean;
      };
      const { policies, revision, changed, alreadyApplied: repeated } = answer;
      return { ok: true, items: policies.map(itemOf), revision: Number(revision), changed, repeated };
    } catch (error) {
      const { code, message, current } = error as MeshError & { readonly current?: unknown };
      if (code === "conflict") return { ok: false, code, message, at: 0, current: current ? itemOf(current) : null };
      if (code === "not_found") return { ok: false, code, message, at: 0, current: null };
      throw error;
    }
  }

  async status(): Promise<StoreStatus> {
    return (await call(this.#api, "GetStoreStatus", {})) as StoreStatus;
  }
}

function messageOf(write: Write): object {
  const condition = write.ifRevision === undefined ? {} : { ifRevision: String(write.ifRevision) };
  if ("delete" in write) return { delete: write.delete, ...condition };
  const { kind, name, spec } = write.put;
  return { put: { kind, name, [kind]: spec }, ...condition };
}

function itemOf(policy: unknown): Item {
  const { kind, name, revision, createdRevision, updatedAtMs, ...rest } = policy as Record<string, unknown>;
  const stamps = {
    revision: Number(revision),
    createdRevision: Number(createdRevision),
    updatedAtMs: Number(updatedAtMs),
  };
  return { kind, name, spec: rest[kind as Kind], ...stamps } as Item;
}
