/** The meshes of deploy/kubernetes, inside the namespace that kube-mesh.test.ts makes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { EXECUTABLE, until } from "../process/harness.ts";
import { Cluster, ctl, type Pod, probed, untilReady } from "./kube-cluster.ts";
import { ServiceLoad } from "./kube-load.ts";

/** How long endpoints still lead to a pod that was told to end. */
const ENDPOINT_LAG_MS = 1500;

/** Ends as a kubelet has it: SIGTERM, and all of its time; answers the exit code. */
async function terminated(pod: Pod): Promise<number> {
  pod.process.process.kill("SIGTERM");
  const late = setTimeout(() => pod.process.process.kill("SIGKILL"), pod.graceSeconds * 1000);
  const code = await pod.process.process.exited;
  clearTimeout(late);
  return code;
}

describe("mock.yaml", () => {
  const cluster = new Cluster("mock");
  const routerSpec = cluster.workload("infermesh-router");
  const agentSpec = cluster.workload("infermesh-agent");
  let routers: Pod[] = [];
  let agents: Pod[] = [];
  beforeAll(() => cluster.begin());
  afterAll(() => cluster.end());

  test("is a mesh that finds itself by the headless service, ready by its probes", async () => {
    [routers, agents] = await Promise.all([cluster.startAll(routerSpec), cluster.startAll(agentSpec)]);
    expect([routers.length, agents.length]).toEqual([2, 3]);
    for (const pod of [...routers, ...agents]) {
      expect(await probed(pod, "startup")).toBe(200);
      expect(await probed(pod, "liveness")).toBe(200);
    }
    await untilReady(...routers, ...agents);
    for (const router of routers) {
      await until(async () => {
        const listed = await ctl(EXECUTABLE, router, "list-nodes");
        return agents.every(({ name }) => new RegExp(`^${name} +healthy`, "m").test(listed));
      });
    }
  });

  test("loses no request while every router is replaced", async () => {
    const load = new ServiceLoad(routers, 4);
    for (const [at, old] of routers.entries()) {
      // As the Deployment's strategy says: one more first.
      const next = await cluster.start(routerSpec, `infermesh-router-new-${at}`);
      await untilReady(next);
      load.endpoints = [...routers, next];
      const ended = terminated(old);
      await until(async () => (await probed(old, "readiness")) === 503);
      expect(await probed(old, "liveness")).toBe(200);
      await Bun.sleep(ENDPOINT_LAG_MS);
      routers = routers.map((one) => (one === old ? next : one));
      load.endpoints = routers;
      cluster.forget(old);
      expect(await ended).toBe(0);
      const { total } = load;
      await until(() => load.total > total + 4);
    }
    expect(await load.end()).toEqual([]);
    // All had their share.
    expect(load.answers.size).toBe(4);
  });

  test("loses no request while an agent is replaced", async () => {
    const load = new ServiceLoad(routers, 4);
    await until(() => load.total > 8);
    const [old] = agents;
    expect(await terminated(old!)).toBe(0);
    cluster.forget(old!);
    const next = await cluster.start(agentSpec, "infermesh-agent-new");
    await untilReady(next);
    const { total } = load;
    await until(() => load.total > total + 8);
    expect(await load.end()).toEqual([]);
  });
});

describe("mesh.yaml", () => {
  const KEY = "3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8=";
  const cluster = new Cluster("mesh", { "infermesh-gossip": { key: KEY } });
  const spec = cluster.workload("infermesh-control");
  const names = ["infermesh-control-0", "infermesh-control-1", "infermesh-control-2"];
  let pods: Pod[] = [];
  beforeAll(() => cluster.begin());
  afterAll(() => cluster.end());

  const voters = async (): Promise<string[]> => {
    const status = await ctl(EXECUTABLE, pods[0]!, "control", "status");
    return names.filter((name) => new RegExp(`^${name} +(?:leader|follower) `, "m").test(status));
  };

  test("has control nodes that are started alike, of which the first begins", async () => {
    pods = await cluster.startAll(spec);
    await untilReady(...pods);
    await until(async () => (await voters()).length === 3, 30_000);
    expect(await ctl(EXECUTABLE, pods[1]!, "quota", "set", "acme", "--requests-per-second", "5")).toContain(
      "revision 1",
    );
  });

  test("which are ready while a majority is there, and come back from their volumes under other addresses", async () => {
    await Promise.all(pods.map((pod) => pod.process.kill()));
    for (const pod of pods) cluster.forget(pod);
    pods = [await cluster.start(spec, names[0]!)];
    // One alone has no leader: a StatefulSet that waited for it would wait for ever.
    expect(await probed(pods[0]!, "readiness")).toBe(503);
    expect(await probed(pods[0]!, "liveness")).toBe(200);
    for (const name of names.slice(1)) pods.push(await cluster.start(spec, name));
    await untilReady(...pods);
    expect(await voters()).toEqual(names);
    expect(await ctl(EXECUTABLE, pods[2]!, "quota", "list")).toContain("acme");
    for (const pod of pods) expect(await terminated(pod)).toBe(0);
  });
});
