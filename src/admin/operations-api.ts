/**
 * What an operator does to a running router: loading its configuration anew, replacing its workers, and handing over to
 * another executable. Only on --api ports; described in docs/api.md.
 */
import { isIP } from "node:net";
import type { Hono } from "hono";
import { isRecord } from "../base/field.ts";
import { MeshError, openAiBody } from "../base/errors.ts";
import type { Change } from "../base/settings-changes.ts";
import { allowOnly, JSON_TYPE, jsonBody, type PortEnv } from "./app.ts";

export interface Operations {
  reload(): {
    readonly outcome: "applied" | "unchanged" | "refused";
    readonly changes: readonly Change[];
    readonly pending: readonly Change[];
    readonly faults: readonly string[];
  };
  workers(): { readonly workers: readonly object[]; readonly retiring: number };
  /** Resolves when every seat has a new worker; rejects with a MeshError. */
  restartWorkers(): Promise<void>;
  /** Resolves when the new process serves; "" for the executable that runs. Rejects with a MeshError. */
  upgrade(executable: string): Promise<{ readonly pid: number; readonly version: string }>;
}

export function operationRoutes(app: Hono, operations: Operations): void {
  app.post("/reload", (c) => {
    const { outcome, changes, pending, faults } = operations.reload();
    if (outcome !== "refused") return c.json({ outcome, changes, pending });
    const error = new MeshError("config_invalid", `nothing was changed: ${faults.join("; ")}`);
    const body = { ...(JSON.parse(openAiBody(error)) as object), outcome, faults };
    return c.body(JSON.stringify(body), error.status as 400, { "content-type": JSON_TYPE });
  });
  app.get("/workers", (c) => c.json(operations.workers()));
  app.post("/workers/restart", async (c) => {
    await operations.restartWorkers();
    return c.json(operations.workers());
  });
  app.post("/upgrade", async (c) => {
    const { remoteAddress = "" } = (c.env ?? {}) as Partial<PortEnv>;
    if (!isLoopback(remoteAddress)) {
      throw new MeshError("bad_request", "an executable is only started for who asks on this machine, by its loopback");
    }
    const body = (await c.req.text()) === "" ? {} : await jsonBody(c);
    const { executable = "", ...rest } = isRecord(body) ? body : { rest: body };
    if (typeof executable !== "string" || Object.keys(rest).length > 0) {
      throw new MeshError("bad_request", 'the body is {"executable": PATH}, or none', { param: "executable" });
    }
    return c.json(await operations.upgrade(executable));
  });
  allowOnly(app, { "/reload": "POST", "/workers": "GET, HEAD", "/workers/restart": "POST", "/upgrade": "POST" });
}

function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/, "");
  return address === "::1" || (isIP(plain) === 4 && plain.startsWith("127."));
}
