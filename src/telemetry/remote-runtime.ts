/**
 * An inference server on another machine, which nobody beside it looks after: it is asked who it is where that is not
 * said, and watched from then on (watched-runtime.ts). One that turns out to be somebody else is asked anew who it is.
 *
 * Until it is known it has no models and nothing to tell: whoever routes goes by what else is known of it.
 */
import type { RuntimeKind } from "../runtimes/reading.ts";
import type { RuntimeState } from "../base/runtime-terms.ts";
import { OPENAI } from "../runtimes/openai.ts";
import { identified } from "./identified.ts";
import { openRuntime } from "./open-runtime.ts";
import { RuntimeClient, transport } from "./runtime-client.ts";
import { RuntimeCredentials, RuntimeDialers } from "./runtime-credentials.ts";
import type { RuntimeConfig } from "./runtime-settings.ts";
import { AUTO, type RuntimeSpec } from "./runtime-spec.ts";
import { kindOfRuntime } from "./runtime-tables.ts";
import type { RuntimeUrl } from "./runtime-url.ts";
import type { RuntimeEvent, WatchedRuntime } from "./watched-runtime.ts";

type KnownKind = Exclude<RuntimeKind, "mock">;

export interface RemoteRuntimeOptions {
  /** In words about its certificates and keys. */
  readonly name: string;
  readonly url: RuntimeUrl;
  /** "auto": it is asked. */
  readonly kind: KnownKind | "auto";
  /** That one is asked about which does not list them. */
  readonly models: readonly string[];
  /** What it is shown of who asks. */
  readonly shown: Partial<RuntimeSpec>;
  readonly config: RuntimeConfig;
  readonly tell: (kind: KnownKind, event: RuntimeEvent) => void;
  /** Somebody answers whom nobody knows: told when that is new, with why. */
  readonly strange: (why: string) => void;
  /** What it serves, or how it is, is other than before. */
  readonly changed: () => void;
}

/** Pauses between two tries to learn who it is: they double. */
const ABSENT_MS = { first: 500, max: 4000 };
const STRANGE_MS = { first: 1000, max: 30_000 };
/** States of one that has not said yet what it serves. */
const UNTOLD: readonly RuntimeState[] = ["connecting", "starting"];
/** One that has been somebody else for so long is. */
const FOREIGN_MS = 3000;

export class RemoteRuntime {
  readonly #options: RemoteRuntimeOptions;
  readonly #spec: RuntimeSpec;
  #watched: WatchedRuntime | null = null;
  #client: RuntimeClient | null = null;
  /** Why it is not known; "" while that is being asked. */
  #unknown = "";
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(options: RemoteRuntimeOptions) {
    this.#options = options;
    this.#spec = { ...AUTO, ...options.shown, url: options.url, models: options.models };
  }

  begin(): this {
    const { kind } = this.#options;
    if (kind === "auto") void this.#identify();
    else this.#open(kind);
    return this;
  }

  /** null until it is known who it is. */
  get watched(): WatchedRuntime | null {
    return this.#watched;
  }

  /** Why it is not known who it is; "" where it is, or is being asked. */
  get unknown(): string {
    return this.#unknown;
  }

  get models(): readonly string[] {
    return this.#watched?.models ?? [];
  }

  /** What it serves is known, or why that is not: it was asked. */
  get isKnown(): boolean {
    if (this.#watched === null) return this.#unknown !== "";
    return !UNTOLD.includes(this.#watched.status.state);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#client?.stop();
    void this.#watched?.stop(0);
  }

  async #identify(): Promise<void> {
    const { url, name, config } = this.#options;
    const client = new RuntimeClient({
      urls: { api: url },
      credentials: new RuntimeCredentials(this.#spec),
      dialers: new RuntimeDialers(transport, this.#spec, name),
    });
    this.#client = client;
    const who = await identified(client, config.timeoutMs);
    client.stop();
    if (this.#isStopped) return;
    if ("kind" in who && who.kind !== "mock") {
      this.#tries = 0;
      this.#unknown = "";
      this.#open(who.kind);
      return;
    }
    const isAbsent = "absent" in who;
    this.#unstrange(isAbsent ? "" : "stranger" in who ? who.stranger : "it is a mock of a mesh");
    const { first, max } = isAbsent ? ABSENT_MS : STRANGE_MS;
    this.#timer = setTimeout(() => void this.#identify(), Math.min(max, first * 2 ** Math.min(10, this.#tries)));
    this.#tries += 1;
  }

  #unstrange(why: string): void {
    if (why === this.#unknown) return;
    this.#unknown = why;
    if (why !== "") this.#options.strange(why);
    this.#options.changed();
  }

  #open(kind: KnownKind): void {
    const { models, config, tell, changed } = this.#options;
    const watched = openRuntime(
      { ...this.#spec, kind },
      {
        name: kind,
        ...kindOfRuntime(kind, kind === "generic" ? OPENAI : undefined, models),
        config,
        endsWithAgent: false,
        tell: (event) => tell(kind, event),
      },
    );
    this.#watched = watched;
    watched.watch(changed);
    watched.watch(() => this.#doubt());
    watched.begin();
    changed();
  }

  /** A pod may come back as another server at the same address. */
  #doubt(): void {
    const { kind } = this.#options;
    clearTimeout(this.#timer);
    if (kind !== "auto" || this.#watched?.status.state !== "foreign" || this.#isStopped) return;
    this.#timer = setTimeout(() => {
      if (this.#watched?.status.state !== "foreign") return;
      void this.#watched.stop(0);
      this.#watched = null;
      this.#options.changed();
      void this.#identify();
    }, FOREIGN_MS);
  }
}
