/**
 * The health watches that clients of a worker have open (grpc.health.v1 Watch). However many watch a service, it is
 * looked at once a turn of the worker's one timer, and they are told when that brings something new.
 *
 * Limits: as many watches as `begin` is told of, so that as many services at most are remembered and looked at.
 */

/** Who is told that the status of what it watches has changed. */
export interface Watcher {
  healthChanged(): void;
}

/** A service that somebody watches. */
export class WatchedService {
  readonly name: string;
  /** As of the last look. */
  status: number;
  readonly watchers = new Set<Watcher>();

  constructor(name: string, status: number) {
    this.name = name;
    this.status = status;
  }
}

export class HealthWatches {
  readonly #healthOf: (service: string) => number;
  readonly #services = new Map<string, WatchedService>();
  #count = 0;

  constructor(healthOf: (service: string) => number) {
    this.#healthOf = healthOf;
  }

  /** Watches that are open. */
  get count(): number {
    return this.#count;
  }

  /** Services that are watched. */
  get services(): number {
    return this.#services.size;
  }

  /** Begins a watch, to be ended by `end`; null when there are `max` already. */
  begin(name: string, watcher: Watcher, max: number): WatchedService | null {
    if (this.#count >= max) return null;
    let service = this.#services.get(name);
    if (service === undefined) {
      service = new WatchedService(name, this.#healthOf(name));
      this.#services.set(name, service);
    }
    service.watchers.add(watcher);
    this.#count++;
    return service;
  }

  end(service: WatchedService, watcher: Watcher): void {
    if (!service.watchers.delete(watcher)) return;
    this.#count--;
    if (service.watchers.size === 0) this.#services.delete(service.name);
  }

  /** Looks at each service that is watched; call it now and then. */
  look(): void {
    for (const service of this.#services.values()) {
      const status = this.#healthOf(service.name);
      if (status === service.status) continue;
      service.status = status;
      for (const watcher of service.watchers) watcher.healthChanged();
    }
  }
}
