/** What routers' desks say to each other (../flow/mesh-desk.ts), over the sockets; only routers are heard. */
import { DESK } from "../flow/desk-words.ts";
import { CHANNEL } from "./envelope.ts";
import type { MeshNode } from "./node-membership.ts";

/** What the mesh does for a desk. */
export interface DeskWays {
  readonly packetBytesMax: number;
  send(to: string, packet: Uint8Array): void;
  /** Places were given back that another router's desk waits for: others are to hear of this one's load. */
  freed(): void;
}

/** A router's desk as the mesh has to do with it. */
export interface MeshMember {
  join(self: string, ways: DeskWays): void;
  /** The routers that are present, perhaps the same as before. */
  present(ids: readonly string[]): void;
  receive(from: string, packet: Uint8Array): void;
  /** There is no mesh any more: nobody is heard. */
  leave(): void;
}

/** How often it is looked at who is there. */
const PRESENT_EVERY_MS = 100;

export class DeskCarrier {
  readonly #node: MeshNode;
  readonly #desk: MeshMember;
  readonly #timer: ReturnType<typeof setInterval>;
  #isStopped = false;
  /** By their names, where the other routers are. */
  #addresses: ReadonlyMap<string, string> = new Map();

  constructor(node: MeshNode, desk: MeshMember, freed: () => void) {
    this.#node = node;
    this.#desk = desk;
    const { transport, membership } = node;
    const send = (to: string, packet: Uint8Array): void => this.#send(to, packet);
    desk.join(membership.id, { packetBytesMax: transport.payloadBytesMax, send, freed });
    transport.listen(CHANNEL.state, { onPacket: (from, packet) => this.#heard(from, packet) }, [DESK]);
    this.#timer = setInterval(() => this.#look(), PRESENT_EVERY_MS);
    this.#look();
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearInterval(this.#timer);
    this.#desk.leave();
  }

  #look(): void {
    this.#addresses = this.#node.roster.routersById();
    this.#desk.present([...this.#addresses.keys()]);
  }

  #send(to: string, packet: Uint8Array): void {
    const address = this.#addresses.get(to);
    if (address !== undefined) this.#node.transport.send(address, packet, CHANNEL.state);
  }

  #heard(from: string, packet: Uint8Array): void {
    if (this.#isStopped) return;
    const { roster } = this.#node;
    const id = roster.idAt(from);
    if (id !== undefined && roster.isRouter(id)) this.#desk.receive(id, packet);
  }
}
