/** etcd servers for tests and benchmarks: Debian's etcd on loopback, with its data in a temporary folder. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ETCD = Bun.which("etcd");
/** Why nothing runs here; "" where etcd is. */
export const WITHOUT_ETCD = ETCD === null ? "etcd is not installed (scripts/install-peers.sh installs it)" : "";
const START_TIMEOUT_MS = 20_000;

export interface EtcdNode {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** kill -9, and until it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  pause(): void;
  resume(): void;
  /** Again with the data that it had. */
  restart(): Promise<void>;
}

export interface EtcdOptions {
  readonly flags?: readonly string[];
  /** Files of a certificate that it shows to clients. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer();
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A cluster that has elected a leader. */
export class EtcdCluster {
  readonly nodes: readonly EtcdNode[];
  readonly #folder: string;

  private constructor(nodes: readonly EtcdNode[], folder: string) {
    this.nodes = nodes;
    this.#folder = folder;
  }

  static async start(count: number, options: EtcdOptions = {}): Promise<EtcdCluster> {
    const folder = mkdtempSync(join(tmpdir(), "infermesh-etcd-"));
    const ports = await freePorts(count * 2);
    const peers = Array.from({ length: count }, (_, i) => `n${i}=http://127.0.0.1:${ports[count + i]}`).join(",");
    const nodes = Array.from({ length: count }, (_, i) => {
      const [clients, peer] = [ports[i]!, ports[count + i]!];
      return new Node(`n${i}`, clients, peer, peers, join(folder, `n${i}`), options);
    });
    const cluster = new EtcdCluster(nodes, folder);
    try {
      await Promise.all(nodes.map((node) => node.restart()));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** As --store takes it. */
  get address(): string {
    return `etcd://${this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

class Node implements EtcdNode {
  readonly name: string;
  readonly port: number;
  readonly #arguments: readonly string[];
  #process: Bun.Subprocess<"ignore", "ignore", "pipe"> | null = null;

  constructor(
    name: string,
    port: number,
    peer: number,
    peers: string,
    folder: string,
    { flags = [], tls }: EtcdOptions,
  ) {
    this.name = name;
    this.port = port;
    const url = `http${tls === undefined ? "" : "s"}://127.0.0.1:${port}`;
    const given: Record<string, string> = {
      "--name": name,
      "--data-dir": folder,
      "--listen-client-urls": url,
      "--advertise-client-urls": url,
      "--listen-peer-urls": `http://127.0.0.1:${peer}`,
      "--initial-advertise-peer-urls": `http://127.0.0.1:${peer}`,
      "--initial-cluster": peers,
      "--log-level": "warn",
      "--logger": "zap",
      ...(tls === undefined ? {} : { "--cert-file": tls.cert, "--key-file": tls.key }),
    };
    this.#arguments = [...Object.entries(given).flat(), ...flags];
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async restart(): Promise<void> {
    if (ETCD === null) throw new Error(WITHOUT_ETCD);
    const started = Bun.spawn([ETCD, ...this.#arguments], { stdout: "ignore", stdin: "ignore", stderr: "pipe" });
    this.#process = started;
    let said = "";
    // Read all along, so that it never waits for a reader.
    const reading = (async () => {
      for await (const part of started.stderr) said = (said + Buffer.from(part).toString()).slice(-4000);
    })();
    void reading;
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      if (started.exitCode !== null || performance.now() > deadline) {
        throw new Error(`etcd ${this.name} did not start (${String(started.exitCode)}): ${said}`);
      }
      await Bun.sleep(20);
    }
  }

  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = null;
    if (running === null) return;
    running.kill("SIGKILL");
    await running.exited;
  }

  async #isReady(): Promise<boolean> {
    const isTls = this.#arguments.includes("--cert-file");
    try {
      // Answered with 200 once there is a leader.
      const health = await fetch(`http${isTls ? "s" : ""}://127.0.0.1:${this.port}/health`, {
        tls: { rejectUnauthorized: false },
        signal: AbortSignal.timeout(1000),
      });
      return health.status === 200;
    } catch {
      return false;
    }
  }
}
