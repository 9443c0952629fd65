import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { type Discovered, isDiscovered } from "../../src/fleet/discovered.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import { isRoutable } from "../../src/fleet/target.ts";
import { nodeSample } from "./samples.ts";

const CONFIG = {
  pollIntervalMs: 1000,
  pollTimeoutMs: 300,
  unhealthyAfter: 3,
  removeAfter: 4,
  readyWaitMs: 0,
  targetsMax: 3,
};

function pod(name: string, change: Partial<Discovered> = {}): Discovered {
  const id = `${name}.default`;
  return {
    id,
    node: id,
    endpoint: "",
    host: `10.0.0.${name.charCodeAt(0)}`,
    port: 8000,
    tls: false,
    protocol: "http",
    models: ["m"],
    zone: "eu-1a",
    labels: { "k8s.pod": name },
    condition: "ready",
    ...change,
  };
}

class Bed {
  readonly fleet = new Fleet(CONFIG, new Prng(5));
  nowMs = 0;

  /** Tells what there is; answers what happened. */
  tell(...pods: Discovered[]): string[] {
    this.fleet.setDiscovered(pods, this.nowMs);
    return this.events();
  }

  events(): string[] {
    const { events } = this.fleet.take();
    return events.map(({ kind, id, cause }) => `${kind} ${id}: ${cause}`);
  }

  get known(): string[] {
    return this.fleet.targets().map(({ id, source }) => `${source} ${id}`);
  }

  /** Lets time pass; all polls fail, or none does. */
  pass(ms: number, ok: boolean): void {
    const end = this.nowMs + ms;
    while (this.nowMs < end) {
      this.nowMs += 100;
      this.fleet.wake(this.nowMs);
      for (const { id } of this.fleet.take().polls) {
        this.fleet.polled(id, ok ? { ok, sample: null, rttMs: 1 } : { ok, error: "refused" }, this.nowMs);
      }
    }
  }
}

describe("discovered targets", () => {
  test("come, change and go as the register says", () => {
    const bed = new Bed();
    expect(bed.tell(pod("a"), pod("b"))).toEqual([
      "joined a.default: k8s at 10.0.0.97:8000",
      "joined b.default: k8s at 10.0.0.98:8000",
    ]);
    expect(bed.fleet.target("a.default")).toMatchObject({ models: ["m"], zone: "eu-1a", labels: { "k8s.pod": "a" } });
    expect(bed.tell(pod("a", { models: ["m", "n"] }), pod("b"))).toEqual(["updated a.default: models: m, n"]);
    expect(bed.tell(pod("a", { models: ["m", "n"] }))).toEqual(["left b.default: it is no longer in Kubernetes"]);
    // A pod of a set comes back under its name, elsewhere.
    expect(bed.tell(pod("a", { host: "10.0.0.1" }))).toEqual([
      "left a.default: replaced at 10.0.0.1:8000",
      "joined a.default: k8s at 10.0.0.1:8000",
    ]);
  });

  test("are asked for a sign of life, and never forgotten for not answering", () => {
    const bed = new Bed();
    bed.tell(pod("a"));
    bed.pass(10_000, false);
    expect(bed.fleet.target("a.default")).toMatchObject({ state: "unhealthy" });
    bed.pass(3000, true);
    expect(bed.fleet.target("a.default")).toMatchObject({ state: "healthy" });
  });

  test("what the register says of one counts whatever its sample says", () => {
    const bed = new Bed();
    bed.tell(pod("a"));
    const routable = (): boolean => isRoutable(bed.fleet.target("a.default")!);
    expect(routable()).toBe(true);
    expect(bed.fleet.reported("a.default", nodeSample(), 1, 1, 1, "adapter")).toBe(true);
    expect(bed.tell(pod("a", { condition: "draining" }))).toEqual(["updated a.default: condition: draining"]);
    expect(routable()).toBe(false);
    bed.tell(pod("a"));
    expect(routable()).toBe(true);
    bed.fleet.reported("a.default", nodeSample({ ready: false }), 2, 1, 2, "adapter");
    expect(routable()).toBe(false);
  });

  test("give way to one that is announced at their place, and come back when it is gone", () => {
    const bed = new Bed();
    bed.tell(pod("a"), pod("b"));
    const agent = { id: "gpu-1", address: "10.0.0.97:8000", metricsPort: 9090, models: ["m"] };
    expect(bed.fleet.register(agent, 0, "gossip").accepted).toBe(true);
    expect(bed.events()).toEqual([
      "joined gpu-1: gossip at 10.0.0.97:8000",
      "left a.default: somebody announces itself at its place",
    ]);
    expect(bed.known).toEqual(["k8s b.default", "gossip gpu-1"]);
    expect(bed.tell(pod("a"), pod("b"))).toEqual([]);
    bed.fleet.deregister("gpu-1", 0, "gossip");
    expect(bed.events()).toEqual(["left gpu-1: deregistered", "joined a.default: k8s at 10.0.0.97:8000"]);
  });

  test("give way to one of their id, and to what is configured", () => {
    const bed = new Bed();
    bed.tell(pod("a"));
    const same = { id: "a.default", address: "10.0.0.97:8000", metricsPort: 9090, models: ["n"] };
    expect(bed.fleet.register(same, 0).accepted).toBe(true);
    expect(bed.events()).toEqual([
      "left a.default: it announces itself",
      "joined a.default: registered at 10.0.0.97:8000",
    ]);
    bed.fleet.deregister("a.default", 0);
    expect(bed.events()).toEqual(["left a.default: deregistered", "joined a.default: k8s at 10.0.0.97:8000"]);
    const upstream = { model: "m", host: "10.0.0.97", port: 8000, tls: false, protocol: "http", weight: 1 } as const;
    bed.fleet.setStatic([upstream], 0);
    bed.events();
    expect(bed.known).toEqual(["static 10.0.0.97:8000"]);
    bed.fleet.setStatic([], 0);
    bed.events();
    expect(bed.known).toEqual(["k8s a.default"]);
  });

  test("nobody but the register takes them out", () => {
    const bed = new Bed();
    bed.tell(pod("a"));
    expect(bed.fleet.deregister("a.default", 0)).toBe(false);
    expect(bed.fleet.deregister("a.default", 0, "gossip")).toBe(false);
    expect(bed.known).toEqual(["k8s a.default"]);
  });

  test("of more than there is room for the others are told of once, and taken when there is", () => {
    const bed = new Bed();
    const all = ["a", "b", "c", "d"].map((name) => pod(name));
    expect(bed.tell(...all).at(-1)).toBe("refused d.default: the fleet holds 3 targets already");
    expect(bed.tell(...all)).toEqual([]);
    expect(bed.tell(...all.slice(1))).toEqual([
      "left a.default: it is no longer in Kubernetes",
      "joined d.default: k8s at 10.0.0.100:8000",
    ]);
  });

  test("ports of one pod are targets of one node", () => {
    const bed = new Bed();
    const [one, other] = [8000, 8001].map((port) =>
      pod("a", { id: `a.default/${port}`, port, endpoint: String(port) }),
    );
    bed.tell(one!, other!);
    expect(bed.fleet.targetsOf("a.default").map(({ id }) => id)).toEqual(["a.default/8000", "a.default/8001"]);
  });

  test("what a predecessor tells is looked at", () => {
    expect(isDiscovered(pod("a"))).toBe(true);
    for (const wrong of [
      null,
      7,
      {},
      { ...pod("a"), port: "8000" },
      { ...pod("a"), models: "m" },
      { ...pod("a"), id: 1 },
    ]) {
      expect(isDiscovered(wrong)).toBe(false);
    }
  });
});
