/** A compiled router and agents of real inference servers: nodes that find each other by gossip, asked as users ask. */
import OpenAI from "openai";
import { Bench, EXECUTABLE, ownEnvironment, type Started, until } from "./harness.ts";

/** Whatever it is, it comes to pass within this or never: servers start, and hangs are noticed, in seconds. */
const PATIENCE_MS = 40_000;
const LOOPBACK = "127.0.0.1:0";

export interface ModelView {
  readonly model: string;
  readonly runtime: string;
  readonly state: string;
  readonly reason: string;
  readonly slots?: number;
  readonly contextTokensMax?: number;
  readonly capabilities?: readonly string[];
  readonly runningRequests?: number;
  readonly waitingRequests?: number;
  readonly decodeTokensPerSecond?: number;
  readonly prefillTokensPerSecond?: number;
}

export interface RuntimeView {
  readonly name: string;
  readonly kind: string;
  readonly version: string;
  readonly ready: boolean;
  readonly state: string;
  readonly message: string;
  readonly sinceMs: number;
}

/** A target of a router: a node's, or one of its endpoints'. */
export interface TargetView {
  readonly id: string;
  readonly node: string;
  readonly endpoint: string;
  readonly protocol: string;
  readonly address: string;
  readonly state: string;
  readonly routable: boolean;
  readonly models: readonly string[];
  readonly sample: { readonly runtimes: readonly RuntimeView[]; readonly models: readonly ModelView[] } | null;
}

export class RuntimeMesh {
  readonly bench: Bench;
  readonly router: Started;
  readonly client: OpenAI;

  private constructor(bench: Bench, router: Started) {
    this.bench = bench;
    this.router = router;
    // A connection that is kept would be in the way of what is tested with servers that end.
    this.client = new OpenAI({
      baseURL: `http://${router.address("listen")}/v1`,
      apiKey: "none",
      maxRetries: 0,
      fetch: (asked, init) => fetch(asked, { ...init, keepalive: false }),
    });
  }

  static async start(...routerArgs: string[]): Promise<RuntimeMesh> {
    const bench = new Bench();
    return new RuntimeMesh(bench, await bench.router("--workers", "1", "--swim-profile", "local", ...routerArgs));
  }

  /** An agent of these runtimes (values of --runtime), which joins the router. */
  agent(id: string, runtimes: readonly string[], ...args: string[]): Promise<Started> {
    const ports = ["--api", LOOPBACK, "--metrics", LOOPBACK, "--gossip", LOOPBACK];
    const join = ["--join", String(this.router.ready["gossip"]), "--swim-profile", "local"];
    const named = runtimes.flatMap((runtime) => ["--runtime", runtime]);
    const kept = ["--data-dir", this.bench.dataDir, "--control-dir", `${this.bench.dataDir}/control-${id}`];
    return this.bench.start("agent", "--id", id, ...ports, ...join, ...kept, ...named, ...args);
  }

  end(): Promise<void> {
    return this.bench.end();
  }

  /** The router's targets of a node. */
  async targets(node: string): Promise<TargetView[]> {
    const answer = await fetch(`http://${this.router.address("api")}/nodes`);
    return ((await answer.json()) as { nodes: TargetView[] }).nodes.filter((target) => target.node === node);
  }

  /** What the router's row says of a node's runtime, the first unless another one is named. */
  async runtime(node: string, name?: string): Promise<RuntimeView | undefined> {
    const all = (await this.targets(node))[0]?.sample?.runtimes ?? [];
    return name === undefined ? all[0] : all.find((one) => one.name === name);
  }

  /** What the router's row says of a node's model. */
  async model(node: string, model: string): Promise<ModelView | undefined> {
    const rows = (await this.targets(node)).flatMap(({ sample }) => sample?.models ?? []);
    return rows.find((row) => row.model === model);
  }

  /** Waits until the router's row says so, and that requests go there, or don't. */
  async known(node: string, state: string, name?: string): Promise<RuntimeView> {
    let seen: RuntimeView | undefined;
    try {
      await until(async () => (seen = await this.runtime(node, name))?.state === state, PATIENCE_MS);
    } catch {
      throw new Error(`the router's row of ${node} never was ${state}; last it was ${JSON.stringify(seen)}`);
    }
    return seen!;
  }

  /** The status of a chat's answer; 0 where it broke off. */
  async ask(model: string, more: object = {}): Promise<number> {
    const messages = [{ role: "user", content: "hello" }];
    const body = JSON.stringify({ model, messages, max_tokens: 2, ...more });
    const url = `http://${this.router.address("listen")}/v1/chat/completions`;
    try {
      const answer = await fetch(url, { method: "POST", body, keepalive: false, signal: AbortSignal.timeout(20_000) });
      await answer.text();
      return answer.status;
    } catch {
      return 0;
    }
  }

  async answers(model: string, status: number, more: object = {}): Promise<void> {
    let last = -1;
    try {
      await until(async () => (last = await this.ask(model, more)) === status, PATIENCE_MS);
    } catch {
      throw new Error(`a chat with ${model} never was answered ${status}; the last one was ${last}`);
    }
  }

  async models(): Promise<string[]> {
    const listed: string[] = [];
    for await (const { id } of this.client.models.list()) listed.push(id);
    return listed;
  }

  /** Of the router, unless another one is asked. */
  async ctl(args: readonly string[], asked: Started = this.router): Promise<{ code: number; out: string }> {
    const child = Bun.spawn([EXECUTABLE, "ctl", ...args, "--endpoint", `http://${asked.address("api")}`], {
      env: { ...ownEnvironment(), NO_COLOR: "1" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, out: out + err };
  }
}

export async function eventually(holds: () => Promise<boolean>): Promise<void> {
  await until(holds, PATIENCE_MS);
}

/** What a node tells of its runtimes or models: `runtime.down`, `model.progress`... with all that stands there. */
export async function eventsOf(node: Started, type: string): Promise<{ type: string; text: string }[]> {
  const answer = await fetch(`http://${node.address("api")}/events?type=${type}`);
  const { events } = (await answer.json()) as { events: { type: string }[] };
  return events.map((event) => ({ type: event.type, text: JSON.stringify(event) }));
}
