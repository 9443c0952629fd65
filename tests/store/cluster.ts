/** Control nodes and followers in one process, on loopback, each with a store of its own in a temporary directory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { raftSettings } from "../../src/raft/settings.ts";
import { PolicyHost, type PolicyHostOptions } from "../../src/store/policy-host.ts";
import { freePort } from "../ports.ts";
import type { FaultyNetwork } from "./faulty-network.ts";
import { controlSettings } from "../../src/store/settings.ts";

export const LOG_ENTRY = new URL("../../src/store/log-worker.ts", import.meta.url);
const WAIT_MS = 15_000;

export interface Node {
  readonly name: string;
  readonly host: PolicyHost;
  /** What it logged. */
  readonly lines: string[];
  /** Where it told the mesh that it is a control node; "" for none. */
  readonly announced: () => string;
}

export class Cluster {
  readonly dir = mkdtempSync(join(tmpdir(), "infermesh-control-"));
  readonly nodes = new Map<string, Node>();
  /** What each node announces, as gossip would carry it. */
  readonly #announced = new Map<string, string>();

  async open(
    name: string,
    mode: PolicyHostOptions["config"]["mode"],
    more: Partial<PolicyHostOptions> = {},
  ): Promise<Node> {
    const lines: string[] = [];
    const line = (message: string, fields: object = {}): void =>
      void lines.push(`${message} ${JSON.stringify(fields)}`);
    const host = await PolicyHost.open({
      config: { ...defaultsOf(controlSettings), mode, listen: { host: "127.0.0.1", port: 0 } },
      raft: defaultsOf(raftSettings),
      logEntry: LOG_ENTRY,
      cluster: "mesh",
      node: name,
      dataDir: this.dir,
      keys: () => [],
      host: () => "127.0.0.1",
      isAlone: false,
      peers: () => [...this.#announced].filter(([node, at]) => node !== name && at !== "").map(([, at]) => at),
      whereIs: (node) => this.#announced.get(node) ?? "",
      announce: (address, isControlNode) => {
        this.#announced.set(name, isControlNode ? address : "");
        for (const node of this.nodes.values()) node.host.peersChanged();
      },
      log: { info: line, warn: line },
      ...more,
    });
    const node = { name, host, lines, announced: () => this.#announced.get(name) ?? "" };
    this.nodes.set(name, node);
    return node;
  }

  /** As `open`, reached by the others through the network. */
  async openBehind(network: FaultyNetwork, name: string, mode: PolicyHostOptions["config"]["mode"]): Promise<Node> {
    const port = freePort();
    const config = {
      ...defaultsOf(controlSettings),
      mode,
      listen: { host: "127.0.0.1", port },
      advertise: `127.0.0.1:${network.relay(name, port)}`,
    };
    return this.open(name, mode, { config });
  }

  /** A control plane of that many voters, n1 first; behind the network if there is one. */
  async form(voters: number, network?: FaultyNetwork): Promise<Node[]> {
    const nodes: Node[] = [];
    for (let number = 1; number <= voters; number += 1) {
      const [name, mode] = [`n${number}`, number === 1 ? "bootstrap" : "join"] as const;
      nodes.push(await (network === undefined ? this.open(name, mode) : this.openBehind(network, name, mode)));
    }
    // At all of them: until they know that the change is done, they need the majority of before.
    await until(async () => {
      const all = await Promise.all(nodes.map(({ host }) => host.status()));
      const counts = all.map(
        ({ members }) => members.filter(({ role }) => role === "leader" || role === "follower").length,
      );
      return counts.every((count) => count === voters) && all.every(({ changing }) => !changing);
    }, `${voters} voters`);
    return nodes;
  }

  /** The node that leads, as those say that are still open. */
  async leader(): Promise<Node> {
    let found: Node | undefined;
    await until(async () => {
      for (const node of this.nodes.values()) {
        const { leader } = await node.host.status();
        found = this.nodes.get(leader);
        if (found !== undefined) return true;
      }
      return false;
    }, "a leader");
    return found!;
  }

  async close(name: string): Promise<void> {
    const node = this.nodes.get(name);
    this.nodes.delete(name);
    this.#announced.delete(name);
    await node?.host.stop();
  }

  async end(): Promise<void> {
    for (const name of this.nodes.keys()) await this.close(name);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Waits until it holds; the time limit is only for what never will. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const untilMs = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > untilMs) throw new Error(`waited in vain for ${what}`);
    await Bun.sleep(10);
  }
}
