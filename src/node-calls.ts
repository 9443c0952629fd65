/**
 * Methods of the API that are answered by the node that is meant, wherever the call came in: at any other process they
 * travel through the mesh (mesh/calls.ts). Only what is served here travels so. Wiring only.
 */
import { MeshError } from "./base/errors.ts";
import { didYouMean } from "./base/nearest.ts";
import { SCHEMA } from "./gen/services.js";
import type { Init } from "./gen/services.js";
import { joined, type MeshNode } from "./mesh/node-membership.ts";
import { decodeMessage } from "./wire/proto-reader.ts";
import { type MessageType, ProtoTypes } from "./wire/proto-schema.ts";
import { encodeMessage } from "./wire/proto-writer.ts";

const SERVICE = "infermesh.control.v1.ControlPlane";
/** For a caller without a deadline: large models take minutes to load. */
export const TIMEOUT_MS = 600_000;

const types = new ProtoTypes(SCHEMA);

/** A method as it travels. */
export class NodeCall<Request extends object, Response extends object> {
  readonly path: string;
  readonly #request: MessageType;
  readonly #response: MessageType;

  constructor(method: string) {
    const path = `/${SERVICE}/${method}`;
    const info = types.schema.services
      .find(({ name }) => name === SERVICE)
      ?.methods.find((candidate) => candidate.name === method);
    if (info === undefined) throw new Error(`${SERVICE} has no method ${method}`);
    this.path = path;
    this.#request = types.message(info.input);
    this.#response = types.message(info.output);
  }

  /** Has another member answer; throws a MeshError, its own or the way's. */
  async askedOf(member: string, request: Init<Request>, mesh: MeshNode, deadlineMs: number): Promise<Init<Response>> {
    const leftMs = Math.max(1, Math.min(TIMEOUT_MS, deadlineMs - performance.now()));
    const bytes = await mesh.calls.ask(member, this.path, encodeMessage(this.#request, request), leftMs);
    const response = decodeMessage(this.#response, bytes);
    if (!("bad" in response)) return response.message as Init<Response>;
    throw new MeshError("upstream_failed", `the answer of ${member} can't be read: ${response.bad}`);
  }

  /** Answers another member by `here`. */
  servedBy(here: (request: Request, signal: AbortSignal) => Promise<Init<Response>>): ServedCall {
    return {
      path: this.path,
      answer: async (bytes) => {
        const request = decodeMessage(this.#request, bytes);
        if ("bad" in request) throw new MeshError("bad_request", request.bad);
        const told = request.message as unknown as Request;
        return encodeMessage(this.#response, await here(told, AbortSignal.timeout(TIMEOUT_MS)));
      },
    };
  }
}

export interface ServedCall {
  readonly path: string;
  answer(request: Uint8Array): Promise<Uint8Array>;
}

/** Answers other members' calls, once the node is in the mesh. */
export function serveNodeCalls(node: MeshNode | null, calls: readonly ServedCall[]): void {
  const byPath = new Map(calls.map((call) => [call.path, call]));
  joined(node).calls.serve(async (path, bytes) => {
    const call = byPath.get(path);
    if (call === undefined) throw new MeshError("not_supported", `${path} is not served to members`);
    return call.answer(bytes);
  });
}

/** Throws `not_found`, with the node that was probably meant, where the mesh has no such member. */
export function knownMember({ membership }: MeshNode, node: string): void {
  if (membership.member(node) !== undefined) return;
  const ids = membership.members().map(({ id }) => id);
  const hint = didYouMean(node, ids);
  const shown = JSON.stringify(node.slice(0, 128));
  throw new MeshError("not_found", `there is no node ${shown} in the mesh${hint && `; ${hint}`}`);
}
