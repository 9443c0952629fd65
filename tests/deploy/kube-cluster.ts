/**
 * A cluster of Kubernetes as far as pods notice it: each has an address of its own on loopback with the ports that its
 * manifest names, finds the headless service by DNS, is asked by its probes, and gets SIGTERM while endpoints still lead
 * to it for a while. For a network namespace with an /etc/resolv.conf that names 127.0.0.1 (kube-mesh.test.ts).
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../../src/base/assert.ts";
import { MANIFESTS } from "../../scripts/kube/manifests.ts";
import { type NameServer, nameServer } from "../../src/trial/name-server.ts";
import { Bench, ownEnvironment, type Started, until } from "../process/harness.ts";
import {
  type Container,
  containerOf,
  environmentOf,
  materialised,
  probeUrl,
  type Resource,
  resourcesOf,
  workloadsOf,
} from "./kube-pods.ts";

const DNS_PORT = 53;
const HEADLESS = "infermesh-gossip.infermesh.svc.cluster.local";
/** On the pod's own loopback in a cluster; here all pods share one. */
const API_PORT = 50_050;

export interface Pod {
  readonly name: string;
  readonly ip: string;
  readonly container: Container;
  readonly graceSeconds: number;
  readonly process: Started;
}

export type Secrets = Readonly<Record<string, Readonly<Record<string, string>>>>;

export class Cluster {
  readonly bench = new Bench();
  readonly #resources: readonly Resource[];
  readonly #secrets: Secrets;
  readonly #records: Record<string, string[]> = { [HEADLESS]: [] };
  #dns: NameServer | null = null;
  #pods = 0;

  constructor(manifest: string, secrets: Secrets = {}) {
    this.#resources = resourcesOf(readFileSync(join(MANIFESTS, `${manifest}.yaml`), "utf8"));
    this.#secrets = secrets;
  }

  async begin(): Promise<void> {
    this.#dns = await nameServer(this.#records, "127.0.0.1", DNS_PORT);
  }

  async end(): Promise<void> {
    await this.bench.end();
    this.#dns?.stop();
  }

  workload(name: string): Resource {
    const found = workloadsOf(this.#resources).find(({ metadata }) => metadata.name === name);
    assert(found !== undefined, `the manifest has a workload ${name}`);
    return found;
  }

  /** Starts a pod of it; `volume` is what outlives the pod. It may not be ready yet. */
  async start(workload: Resource, name: string, volume = name): Promise<Pod> {
    const number = ++this.#pods;
    const ip = `127.1.0.${number}`;
    const container = containerOf(workload);
    const folder = join(this.bench.dataDir, volume);
    mkdirSync(folder, { recursive: true });
    // Members are found by the headless service before they are ready.
    this.#records[HEADLESS]?.push(ip);
    const args = materialised(workload, this.#resources, folder)
      .filter((arg) => !arg.startsWith("--log-format="))
      .map((arg) => arg.replace(/^(--[a-z-]+)=:(\d+)$/, `$1=${ip}:$2`));
    const env = { ...ownEnvironment(), ...environmentOf(container, { name, ip, node: name }, this.#secrets) };
    const process = await this.bench.launch([...args, `--api=${ip}:${API_PORT}`], { env });
    const graceSeconds = workload.spec.template.spec.terminationGracePeriodSeconds;
    return { name, ip, container, graceSeconds, process };
  }

  /** As many pods as its manifest says. */
  startAll(workload: Resource): Promise<Pod[]> {
    const { name } = workload.metadata;
    const { replicas = 1 } = workload.spec;
    return Promise.all(Array.from({ length: replicas }, (_, at) => this.start(workload, `${name}-${at}`)));
  }

  /** It is not to be found any more. */
  forget({ ip }: Pod): void {
    this.#records[HEADLESS] = this.#records[HEADLESS]?.filter((one) => one !== ip) ?? [];
  }
}

/** The status that a probe gets. */
export async function probed({ container, ip }: Pod, which: "startup" | "liveness" | "readiness"): Promise<number> {
  const response = await fetch(probeUrl(container, container[`${which}Probe`], ip), { keepalive: false });
  await response.text();
  return response.status;
}

export async function untilReady(...pods: readonly Pod[]): Promise<void> {
  for (const pod of pods) await until(async () => (await probed(pod, "readiness")) === 200, 30_000);
}

/** What `kubectl exec POD -- /infermesh ctl ...` prints. */
export async function ctl(executable: string, { ip }: Pod, ...words: readonly string[]): Promise<string> {
  const command = [executable, "ctl", ...words, "--endpoint", `http://${ip}:${API_PORT}`];
  const child = Bun.spawn(command, { env: ownEnvironment(), stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  assert((await child.exited) === 0, `ctl ${words.join(" ")}: ${err}`);
  return out;
}
