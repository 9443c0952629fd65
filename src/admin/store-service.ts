/** The API's methods about the store that holds the policies: its state, its members, copies of all that it holds. */
import { MeshError } from "../base/errors.ts";
import { isRecord } from "../base/field.ts";
import type {
  AddControlMemberRequest,
  ControlMember,
  ControlMembersResponse,
  GetStoreStatusResponse,
  Init,
  RemoveControlMemberRequest,
  RestoreSnapshotRequest,
  RestoreSnapshotResponse,
  SaveSnapshotResponse,
  TransferLeadershipRequest,
} from "../gen/services.js";
import { type PolicyAccess, refusalError, type StoreMemberFacts, timeLeft } from "./policy-access.ts";
import type { Call } from "./services.ts";

/** A new member is given all that there is before it counts. */
const CHANGE_MS = 30_000;
const NEWLINE = 10;

export interface StoreServiceOptions {
  policies(): PolicyAccess;
  /** Throws `not_found` for one that the mesh does not know. */
  knownNode(id: string): void;
  /** "host:port" where a node takes the links of control nodes; "" where the mesh does not know. */
  controlAddress(node: string): string;
}

export class StoreService {
  readonly #options: StoreServiceOptions;

  constructor(options: StoreServiceOptions) {
    this.#options = options;
  }

  async getStoreStatus(): Promise<Init<GetStoreStatusResponse>> {
    const { members, ...status } = await this.#options.policies().status();
    return { ...status, members: members.map(memberMessage) };
  }

  async addControlMember(request: AddControlMemberRequest, call: Call): Promise<Init<ControlMembersResponse>> {
    const add = named(request.node);
    const address = request.address === "" ? this.#options.controlAddress(add) : request.address;
    if (address === "") {
      this.#options.knownNode(add);
      const why = `node ${add} tells of no control port: start it with --control join, or give its address (--address HOST:PORT)`;
      throw new MeshError("bad_request", why, { param: "address" });
    }
    return this.#change({ add, address }, call);
  }

  async removeControlMember({ node }: RemoveControlMemberRequest, call: Call): Promise<Init<ControlMembersResponse>> {
    return this.#change({ remove: named(node) }, call);
  }

  async transferLeadership({ node }: TransferLeadershipRequest, call: Call): Promise<Init<ControlMembersResponse>> {
    return this.#change({ transferTo: named(node) }, call);
  }

  async saveSnapshot(_request: object, call: Call): Promise<Init<SaveSnapshotResponse>> {
    const policies = this.#options.policies();
    const snapshot = await policies.save(timeLeft(call));
    return { snapshot, revision: revisionIn(snapshot) ?? (await policies.status()).revision };
  }

  async restoreSnapshot({ snapshot }: RestoreSnapshotRequest, call: Call): Promise<Init<RestoreSnapshotResponse>> {
    if (snapshot.length === 0) throw new MeshError("bad_request", "snapshot is empty", { param: "snapshot" });
    const outcome = await this.#options.policies().restore(snapshot, timeLeft(call));
    if (!outcome.ok) throw refusalError(outcome);
    return { revision: outcome.revision };
  }

  async #change(
    change: Parameters<PolicyAccess["changeMembers"]>[0],
    call: Call,
  ): Promise<Init<ControlMembersResponse>> {
    const policies = this.#options.policies();
    const leftMs = Number.isFinite(call.deadlineMs) ? call.deadlineMs - performance.now() : CHANGE_MS;
    await policies.changeMembers(change, Math.max(1, Math.round(leftMs)));
    const { members, leader } = await policies.status();
    return { members: members.map(memberMessage), leader };
  }
}

/** As the head of a snapshot tells it: the store may have gone on since. */
function revisionIn(snapshot: Uint8Array): number | undefined {
  const end = snapshot.indexOf(NEWLINE);
  try {
    const head: unknown = JSON.parse(new TextDecoder().decode(snapshot.subarray(0, Math.max(0, end))));
    const revision = isRecord(head) ? head["revision"] : undefined;
    return Number.isSafeInteger(revision) ? (revision as number) : undefined;
  } catch {
    return undefined;
  }
}

function named(node: string): string {
  if (node === "") throw new MeshError("bad_request", "node is missing; expected a node's id", { param: "node" });
  return node;
}

function memberMessage({ matchIndex, active, ...member }: StoreMemberFacts): Init<ControlMember> {
  return { ...member, matchIndex: matchIndex ?? undefined, active: active ?? undefined };
}
