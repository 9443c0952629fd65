/** etcd servers for tests and benchmarks: Debian's etcd on loopback, with its data in a temporary folder. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../ports.ts";

const ETCD = Bun.which("etcd");
/** By which a server ends when whoever started it was killed; it becomes etcd itself, with the same process id. */
const TIED = Bun.which("setpriv") === null ? [] : ["setpriv", "--pdeathsig", "KILL"];
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
  /** Of one that was killed: its data is lost; or kept aside, and put back in the place of what there is then. */
  wipe(): void;
  backUp(): void;
  putBack(): void;
}

export interface EtcdOptions {
  readonly flags?: readonly string[];
  /** Files: a certificate that it shows to clients, its key, and what theirs must be signed by. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
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
    const ports = freePorts(count * 3);
    const peers = Array.from({ length: count }, (_, i) => `n${i}=http://127.0.0.1:${ports[count + i]}`).join(",");
    const nodes = Array.from({ length: count }, (_, i) => {
      const own = { port: ports[i]!, peer: ports[count + i]!, health: ports[2 * count + i]! };
      return new Node(`n${i}`, own, peers, join(folder, `n${i}`), options);
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
  readonly #health: string;
  readonly #folder: string;
  readonly #arguments: readonly string[];
  #process: Bun.Subprocess<"ignore", "ignore", "pipe"> | null = null;

  constructor(
    name: string,
    ports: { readonly port: number; readonly peer: number; readonly health: number },
    peers: string,
    folder: string,
    { flags = [], tls }: EtcdOptions,
  ) {
    this.name = name;
    this.port = ports.port;
    this.#folder = folder;
    this.#health = `http://127.0.0.1:${ports.health}`;
    const clients = `http${tls === undefined ? "" : "s"}://127.0.0.1:${ports.port}`;
    const peer = `http://127.0.0.1:${ports.peer}`;
    const given: Record<string, string> = {
      "--name": name,
      "--data-dir": folder,
      "--listen-client-urls": clients,
      "--advertise-client-urls": clients,
      "--listen-peer-urls": peer,
      "--initial-advertise-peer-urls": peer,
      "--initial-cluster": peers,
      // In plain HTTP, whatever clients are asked for.
      "--listen-metrics-urls": this.#health,
      "--log-level": "warn",
      "--logger": "zap",
      ...(tls === undefined ? {} : { "--cert-file": tls.cert, "--key-file": tls.key, "--trusted-ca-file": tls.ca }),
    };
    const strict = tls === undefined ? [] : ["--client-cert-auth"];
    this.#arguments = [...Object.entries(given).flat(), ...strict, ...flags];
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async restart(): Promise<void> {
    if (ETCD === null) throw new Error(WITHOUT_ETCD);
    const started = Bun.spawn([...TIED, ETCD, ...this.#arguments], {
      stdout: "ignore",
      stdin: "ignore",
      stderr: "pipe",
    });
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

  wipe(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  backUp(): void {
    cpSync(this.#folder, `${this.#folder}-backup`, { recursive: true });
  }

  putBack(): void {
    this.wipe();
    cpSync(`${this.#folder}-backup`, this.#folder, { recursive: true });
  }

  async #isReady(): Promise<boolean> {
    try {
      // Answered with 200 once there is a leader.
      return (await fetch(`${this.#health}/health`, { signal: AbortSignal.timeout(1000) })).status === 200;
    } catch {
      return false;
    }
  }
}
