/**
 * The GPUs of all nodes in a router's JSON API, as their states tell of them: less than their agents know. Names may
 * come twice where GPUs are simulated or names are made of addresses on the bus, so a node tells them apart.
 */
import type { Context, Hono } from "hono";
import { MeshError } from "../base/errors.ts";
import { isRoutable, onePerNode, type Target } from "../fleet/target.ts";
import { allowOnly } from "./app.ts";
import { noSuchGpu } from "./gpu-api.ts";

export interface FleetView {
  nowMs(): number;
  targets(): readonly Target[];
}

export function fleetGpuRoutes(app: Hono, view: FleetView): void {
  const wanted = (c: Context): Target[] => {
    const node = c.req.query("node");
    return onePerNode(view.targets()).filter((target) => node === undefined || target.node === node);
  };
  app.get("/gpus", (c) => c.json({ gpus: wanted(c).flatMap((target) => gpusOf(target, view.nowMs())) }));
  app.get("/gpus/:uuid{.+}", (c) => {
    const uuid = c.req.param("uuid");
    const [first, ...others] = wanted(c).flatMap((target) =>
      gpusOf(target, view.nowMs()).filter((gpu) => gpu.uuid === uuid),
    );
    if (first === undefined) throw noSuchGpu(uuid);
    if (others.length > 0) {
      const nodes = [first, ...others].map(({ node }) => node).slice(0, 8);
      throw new MeshError(
        "conflict",
        `GPUs of several nodes have this name (${nodes.join(", ")}); say which by ?node=`,
        {
          param: "node",
        },
      );
    }
    return c.json(first);
  });
  const read = "GET, HEAD";
  allowOnly(app, { "/gpus": read, "/gpus/*": read });
}

function gpusOf(target: Target, nowMs: number): ({ readonly uuid: string; readonly node: string } & object)[] {
  const sampledAgoMs = target.sampledAtMs === undefined ? null : Math.max(0, Math.round(nowMs - target.sampledAtMs));
  return (target.lastSample?.gpus ?? []).map((gpu) => ({
    ...gpu,
    node: target.node,
    nodeState: target.state,
    routable: isRoutable(target),
    sampledAgoMs,
  }));
}
