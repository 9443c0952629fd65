/**
 * Real inference servers for tests: those that scripts/install-runtimes.sh put into its cache, those on PATH, or those
 * that environment variables name (scripts/runtimes.md). Each is started on free ports of loopback, with its files in a
 * temporary folder, and ended with the process that started it.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

const START_TIMEOUT_MS = 80_000;
/** What one may take to end by itself, before it is killed. */
const END_TIMEOUT_MS = 2000;
const OUTPUT_CHARACTERS_MAX = 64_000;
/** By which a server ends when whoever started it was killed; it becomes the server itself, with the same process id. */
const TIED = Bun.which("setpriv") === null ? [] : ["setpriv", "--pdeathsig", "KILL"];

const CACHE =
  process.env["INFERMESH_RUNTIMES"] ??
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "infermesh-runtimes");

/** The server's executable, or null after it is said why a test is skipped. */
export function installed(name: string): string | null {
  const variable = `INFERMESH_${name.toUpperCase().replaceAll("-", "_")}`;
  const given = process.env[variable];
  // Said by name, so it is no reason to skip anything: a test that cannot start it fails.
  if (given !== undefined && given !== "") return given;
  const cached = join(CACHE, "bin", name);
  const found = existsSync(cached) ? cached : Bun.which(name);
  if (found === null) {
    console.log(`skipped: ${name} is not installed (scripts/install-runtimes.sh ${name}, or ${variable}=FILE)`);
  }
  return found;
}

export interface Start {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Answers 200 once it serves. */
  readonly ready: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Removed when it is stopped. */
  readonly folder: string;
}

/** A server's process. */
export class RealRuntime implements AsyncDisposable {
  readonly #start: Start;
  #process: Bun.Subprocess<"ignore", "pipe", "pipe"> | null = null;
  #output = "";

  private constructor(start: Start) {
    this.#start = start;
  }

  static async start(start: Start): Promise<RealRuntime> {
    const runtime = new RealRuntime(start);
    try {
      await runtime.restart();
    } catch (error) {
      await runtime.stop();
      throw error;
    }
    return runtime;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** The last that it said, on both streams. */
  get output(): string {
    return this.#output;
  }

  /** Again on the same ports, with the same files; and until it is ready. */
  async restart(): Promise<void> {
    await this.kill();
    const { command, env = {}, ready } = this.#start;
    const started = Bun.spawn([...TIED, ...command], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      cwd: this.#start.folder,
      env: { ...process.env, ...env },
    });
    this.#process = started;
    for (const stream of [started.stdout, started.stderr]) void this.#read(stream);
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      if (started.exitCode !== null || started.signalCode !== null || performance.now() > deadline) {
        throw new Error(`${command[0]} does not serve at ${ready} (${started.exitCode}): ${this.#output}`);
      }
      await Bun.sleep(20);
    }
  }

  /** SIGSTOP and SIGCONT. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  /** As it is asked to end, and until it has; answers its exit code. */
  async end(): Promise<number> {
    const running = this.#process;
    this.#process = null;
    running?.kill("SIGTERM");
    return (await running?.exited) ?? 0;
  }

  /** kill -9, and until it is gone. */
  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = null;
    running?.kill("SIGKILL");
    await running?.exited;
  }

  /** Asked first, so that it ends the processes that it started; one that does not listen is killed. */
  async stop(): Promise<void> {
    const running = this.#process;
    const killing = setTimeout(() => running?.kill("SIGKILL"), END_TIMEOUT_MS);
    this.resume();
    await this.end();
    clearTimeout(killing);
    rmSync(this.#start.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  // Read all along, so that it never waits for a reader.
  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const part of stream) {
      this.#output = (this.#output + decoder.decode(part, { stream: true })).slice(-OUTPUT_CHARACTERS_MAX);
    }
  }

  async #isReady(): Promise<boolean> {
    try {
      const { ready, headers = {} } = this.#start;
      return (await fetch(ready, { headers, signal: AbortSignal.timeout(1000) })).status === 200;
    } catch {
      return false;
    }
  }
}

export const temporaryFolder = (name: string): string => mkdtempSync(join(tmpdir(), `infermesh-${name}-`));
