/** Child processes that answer as an inference server does, for tests that end them, stop them and change what they say. */
import { join } from "node:path";
import { freePort } from "../ports.ts";
import type { State } from "./fake-vllm.ts";

export interface FakeRuntime {
  readonly port: number;
  readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">;
  /** Changes what it says; answers what it was asked so far. */
  set(change: Partial<State>): Promise<string[]>;
  /** Somebody else than the agent has it load an adapter of the base model. */
  loadAdapter(name: string): Promise<void>;
  kill(): Promise<void>;
  /** As a debugger or the kernel's freezer would do it. */
  freeze(): void;
  thaw(): void;
}

const running = new Set<FakeRuntime>();

/** On a port where another one can be started when it is gone. */
export async function startFake(state: Partial<State> = {}, port = freePort()): Promise<FakeRuntime> {
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, "fake-vllm.ts"), String(port), JSON.stringify(state)],
    {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  const own = Number(new TextDecoder().decode(value));
  const fake: FakeRuntime = {
    port: own,
    process: child,
    async set(change) {
      const answer = await fetch(`http://127.0.0.1:${own}/control`, { method: "POST", body: JSON.stringify(change) });
      return ((await answer.json()) as { asked: string[] }).asked;
    },
    async loadAdapter(name) {
      const body = JSON.stringify({ lora_name: name, lora_path: `/adapters/${name}` });
      const answer = await fetch(`http://127.0.0.1:${own}/v1/load_lora_adapter`, { method: "POST", body });
      if (!answer.ok) throw new Error(`${name} was not loaded: ${await answer.text()}`);
      await answer.text();
    },
    async kill() {
      running.delete(fake);
      child.kill("SIGKILL");
      await child.exited;
    },
    freeze: () => child.kill("SIGSTOP"),
    thaw: () => child.kill("SIGCONT"),
  };
  running.add(fake);
  return fake;
}

export async function endFakes(): Promise<void> {
  await Promise.all([...running].map((fake) => fake.kill()));
}
