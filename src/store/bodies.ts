/** The bodies of calls between nodes of the control plane, read from JSON with every field looked at. */
import { MeshError } from "../base/errors.ts";
import { isRecord } from "../base/field.ts";
import type { Change, Item } from "../policy/item.ts";

/** Longer than anybody waits. */
const TIMEOUT_MS_MAX = 10 * 60_000;

/** A piece of what a follower is told. */
export type Piece =
  /** A part of all items; the last one has `revision`. */
  | { readonly items: readonly Item[]; readonly revision?: number }
  | { readonly changes: readonly Change[]; readonly revision: number }
  /** The follower is up to date already. */
  | { readonly same: number };

/** A reader of one call's body; what is not as expected is a bug of the caller or another version's word. */
export class Body {
  readonly #method: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(method: string, body: unknown) {
    this.#method = method;
    this.#fields = isRecord(body) ? body : {};
  }

  text(name: string): string {
    const value = this.#fields[name];
    return typeof value === "string" ? value : this.#refuse(name, "a text");
  }

  whole(name: string): number {
    const value = this.#fields[name];
    return Number.isSafeInteger(value) ? (value as number) : this.#refuse(name, "a whole number");
  }

  /** How long the caller waits: what is begun for it ends then, however long it says. */
  timeoutMs(): number {
    return Math.min(Math.max(1, this.whole("timeoutMs")), TIMEOUT_MS_MAX);
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }

  /** What a node says of itself; `cluster` is "" where it is no control node. */
  about(): { readonly cluster: string; readonly unasked: boolean; readonly revision: number } {
    return {
      cluster: this.text("cluster"),
      unasked: this.#fields["unasked"] === true,
      revision: this.whole("revision"),
    };
  }

  record(name: string): Readonly<Record<string, unknown>> {
    const value = this.#fields[name];
    return isRecord(value) ? value : this.#refuse(name, "an object");
  }

  #refuse(name: string, expected: string): never {
    throw new MeshError(
      "bad_request",
      `${this.#method}: ${name} is not ${expected}; does that node run another version?`,
    );
  }
}

/** Undefined for what is no piece. Items and changes are believed: they come from a store of this mesh. */
export function readPiece(value: unknown): Piece | undefined {
  if (!isRecord(value)) return undefined;
  const { items, changes, revision, same } = value;
  if (Number.isSafeInteger(same)) return { same: same as number };
  if (Array.isArray(items) && items.every(isItem)) {
    return Number.isSafeInteger(revision) ? { items, revision: revision as number } : { items };
  }
  if (Array.isArray(changes) && changes.every(isChange) && Number.isSafeInteger(revision)) {
    return { changes, revision: revision as number };
  }
  return undefined;
}

export function isItem(value: unknown): value is Item {
  return (
    isRecord(value) && typeof value["kind"] === "string" && typeof value["name"] === "string" && isRecord(value["spec"])
  );
}

function isChange(value: unknown): value is Change {
  if (!isRecord(value)) return false;
  return isItem(value["item"]) || isRecord(value["deleted"]);
}
