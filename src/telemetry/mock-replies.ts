/** What the mock runtime's HTTP server answers with beside its endpoints' own: JSON, failures, names in paths. */
import { MeshError, openAiBody } from "../base/errors.ts";
import type { Profile } from "../sim/profile.ts";

export function json(value: object): Response {
  return Response.json(value);
}

export function failure(error: MeshError, id: string): Response {
  const headers: Record<string, string> = { "content-type": "application/json", "x-request-id": id };
  if (error.code === "method_not_allowed" && error.param !== undefined) headers["allow"] = error.param;
  return new Response(openAiBody(error), { status: error.status, headers });
}

/** The allowed method travels as the parameter at fault: it becomes the Allow header. */
export function notAllowed(method: string, path: string, allowed: string): MeshError {
  return new MeshError("method_not_allowed", `${method} is not allowed at ${path}, use ${allowed}`, { param: allowed });
}

export function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** A model in the list of models. */
export function modelCard(id: string, created: number, { model: root, contextTokensMax }: Profile): object {
  const is = { id, object: "model", created, owned_by: "infermesh" };
  return { ...is, root, parent: null, max_model_len: contextTokensMax };
}
