/**
 * Who is present, by what the mesh tells: members by address, and which of them are routers. Two ids may share an address
 * for a while, when a node starts anew under another name; the one that was heard of last has it, and when it goes, the
 * other.
 */
import type { Member, SwimEvent } from "../swim/event.ts";
import { type NodeRole, roleIn } from "../swim/meta.ts";

interface Entry {
  readonly address: string;
  readonly role: NodeRole | "unknown";
}

export class Roster {
  readonly #entries = new Map<string, Entry>();
  readonly #ids = new Map<string, string>();
  /** Called with an address at which nobody is present any more. */
  onVacated: (address: string) => void = () => {};

  /** An event, and the member that it is about as it is now. */
  told({ id }: SwimEvent, member: Member | undefined): void {
    const isPresent = member?.status === "alive" || member?.status === "suspect";
    const before = this.#entries.get(id);
    if (!isPresent) {
      this.#entries.delete(id);
      if (before !== undefined) this.#vacate(before.address, id);
      return;
    }
    const role = roleIn(member.meta) ?? "unknown";
    if (before?.address === member.address && before.role === role) return;
    this.#entries.set(id, { address: member.address, role });
    this.#ids.set(member.address, id);
    if (before !== undefined && before.address !== member.address) this.#vacate(before.address, id);
  }

  /** Whose packets come from there; undefined for nobody who is present. */
  idAt(address: string): string | undefined {
    return this.#ids.get(address);
  }

  isRouter(id: string): boolean {
    return this.#entries.get(id)?.role === "router";
  }

  /** Where the other routers are. */
  routers(): string[] {
    const addresses: string[] = [];
    for (const { address, role } of this.#entries.values()) if (role === "router") addresses.push(address);
    return addresses;
  }

  /** The same, by their names. */
  routersById(): Map<string, string> {
    const routers = [...this.#entries].filter(([, { role }]) => role === "router");
    return new Map(routers.map(([id, { address }]) => [id, address]));
  }

  #vacate(address: string, id: string): void {
    if (this.#ids.get(address) !== id) return;
    this.#ids.delete(address);
    for (const [other, entry] of this.#entries) if (entry.address === address) this.#ids.set(address, other);
    if (!this.#ids.has(address)) this.onVacated(address);
  }
}
