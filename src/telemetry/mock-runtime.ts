/**
 * A stand-in for an LLM server: OpenAI's API over a simulated engine (sim/) that is driven by real time.
 */

import type { MeshError } from "../base/errors.ts";
import { NO_FAULTS, changeFaults } from "../sim/faults.ts";
import type { Faults } from "../sim/faults.ts";
import { PROFILES } from "../sim/profile.ts";
import type { ProfileName } from "../sim/profile.ts";
import type { RuntimeSample } from "./sampler.ts";

export interface MockRuntimeOptions {
  /** Default 127.0.0.1. */
  readonly hostname?: string;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Default h100-8b. */
  readonly profile?: ProfileName;
  /** Names that the one simulated model answers to; default: the profile's own. */
  readonly models?: readonly string[];
  /** Decides texts, vectors and injected errors; default 1. */
  readonly seed?: number;
  /** Simulated seconds per real second; default 1. */
  readonly speed?: number;
  /** GPUs that the node shows; default: as many as the profile uses. */
  readonly gpus?: number;
  /** What the crash fault does; default: the process exits with 137. */
  readonly onCrash?: () => void;
}

export interface FaultControl {
  get(): Faults;
  /** Applies the JSON value of an admin request, or says what is wrong with it. */
  set(json: unknown): { readonly faults: Faults } | { readonly error: MeshError };
  clear(): Faults;
}

export interface MockRuntime {
  readonly hostname: string;
  readonly port: number;
  readonly models: readonly string[];
  readonly faults: FaultControl;
  sample(): RuntimeSample;
  /** Refuses new requests, lets the running ones finish for up to `drainMs`, then closes everything. */
  stop(drainMs?: number): Promise<void>;
}

/** Listens at once; throws where the port is taken. */
export function startMockRuntime(options: MockRuntimeOptions = {}): MockRuntime {
  const profile = PROFILES[options.profile ?? "h100-8b"];
  let faults = NO_FAULTS;
  const server = Bun.serve({
    hostname: options.hostname ?? "127.0.0.1",
    port: options.port ?? 0,
    idleTimeout: 0,
    fetch: () => new Response("ok\n"),
  });
  return {
    hostname: server.hostname ?? "127.0.0.1",
    port: server.port ?? 0,
    models: options.models ?? [profile.model],
    faults: {
      get: () => faults,
      set(json) {
        const change = changeFaults(faults, json);
        if ("error" in change) return change;
        faults = change.faults;
        if (change.crash) (options.onCrash ?? (() => process.exit(137)))();
        return { faults };
      },
      clear: () => (faults = NO_FAULTS),
    },
    sample: () => ({ ready: true, draining: false, models: [], gpus: [], requestsInProgress: 0, failedResponses: 0 }),
    stop: () => server.stop(true),
  };
}
