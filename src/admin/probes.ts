/**
 * What a supervisor asks that only looks at an answer's status: Kubernetes' probes, and balancers of load. GET /livez is
 * 200 as long as the process answers at all, whatever becomes of others, or of itself. GET /readyz is 503 while requests
 * should go elsewhere, with why.
 */
import type { Hono } from "hono";
import { allowOnly } from "./app.ts";

/** `whyNot` says in words why the process is not ready; "" when it is. */
export function probeRoutes(app: Hono, whyNot: () => string | Promise<string>): void {
  app.get("/livez", (c) => c.json({ status: "alive" }));
  app.get("/readyz", async (c) => {
    const reason = await whyNot();
    return reason === "" ? c.json({ status: "ready" }) : c.json({ status: "unready", reason }, 503);
  });
  allowOnly(app, { "/livez": "GET, HEAD", "/readyz": "GET, HEAD" });
}
