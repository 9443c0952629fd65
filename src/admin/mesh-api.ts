/** The mesh in both roles' APIs: its members, what happens among them, and leaving it. Described in docs/api.md. */
import type { Hono } from "hono";
import { MeshError } from "../base/errors.ts";
import { allowOnly } from "./app.ts";
import { connectRoutes } from "./connect-api.ts";
import { type EventJournal, eventRoutes } from "./events.ts";
import type { ApiPart } from "./gpu-schema.ts";
import { openApiDocument } from "./open-api.ts";
import { probeRoutes } from "./probes.ts";
import type { Services } from "./services.ts";

export interface MeshApiOptions {
  /** The mesh as this node sees it. */
  members?(): readonly object[];
  /** One member, with all that is known of it. */
  member?(id: string): object | undefined;
  readonly events?: EventJournal;
  /** The methods that are served as JSON here, and as gRPC on the same port. */
  readonly services?: Services | undefined;
  /** What else this port serves in JSON that the OpenAPI document is to have. */
  readonly openApi?: ApiPart;
  /** Why requests should go elsewhere; "" while they need not. By default never. */
  notReady?(): string | Promise<string>;
  /** Begins an end in order: out of the mesh, then out of work. Not for the metrics port, which others can reach. */
  readonly leave?: () => void;
}

/** What may be looked at. */
export function meshRoutes(app: Hono, options: Omit<MeshApiOptions, "leave">): void {
  const read = "GET, HEAD";
  probeRoutes(app, () => options.notReady?.() ?? "");
  app.get("/members", (c) => c.json({ members: options.members?.() ?? [] }));
  app.get("/members/:id{.+}", (c) => {
    const id = c.req.param("id");
    const member = options.member?.(id);
    if (member === undefined) throw new MeshError("not_found", `there is no member "${id.slice(0, 128)}"`);
    return c.json(member);
  });
  allowOnly(app, { "/members": read, "/members/*": read });
  const { events, services } = options;
  if (events !== undefined) eventRoutes(app, events, services?.watchers);
  if (services === undefined) return;
  connectRoutes(app, services);
  let document: object | null = null;
  app.get("/openapi.json", (c) => c.json((document ??= openApiDocument(services, options.openApi))));
  allowOnly(app, { "/openapi.json": read });
}

export function leaveRoute(app: Hono, leave: () => void): void {
  app.post("/leave", (c) => {
    leave();
    return c.json({ status: "draining" }, 202);
  });
  allowOnly(app, { "/leave": "POST" });
}
