/** Who listens to what comes in on a transport: by its channel, or by the byte that it begins with. */
import type { Channel } from "./envelope.ts";
import type { Listener } from "./requests.ts";

export class Listeners {
  readonly #byChannel = new Map<Channel, Listener>();
  readonly #byFirst = new Map<number, Listener>();

  set(channel: Channel, listener: Listener, firsts?: readonly number[]): void {
    if (firsts === undefined) this.#byChannel.set(channel, listener);
    else for (const first of firsts) this.#byFirst.set(channel * 256 + first, listener);
  }

  /** Undefined where nobody does. */
  of(channel: Channel, payload: Uint8Array): Listener | undefined {
    const [first] = payload;
    const byFirst = first === undefined ? undefined : this.#byFirst.get(channel * 256 + first);
    return byFirst ?? this.#byChannel.get(channel);
  }
}
