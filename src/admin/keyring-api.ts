/** The keys of the gossip, in both roles' APIs on their --api ports. Described in docs/api.md. */
import type { Context, Hono } from "hono";
import { MeshError } from "../base/errors.ts";
import { allowOnly, jsonBody } from "./app.ts";

export interface KeyringControl {
  list(): Promise<object>;
  /** Takes JSON as it came. */
  change(json: unknown): Promise<object>;
}

/** Not for the metrics port, which others can reach. */
export function keyringRoutes(app: Hono, keyring: () => KeyringControl): void {
  app.get("/keyring", async (c) => c.json(await keyring().list()));
  app.post("/keyring", async (c) => c.json(await keyring().change(await secretBody(c))));
  allowOnly(app, { "/keyring": "GET, HEAD, POST" });
}

/** A body that may be a key: the parser's words about what is wrong with it quote it, and are left out. */
async function secretBody(c: Context): Promise<unknown> {
  try {
    return await jsonBody(c);
  } catch (error) {
    if (error instanceof MeshError && error.code === "bad_json") {
      throw new MeshError("bad_json", 'the body is not JSON; expected {"op": "add", "key": "..."} or the like');
    }
    throw error;
  }
}
