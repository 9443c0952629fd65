/** What the agent has of an inference server, be it a real one beside it or the mock within. */
import type { RuntimeKind, RuntimeReading } from "../runtimes/reading.ts";
import type { ModelState } from "../base/runtime-terms.ts";
import type { RuntimeStatus } from "../runtimes/state.ts";
import type { RuntimeSample } from "./sampler.ts";

/** Where routers send requests. */
export interface RuntimeEndpoint {
  /** Unique within the runtime. */
  readonly name: string;
  /** The path of a unix socket, which begins with a slash, is of this machine alone. */
  readonly host: string;
  readonly port: number;
  readonly protocol: "http" | "grpc";
  readonly tls: boolean;
}

export interface ModelChange {
  /** False when it was so before. */
  readonly changed: boolean;
  readonly models: readonly string[];
}

export interface LoadHow {
  /** Where the runtime shall take it from; "": where it looks by itself. */
  readonly source?: string;
  /** Of a LoRA adapter: the model that it adapts. */
  readonly parent?: string;
}

/** How asking it goes, for metrics. */
export interface RuntimeAsks {
  /** Asks that failed, by kind: timeout, refused, unreadable... */
  readonly failures: ReadonlyMap<string, number>;
  /** Of the last metrics that were read. */
  readonly metricsSeconds: number | undefined;
  readonly metricsBytes: number | undefined;
}

/** A model as the agent sees it: what the runtime says of it, and what the agent does with it. */
export interface ModelStatus {
  readonly model: string;
  readonly state: ModelState;
  /** Why it is so; "" where there is nothing to say. */
  readonly reason: string;
}

export interface Runtime {
  /** Unique on the node. */
  readonly name: string;
  readonly kind: RuntimeKind;
  /** "" while it is not known. */
  readonly version: string;
  readonly status: RuntimeStatus;
  readonly endpoints: readonly RuntimeEndpoint[];
  /** Those that it can serve now. */
  readonly models: readonly string[];
  /** All that it tells; undefined of the mock, which is asked by nobody. */
  readonly reading: RuntimeReading | undefined;
  /** All that it knows of. */
  readonly modelStates: readonly ModelStatus[];
  readonly asks: RuntimeAsks;
  sample(): RuntimeSample;
  /** Resolves when the model is served; rejects with a MeshError. */
  load(model: string, signal: AbortSignal, how?: LoadHow): Promise<ModelChange>;
  /** Resolves when it is served no more; what is left of its requests after `drainMs` may be cut off. */
  unload(model: string, drainMs: number, signal: AbortSignal): Promise<ModelChange>;
  /** Calls back at once when its status or its models are other than before. */
  watch(listener: () => void): void;
  /** Calls back when its figures may be others than before. */
  watchFigures(listener: () => void): void;
  stop(drainMs: number): Promise<void>;
}
