/** The policies' state machine as a store in memory: every write is committed at once. */
import type { PolicyAccess, PolicyReadOptions } from "../../src/admin/policy-access.ts";
import { MeshError } from "../../src/base/errors.ts";
import { encodeCommand } from "../../src/policy/command.ts";
import { PolicyMachine } from "../../src/policy/machine.ts";
import type { Outcome } from "../../src/policy/outcome.ts";
import type { Kind } from "../../src/policy/spec.ts";
import type { Write } from "../../src/policy/write.ts";

export class MemoryStore implements PolicyAccess {
  machine = new PolicyMachine();
  /** Consistent reads and writes fail. */
  hasQuorum = true;
  /** Called before each write. */
  beforeWrite: (() => void) | null = null;
  readonly changes: unknown[] = [];
  #index = 0;
  #keys = 0;

  async list({ kind, consistent }: PolicyReadOptions & { kind?: Kind } = {}) {
    this.#demand(consistent);
    return { items: this.machine.list(kind), revision: this.machine.revision };
  }

  async get(kind: Kind, name: string, { consistent }: PolicyReadOptions = {}) {
    this.#demand(consistent);
    return { item: this.machine.get(kind, name) ?? null, revision: this.machine.revision };
  }

  async write(writes: readonly Write[], { key = `k${++this.#keys}` } = {}): Promise<Outcome> {
    this.#demand(true);
    this.beforeWrite?.();
    return this.put(writes, key);
  }

  put(writes: readonly Write[], key = `k${++this.#keys}`): Outcome {
    const command = encodeCommand({ op: "write", key, atMs: 1_795_000_000_000, writes });
    return this.machine.apply(++this.#index, command).outcome;
  }

  async status() {
    return {
      engine: "embedded",
      cluster: "c".repeat(32),
      writable: this.hasQuorum,
      alarm: this.hasQuorum ? "" : "no majority",
      revision: this.machine.revision,
      items: this.machine.size,
      term: 3,
      leader: "n1",
      commitIndex: this.#index,
      appliedIndex: this.#index,
      logBytes: 0,
      members: [{ member: "1f", node: "n1", address: "10.0.0.1:7950", role: "leader", matchIndex: 7, active: null }],
      changing: false,
    };
  }

  async changeMembers(change: object): Promise<void> {
    this.changes.push(change);
  }

  async save(): Promise<Uint8Array> {
    return this.machine.snapshot();
  }

  async restore(saved: Uint8Array): Promise<Outcome> {
    this.machine.restore(saved);
    return { ok: true, revision: this.machine.revision, items: [], changed: true, repeated: false };
  }

  #demand(consistent = false): void {
    if (consistent && !this.hasQuorum)
      throw new MeshError("no_quorum", "no majority of the control nodes can be reached");
  }
}
