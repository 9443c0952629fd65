/**
 * The API's methods about policies. Every change is a write of policies: what a method like DrainNode adds is only how
 * the new policy follows from the old one. Faults are found here, before anything is asked of the control nodes; so is
 * what is probably not meant, which is told as a warning.
 */
import { MeshError } from "../base/errors.ts";
import type { Fault } from "../base/field.ts";
import type {
  ApplyPoliciesRequest,
  ChangeNodeRequest,
  DeletePolicyRequest,
  GetPolicyRequest,
  GetPolicyResponse,
  Init,
  ListPinsRequest,
  ListPoliciesRequest,
  ListPoliciesResponse,
  PinModelRequest,
  SetPolicyRequest,
  UnpinModelRequest,
  WriteResponse,
} from "../gen/services.js";
import { type Item, type ItemKey, keyOf } from "../policy/item.ts";
import type { Done, Outcome } from "../policy/outcome.ts";
import { faultsText, readingAt } from "../policy/spec-reading.ts";
import type { NodeSpec } from "../policy/spec.ts";
import { checkWrites, readWrites, specBytes, targetOf, type View, type Write } from "../policy/write.ts";
import { kindOf, type PolicyAccess, policyMessage, refusalError, said, specIn, timeLeft } from "./policy-access.ts";
import type { Call } from "./services.ts";

/** How a write is asked for, in every method that changes something. */
interface WriteWishes {
  readonly ifRevision?: number | undefined;
  readonly idempotencyKey: string;
  readonly dryRun: boolean;
}

export interface PolicyServiceOptions {
  /** Throws a MeshError where this process has no store, or not yet. */
  policies(): PolicyAccess;
  /** What is probably not meant; `items` are the policies before. */
  warnings(writes: readonly Write[], items: readonly Item[]): readonly string[];
  /** Throws `not_found` for a node that nobody knows. */
  knownNode(id: string): void;
}

/** A policy that someone else changes in between is read again so many times. */
const ATTEMPTS_MAX = 5;

export class PolicyService {
  readonly #options: PolicyServiceOptions;

  constructor(options: PolicyServiceOptions) {
    this.#options = options;
  }

  async setPolicy(request: SetPolicyRequest, call: Call): Promise<Init<WriteResponse>> {
    const { kind, spec } = specIn(request);
    return this.#write([conditional({ put: { kind, name: request.name, spec } }, request)], request, call);
  }

  async deletePolicy(request: DeletePolicyRequest, call: Call): Promise<Init<WriteResponse>> {
    const { name } = request;
    return this.#write([conditional({ delete: { kind: kindOf(request.kind), name } }, request)], request, call);
  }

  async pinModel(request: PinModelRequest, call: Call): Promise<Init<WriteResponse>> {
    const { model, revision, nodes, selector, minReplicas, maxReplicas } = request;
    const spec = said({ revision, nodes, selector, minReplicas, maxReplicas });
    return this.#write([conditional({ put: { kind: "pin", name: model, spec } }, request)], request, call);
  }

  async unpinModel(request: UnpinModelRequest, call: Call): Promise<Init<WriteResponse>> {
    return this.#write([conditional({ delete: { kind: "pin", name: request.model } }, request)], request, call);
  }

  async applyPolicies(request: ApplyPoliciesRequest, call: Call): Promise<Init<WriteResponse>> {
    const writes = request.writes.map(({ put, delete: gone, ifRevision }, at) => {
      if (put !== undefined) return conditional({ put: { name: put.name, ...specIn(put) } }, { ifRevision });
      if (gone !== undefined) return conditional({ delete: { ...gone, kind: kindOf(gone.kind) } }, { ifRevision });
      throw new MeshError("bad_request", `writes[${at}] is empty; expected put or delete`);
    });
    return this.#write(writes, request, call);
  }

  async getPolicy({ kind, name, local }: GetPolicyRequest, call: Call): Promise<Init<GetPolicyResponse>> {
    const options = { consistent: !local, timeoutMs: timeLeft(call) };
    const { item, revision } = await this.#options.policies().get(kindOf(kind), name, options);
    if (item === null) throw new MeshError("not_found", `there is no policy ${kind}/${name.slice(0, 300)}`);
    return { policy: policyMessage(item), revision };
  }

  async listPolicies(request: ListPoliciesRequest, call: Call): Promise<Init<ListPoliciesResponse>> {
    const { kind, namePrefix, local } = request;
    const only = kind === "" ? {} : { kind: kindOf(kind) };
    const options = { ...only, consistent: !local, timeoutMs: timeLeft(call) };
    const { items, revision } = await this.#options.policies().list(options);
    return { policies: items.filter(({ name }) => name.startsWith(namePrefix)).map(policyMessage), revision };
  }

  async listPins({ model, local }: ListPinsRequest, call: Call): Promise<Init<ListPoliciesResponse>> {
    const options = { kind: "pin", consistent: !local, timeoutMs: timeLeft(call) } as const;
    const { items, revision } = await this.#options.policies().list(options);
    return { policies: items.filter(({ name }) => model === "" || name === model).map(policyMessage), revision };
  }

  /** Drain, cordon and their opposites: a change of one node's policy, which goes when it says nothing any more. */
  async changeNode(request: ChangeNodeRequest, call: Call, change: NodeSpec): Promise<Init<WriteResponse>> {
    const { id } = request;
    const isOn = change.cordoned === true || change.draining === true;
    if (id === "") throw new MeshError("bad_request", "id is missing; expected a node's id", { param: "id" });
    if (isOn && !request.allowUnknown) this.#options.knownNode(id);
    for (let attempt = 1; ; attempt++) {
      const read = { consistent: true, timeoutMs: timeLeft(call) };
      const { item, revision } = await this.#options.policies().get("node", id, read);
      const spec = nodeSpec(item as { readonly spec: NodeSpec } | null, change, request.reason);
      const ifRevision = request.ifRevision ?? item?.revision ?? 0;
      if (spec === null && item === null && ifRevision === 0) {
        return { revision, warnings: this.#unknown(id), dryRun: request.dryRun };
      }
      const write = spec === null ? { delete: { kind: "node", name: id } } : { put: { kind: "node", name: id, spec } };
      // Doing it twice is doing it once, and a key would be bound to what the node's policy was at the first time.
      const wishes = { ...request, idempotencyKey: "", ifRevision };
      try {
        return await this.#write([conditional(write, wishes)], wishes, call);
      } catch (error) {
        const isRace = error instanceof MeshError && (error.code === "conflict" || error.code === "not_found");
        if (!isRace || request.ifRevision !== undefined || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  }

  /** There was nothing to undo, which may be since another node was meant. */
  #unknown(id: string): readonly string[] {
    try {
      this.#options.knownNode(id);
      return [];
    } catch (error) {
      if (error instanceof MeshError) return [`${error.message}; and no policy is about it`];
      throw error;
    }
  }

  async #write(raw: readonly object[], wishes: WriteWishes, call: Call): Promise<Init<WriteResponse>> {
    const writes = checked(raw);
    const policies = this.#options.policies();
    // Only advice on rules looks at others, and a list is long.
    const isOfRules = writes.some((write) => targetOf(write).kind === "acl");
    const { items } = isOfRules ? await policies.list({ kind: "acl", consistent: false }) : { items: [] };
    const warnings = this.#options.warnings(writes, items);
    const { idempotencyKey: key, dryRun } = wishes;
    const timeoutMs = timeLeft(call);
    const outcome = dryRun
      ? await tried(policies, writes, timeoutMs)
      : await policies.write(writes, { timeoutMs, ...(key === "" ? {} : { key }) });
    if (!outcome.ok) throw refusalError(outcome);
    return { ...written(writes, outcome), warnings, dryRun };
  }
}

function conditional(write: object, { ifRevision }: Pick<WriteWishes, "ifRevision">): object {
  return ifRevision === undefined ? write : { ...write, ifRevision };
}

/** The writes in their canonical form; throws one error for all faults. */
function checked(raw: readonly object[]): readonly Write[] {
  const faults: Fault[] = [];
  const isOne = raw.length === 1;
  const writes = readWrites(raw, readingAt("writes", faults));
  if (writes !== undefined) return writes;
  const text = faultsText(faults) ?? "the writes can't be read";
  // Of one policy, people gave the fields, not a list of writes.
  const plain = isOne ? text.replaceAll(/writes\[0\]\.(?:(?:put|delete)\.)?(?:spec\.)?/g, "") : text;
  throw new MeshError("bad_request", plain);
}

/** What the writes would come to. */
async function tried(policies: PolicyAccess, writes: readonly Write[], timeoutMs: number): Promise<Outcome> {
  const { items, revision } = await policies.list({ consistent: true, timeoutMs });
  const known = new Map(items.map((item) => [keyOf(item), item]));
  const view: View = {
    revision,
    size: items.length,
    specsBytes: items.reduce((sum, { spec }) => sum + specBytes(spec), 0),
    get: (kind, name) => known.get(keyOf({ kind, name })),
  };
  return checkWrites(view, writes, Date.now()).outcome;
}

function written(writes: readonly Write[], { items, revision, changed, repeated }: Done): Init<WriteResponse> {
  const deleted: ItemKey[] = writes.map(targetOf).filter((_, at) => items[at] === null);
  return {
    policies: items.filter((item): item is Item => item !== null).map(policyMessage),
    deleted,
    revision,
    changed,
    alreadyApplied: repeated,
  };
}

/** The node's policy after a change; null when it says nothing any more. */
function nodeSpec(item: { readonly spec: NodeSpec } | null, change: NodeSpec, reason: string): NodeSpec | null {
  const { cordoned, draining } = { ...item?.spec, ...change };
  if (cordoned !== true && draining !== true) return null;
  const why = reason === "" ? (item?.spec.reason ?? "") : reason;
  return {
    ...(cordoned === true ? { cordoned } : {}),
    ...(draining === true ? { draining } : {}),
    ...(why === "" ? {} : { reason: why }),
  };
}
