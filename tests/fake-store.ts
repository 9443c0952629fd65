/** A policy store in the test's own thread: the real state machine, and no consensus about it. */
import { MeshError } from "../src/base/errors.ts";
import type { PolicySource } from "../src/policies.ts";
import { encodeCommand } from "../src/policy/command.ts";
import { PolicyMachine } from "../src/policy/machine.ts";
import type { Outcome } from "../src/policy/outcome.ts";
import type { Grant, Want } from "../src/policy/want.ts";
import type { Put, Write } from "../src/policy/write.ts";

type Watcher = Parameters<PolicySource["watch"]>[0];

export class FakeStore implements PolicySource {
  readonly machine = new PolicyMachine();
  /** Without a quorum nobody is answered. */
  hasQuorum = true;
  /** Every call for shares. */
  readonly asked: (readonly Want[])[] = [];
  readonly #clock: () => number;
  readonly #watchers = new Set<Watcher>();
  #index = 0;

  constructor(clock: () => number = () => Date.now()) {
    this.#clock = clock;
  }

  put(...puts: readonly Put[]): Outcome {
    return this.write(...puts.map((put) => ({ put })));
  }

  write(...writes: readonly Write[]): Outcome {
    const command = { op: "write", key: `w${this.#index}`, atMs: this.#clock(), writes } as const;
    const { outcome, changes } = this.machine.apply(++this.#index, encodeCommand(command));
    if (!outcome.ok) throw new Error(outcome.message);
    for (const watcher of this.#watchers) watcher.changed(changes, outcome.revision);
    return outcome;
  }

  list(): Promise<{ readonly revision: number }> {
    if (this.hasQuorum) return Promise.resolve({ revision: this.machine.revision });
    return Promise.reject(new MeshError("no_quorum", "most control nodes can't be reached"));
  }

  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    watcher.reset(this.machine.list(), this.machine.revision);
    return () => this.#watchers.delete(watcher);
  }

  lease(wants: readonly Want[]): Promise<readonly Grant[]> {
    this.asked.push(wants);
    return this.hasQuorum
      ? Promise.resolve(this.leased(wants))
      : Promise.reject(new MeshError("no_quorum", "most control nodes can't be reached"));
  }

  /** The same at once. */
  leased(wants: readonly Want[]): readonly Grant[] {
    const command = { op: "lease", key: `l${this.#index}`, atMs: this.#clock(), wants } as const;
    return this.machine.apply(++this.#index, encodeCommand(command)).grants;
  }
}
