/** An engine's two sockets by libzmq itself (zmq-engine.py), as a process of their own. */
import { join } from "node:path";
import { Packr } from "msgpackr/pack";
import { MEDIUM, type KvEvent } from "../../src/kv/event.ts";

const PYTHON = "/usr/bin/python3";
const SCRIPT = join(import.meta.dir, "zmq-engine.py");
const ANYWHERE = ["tcp://127.0.0.1:*", "tcp://127.0.0.1:*"] as const;
const packr = new Packr({ useRecords: false });

/** Says so where it is. */
export function isZmqMissing(): boolean {
  let absent = true;
  try {
    absent = Bun.spawnSync([PYTHON, "-c", "import zmq"], { stdout: "ignore", stderr: "ignore" }).exitCode !== 0;
  } catch {
    // There is no such program.
  }
  if (absent) console.log("skipped: python3-zmq is not installed (scripts/install-peers.sh)");
  return absent;
}

export class LibzmqEngine {
  endpoints: [string, string] = ["", ""];
  readonly asked: number[] = [];
  readonly #process;

  private constructor(topic: string, keep: number, at: readonly [string, string]) {
    this.#process = Bun.spawn([PYTHON, SCRIPT, topic, String(keep), ...at], { stdin: "pipe", stdout: "pipe" });
    void this.#listen();
  }

  /** Resolves when it listens. */
  static async start(topic: string, keep = 10_000, at: readonly [string, string] = ANYWHERE): Promise<LibzmqEngine> {
    const engine = new LibzmqEngine(topic, keep, at);
    for (let left = 1500; left > 0; left -= 1) {
      if (engine.endpoints[0] !== "") return engine;
      await Bun.sleep(10);
    }
    await engine.kill();
    throw new Error("the publisher does not listen");
  }

  /** "publish", or "lose": it is kept for a replay, and nobody hears it. */
  do(command: "publish" | "lose", payload: Uint8Array): void {
    void this.#process.stdin.write(`${command} ${Buffer.from(payload).toString("hex")}\n`);
    void this.#process.stdin.flush();
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }

  async #listen(): Promise<void> {
    let text = "";
    for await (const chunk of this.#process.stdout) {
      text += Buffer.from(chunk).toString();
      const lines = text.split("\n");
      text = lines.pop()!;
      for (const line of lines) {
        if (line.startsWith("asked ")) this.asked.push(Number(line.slice(6)));
        else this.endpoints = line.split(" ") as [string, string];
      }
    }
  }
}

/** A batch as newer versions of vLLM encode it: by names, hashes as bytes. */
export function batchOf(events: readonly KvEvent[]): Uint8Array {
  return packr.pack({ ts: 1.5, events: events.map(named), data_parallel_rank: 0 });
}

function named(event: KvEvent): object {
  const hash = (text: string): Buffer => Buffer.from(text);
  if (event.kind === "cleared") return { type: "AllBlocksCleared" };
  const medium = event.medium === MEDIUM.cpu ? "CPU" : "GPU";
  if (event.kind === "removed") return { type: "BlockRemoved", block_hashes: event.hashes.map(hash), medium };
  return {
    type: "BlockStored",
    block_hashes: event.hashes.map(hash),
    parent_block_hash: event.parent === undefined ? null : hash(event.parent),
    token_ids: [...event.tokens],
    block_size: event.blockTokens,
    lora_id: null,
    medium,
    lora_name: event.adapter === "" ? null : event.adapter,
  };
}
