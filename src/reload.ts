/**
 * Loading the configuration of a running role anew: all of it is read and checked first, and one fault refuses it whole.
 * Of a right one, what the role can take on is applied, and the rest is named, to wait for a restart or an upgrade.
 */
import { formatFault } from "./base/field.ts";
import { type Change, changesBetween, mergedBy } from "./base/settings-changes.ts";
import type { Infer, Section } from "./base/settings.ts";
import type { ConfigSource } from "./ctl/load-config.ts";
import { notifySupervisor } from "./net/supervisor.ts";
import type { Log } from "./obs/log.ts";

/** Settings that a running router takes on; a section stands for all that is in it. Others need a restart or an upgrade. */
const LIVE_ROUTER_SETTINGS = [
  "upstreams",
  "discover.sources",
  "runtime",
  "maxBody",
  "allowRegister",
  "drainDelay",
  "drainTimeout",
  "handoverTimeout",
  "upgradeTimeout",
  "fleet",
  "proxy",
  "flow",
  "paths",
  "aliases",
  "rewrite",
  "upstreamAuth",
  "cache",
  "forwarded",
  "security",
  "score",
  "rates",
  "admin",
  "log",
];
/** They decide what is made at the start, and how large. */
const FIXED_ROUTER_SETTINGS = ["fleet.targetsMax", "proxy.transport", "flow.queue.rateWindow", "flow.hedge.halfLife"];

/** Whether a running router can take on another value of that setting, named as people write it. */
export function isLiveAtRouter(path: string): boolean {
  const isIn = (name: string): boolean => path === name || path.startsWith(`${name}.`);
  return LIVE_ROUTER_SETTINGS.some(isIn) && !FIXED_ROUTER_SETTINGS.some(isIn);
}

export interface ReloadsOptions<S extends Section> {
  readonly settings: S;
  /** What is in force at the start. */
  readonly config: Infer<S>;
  readonly source: ConfigSource<Infer<S>>;
  /** Whether a setting, named as people write it, can be changed while the role runs. */
  readonly isLive: (path: string) => boolean;
  /** Puts a config into force. It is a right one, and must not throw. */
  readonly apply: (config: Infer<S>) => void;
  readonly log: Log;
}

/** What became of one load. */
export interface Reload {
  readonly outcome: "applied" | "unchanged" | "refused";
  readonly changes: readonly Change[];
  /** Changes that wait for a restart or an upgrade. */
  readonly pending: readonly Change[];
  readonly faults: readonly string[];
}

export class Reloads<S extends Section> {
  readonly counts: Record<Reload["outcome"], number> = { applied: 0, unchanged: 0, refused: 0 };
  readonly #options: ReloadsOptions<S>;
  #config: Infer<S>;
  #isOk = true;

  constructor(options: ReloadsOptions<S>) {
    this.#options = options;
    this.#config = options.config;
  }

  /** What is in force. */
  get config(): Infer<S> {
    return this.#config;
  }

  /** Whether the last load was of a right configuration. */
  get isOk(): boolean {
    return this.#isOk;
  }

  /** Loads it; `why` stands in the log. */
  reload(why: string): Reload {
    const result = this.#load();
    this.counts[result.outcome]++;
    this.#isOk = result.outcome !== "refused";
    notifySupervisor({ STATUS: this.#isOk ? "serves" : "serves; the last configuration was refused: see the log" });
    this.#tell(why, result);
    return result;
  }

  #load(): Reload {
    const { settings, source, isLive, apply } = this.#options;
    const loaded = source.load();
    if (loaded.faults !== undefined) {
      return { outcome: "refused", changes: [], pending: [], faults: loaded.faults.map(formatFault) };
    }
    const all = changesBetween(settings, this.#config, loaded.value);
    const changes = all.filter(({ path }) => isLive(path));
    const pending = all.filter(({ path }) => !isLive(path));
    if (changes.length > 0) {
      this.#config = mergedBy(settings, this.#config, loaded.value, isLive);
      apply(this.#config);
    }
    return { outcome: changes.length > 0 ? "applied" : "unchanged", changes, pending, faults: [] };
  }

  #tell(why: string, { outcome, changes, pending, faults }: Reload): void {
    const { log, source } = this.#options;
    const fields = { why, ...(source.path === "" ? {} : { file: source.path }) };
    if (outcome === "refused") {
      log.error("the new configuration is refused, and nothing was changed", { ...fields, faults });
      return;
    }
    if (outcome === "applied")
      log.info("the new configuration is in force", { ...fields, changes: changes.map(inWords) });
    else if (pending.length === 0) {
      const reason = source.path === "" ? { reason: "there is no --config file" } : {};
      log.info("the configuration is the same as before", { ...fields, ...reason });
    }
    if (pending.length > 0) {
      log.warn("changes of the configuration that need a restart or an upgrade", {
        ...fields,
        changes: pending.map(inWords),
      });
    }
  }
}

function inWords({ path, from, to }: Change): string {
  return `${path}: ${from} -> ${to}`;
}
