/**
 * Clients of the simulated members: they write to registers and read them, and note when they asked, what came of it
 * and when. An operation whose outcome its client never learns may have happened, at any time after the call.
 */
import type { Prng } from "../../src/base/prng.ts";
import type { Ask, Seat } from "./seat.ts";
import { commandOf, type Machine, REGISTERS } from "./machine.ts";

export type Op =
  | { readonly kind: "put"; readonly register: number; readonly value: number }
  /** `value` is what was read, once the operation has returned. */
  | { readonly kind: "get"; readonly register: number; value: number };

export interface Operation {
  readonly client: number;
  readonly callMs: number;
  /** Undefined while, or if for ever, its outcome is unknown. */
  returnMs: number | undefined;
  readonly op: Op;
  /** Once it has returned: where in the log a put is, where what was read had been put. */
  place: number;
}

export class Clients {
  /** Operations that were refused are not in it: they have not happened. */
  readonly history = new Set<Operation>();
  acknowledged = 0;
  readsDone = 0;
  readonly #prng: Prng;
  /** Share of operations that are reads. */
  readonly #reads: number;
  readonly #nowMs: () => number;
  readonly #committed: () => number;
  /** A client asks for one thing at a time; one that never got an answer asks no more. */
  readonly #idle: number[] = [];
  #clients = 0;
  #values = 0;

  constructor(prng: Prng, reads: number, nowMs: () => number, committed: () => number) {
    this.#reads = reads;
    this.#prng = prng;
    this.#nowMs = nowMs;
    this.#committed = committed;
  }

  /** A few operations at a member that is up. */
  ask(seat: Seat): void {
    if (this.#prng.next() < this.#reads) {
      const op = { kind: "get" as const, register: this.#prng.int(REGISTERS), value: 0 };
      seat.read(this.#begin(op));
      return;
    }
    const commands: Uint8Array[] = [];
    const asks: Ask[] = [];
    for (let count = this.#prng.next() < 0.2 ? 1 + this.#prng.int(8) : 1; count > 0; count -= 1) {
      this.#values += 1;
      const op = { kind: "put" as const, register: this.#prng.int(REGISTERS), value: this.#values };
      commands.push(commandOf(op.register, op.value, this.#prng.int(30)));
      asks.push(this.#begin(op));
    }
    seat.write(commands, asks);
  }

  #begin(op: Op): Ask {
    const client = this.#idle.pop() ?? this.#clients++;
    const operation: Operation = { client, callMs: this.#nowMs(), returnMs: undefined, op, place: 0 };
    this.history.add(operation);
    return {
      committedAtCall: this.#committed(),
      done: (index, machine) => this.#end(operation, index, machine),
    };
  }

  #end(operation: Operation, index: number | undefined, machine: Machine): void {
    const { op, client } = operation;
    operation.returnMs = this.#nowMs();
    this.#idle.push(client);
    if (index === undefined) this.history.delete(operation);
    else if (op.kind === "put") {
      this.acknowledged += 1;
      operation.place = index;
    } else {
      this.readsDone += 1;
      op.value = machine.values[op.register]!;
      operation.place = machine.places[op.register]!;
    }
  }
}
