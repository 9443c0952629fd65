/** Who is present, by what the mesh tells: members by address, and which of them are routers. */
import type { Member, SwimEvent } from "../swim/event.ts";
import { decodeMeta, type NodeRole } from "../swim/meta.ts";

interface Entry {
  readonly address: string;
  readonly role: NodeRole | "unknown";
}

export class Roster {
  readonly #entries = new Map<string, Entry>();
  readonly #ids = new Map<string, string>();

  /** An event, and the member that it is about as it is now. */
  told({ kind, id }: SwimEvent, member: Member | undefined): void {
    if (kind === "suspect" || kind === "conflict" || kind === "replaced" || kind === "refused") return;
    const before = this.#entries.get(id);
    if (before !== undefined && this.#ids.get(before.address) === id) this.#ids.delete(before.address);
    this.#entries.delete(id);
    if (kind === "failed" || kind === "left" || member === undefined) return;
    this.#entries.set(id, { address: member.address, role: decodeMeta(member.meta)?.role ?? "unknown" });
    this.#ids.set(member.address, id);
  }

  /** Whose packets come from there; undefined for nobody who is present. */
  idAt(address: string): string | undefined {
    return this.#ids.get(address);
  }

  addressOf(id: string): string | undefined {
    return this.#entries.get(id)?.address;
  }

  /** Where the other routers are. */
  routers(): string[] {
    const addresses: string[] = [];
    for (const { address, role } of this.#entries.values()) if (role === "router") addresses.push(address);
    return addresses;
  }
}
