/** Starts the built executable as its users would, on free ports of loopback, and ends what it started. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Subprocess } from "bun";

export const EXECUTABLE = resolve(import.meta.dir, "..", "..", "dist", "infermesh");
const READY_MS = 20_000;
const EXIT_MS = 15_000;
/** For what it said last to be read, where processes that it started keep its pipes open. */
const LAST_WORDS_MS = 2000;

export interface Started {
  readonly process: Subprocess<"ignore", "pipe", "pipe">;
  /** The fields of the ready line. */
  readonly ready: Record<string, unknown>;
  /** Every line of its log so far. */
  readonly lines: Record<string, unknown>[];
  address(name: "listen" | "serve" | "api" | "metrics"): string;
  /** SIGTERM, then waits, and for its last lines; answers the exit code. */
  stop(): Promise<number>;
  /** SIGKILL, then waits. */
  kill(): Promise<void>;
}

/** How a process is started, where that is not as usual. */
export interface Launch {
  readonly executable?: string;
  readonly cwd?: string;
  /** All of its environment. */
  readonly env?: Record<string, string | undefined>;
  /** A process group of its own, as a shell gives to what is typed at a terminal. */
  readonly detached?: boolean;
}

/**
 * What one test file started; call `end` in afterAll, and `clear` in afterEach where each test starts its own: a mesh that
 * nobody asks any more still probes, polls and tells, and takes from the tests after it.
 */
export class Bench {
  readonly #started: Started[] = [];
  #agents = 0;
  readonly dataDir = mkdtempSync(join(tmpdir(), "infermesh-test-"));

  start(role: "agent" | "router" | "dev", ...args: string[]): Promise<Started> {
    return this.launch([role, ...args]);
  }

  async launch(args: string[], how: Launch = {}): Promise<Started> {
    const env = how.env ?? { ...ownEnvironment(), XDG_STATE_HOME: this.dataDir };
    const started = await start(args, { ...how, env });
    this.#started.push(started);
    return started;
  }

  /** A router on free ports. */
  router(...args: string[]): Promise<Started> {
    return this.start(
      "router",
      "--listen",
      "127.0.0.1:0",
      "--api",
      "127.0.0.1:0",
      "--metrics",
      "127.0.0.1:0",
      "--gossip",
      "127.0.0.1:0",
      ...args,
    );
  }

  /** A mock agent on free ports that registers at `router`. */
  agent(id: string, router: Started | null, ...args: string[]): Promise<Started> {
    const ports = [
      "--serve",
      "127.0.0.1:0",
      "--api",
      "127.0.0.1:0",
      "--metrics",
      "127.0.0.1:0",
      "--gossip",
      "127.0.0.1:0",
    ];
    const register = router === null ? [] : ["--register", `http://${router.address("api")}`];
    // Tests call many nodes alike; each has a store of its own all the same.
    const kept = ["--data-dir", this.dataDir, "--control-dir", join(this.dataDir, `control-${this.#agents++}`)];
    const own = args.includes("--control-dir") ? kept.slice(0, 2) : kept;
    return this.start("agent", "--mock", "--id", id, ...ports, ...register, ...own, ...args);
  }

  /** A router and `count` mock agents that it knows and can route to. */
  async mesh(
    count: number,
    routerArgs: string[] = [],
    agentArgs: string[] = [],
  ): Promise<{ router: Started; agents: Started[] }> {
    const router = await this.router("--fleet-poll-interval", "200ms", "--workers", "2", ...routerArgs);
    const agents = await Promise.all(
      Array.from({ length: count }, (_, i) => this.agent(`node${i + 1}`, router, ...agentArgs)),
    );
    await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === count);
    await until(
      async () =>
        (
          await fetch(`http://${router.address("listen")}/v1/models`).then(
            (r) => r.json() as Promise<{ data: unknown[] }>,
          )
        ).data.length > 0,
    );
    return { router, agents };
  }

  /** Ends what was started until now. */
  async clear(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((started) => started.kill()));
  }

  async end(): Promise<void> {
    await this.clear();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

/** The tests' own environment without what would configure the processes under test. */
export function ownEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("INFERMESH_")));
}

async function start(args: string[], { executable = EXECUTABLE, ...how }: Launch): Promise<Started> {
  if (!existsSync(executable)) throw new Error(`${executable} is missing: run npm run build`);
  const child = Bun.spawn([executable, ...args, "--log-format", "json"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    ...how,
  });
  const lines: Record<string, unknown>[] = [];
  const { promise, resolve: isReady, reject } = Promise.withResolvers<Record<string, unknown>>();
  promise.catch(() => {});
  const errors: string[] = [];
  const said = follow(child.stdout, (line) => {
    const entry = parse(line);
    lines.push(entry);
    if (entry["msg"] === "ready") isReady(entry);
  });
  const complained = follow(child.stderr, (line) => {
    errors.push(line);
    lines.push(parse(line));
  });
  // It may have ended before what it said was read.
  const ended = child.exited.then(async (code) => {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, LAST_WORDS_MS);
    await Promise.race([Promise.all([said, complained]), late.promise]);
    clearTimeout(timer);
    return code;
  });
  void ended.then((code) =>
    reject(new Error(`${args[0]} ended with ${code} before it was ready: ${errors.join("\n")}`)),
  );
  const timer = setTimeout(
    () => reject(new Error(`${args[0]} was not ready within ${READY_MS} ms: ${errors.join("\n")}`)),
    READY_MS,
  );
  try {
    const ready = await promise;
    return {
      process: child,
      ready,
      lines,
      address: (name) => String(ready[name]),
      async stop() {
        child.kill("SIGTERM");
        const late = setTimeout(() => child.kill("SIGKILL"), EXIT_MS);
        await child.exited;
        clearTimeout(late);
        return ended;
      },
      async kill() {
        if (child.exitCode === null) child.kill("SIGKILL");
        await child.exited;
      },
    };
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function follow(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") take(line);
  }
}

function parse(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return { msg: line };
  }
}

export interface NodeView {
  readonly id: string;
  readonly state: string;
  readonly source: string;
  readonly inFlight: number;
  readonly inFlightTokens: number;
  readonly models: readonly string[];
  readonly rttMs: number | null;
  readonly sample: { readonly models: readonly { readonly prefillTokensPerSecond?: number }[] } | null;
}

/** The router's view of its nodes. */
export async function nodes(router: Started): Promise<NodeView[]> {
  const response = await fetch(`http://${router.address("api")}/nodes`);
  return ((await response.json()) as { nodes: NodeView[] }).nodes;
}

/** What the router has in flight, over all nodes. */
export async function inFlight(router: Started): Promise<number> {
  return (await nodes(router)).reduce((sum, node) => sum + node.inFlight + node.inFlightTokens, 0);
}

/**
 * The bytes of a chat with the first node's model, once the router answers such a one: a node is healthy a moment before
 * every worker knows of it.
 */
export async function rawChat(router: Started, more: object = { max_tokens: 3 }): Promise<string> {
  const model = (await nodes(router))[0]?.models[0];
  const messages = [{ role: "user", content: "hi" }];
  const url = `http://${router.address("listen")}/v1/chat/completions`;
  await until(async () => {
    const response = await fetch(url, { method: "POST", body: JSON.stringify({ model, messages, max_tokens: 1 }) });
    await response.text();
    return response.status === 200;
  });
  const body = JSON.stringify({ model, messages, ...more });
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** Waits for a condition, for at most `limitMs`. */
export async function until(condition: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not so within ${limitMs} ms: ${condition.toString()}`);
    await Bun.sleep(20);
  }
}

/** Sends raw bytes and reads until the peer closes, or for `limitMs` of quiet. */
export async function raw(address: string, parts: readonly (string | Uint8Array)[], quietMs = 1500): Promise<string> {
  const colon = address.lastIndexOf(":");
  const { promise, resolve: done } = Promise.withResolvers<string>();
  let text = "";
  let timer = setTimeout(() => done(text), quietMs);
  const socket = await Bun.connect({
    hostname: address.slice(0, colon),
    port: Number(address.slice(colon + 1)),
    socket: {
      data(_socket, data) {
        text += data.toString("latin1");
        clearTimeout(timer);
        timer = setTimeout(() => done(text), quietMs);
      },
      close: () => done(text),
      error: () => done(text),
    },
  });
  for (const part of parts) {
    socket.write(part);
    socket.flush();
    if (parts.length > 1) await Bun.sleep(2);
  }
  const answer = await promise;
  clearTimeout(timer);
  socket.terminate();
  return answer;
}

/** Open file descriptors of a process. */
export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Resident bytes of a process. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
}
