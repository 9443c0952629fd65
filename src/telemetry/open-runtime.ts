/** Makes of a runtime as it is configured one that is watched: where its ports are, who asks, what its answers mean. */
import { MeshError } from "../base/errors.ts";
import type { Adapter, Port } from "../runtimes/adapter.ts";
import type { AdapterTable } from "../runtimes/table.ts";
import { transport } from "./runtime-client.ts";
import { RuntimeCredentials, RuntimeDialers } from "./runtime-credentials.ts";
import type { RuntimeConfig } from "./runtime-settings.ts";
import type { RuntimeSpec } from "./runtime-spec.ts";
import type { RuntimeUrl } from "./runtime-url.ts";
import { type RuntimeEvent, WatchedRuntime } from "./watched-runtime.ts";

export interface OpenOptions {
  /** Unique on the node. */
  readonly name: string;
  readonly table: AdapterTable;
  readonly adapter: Adapter;
  readonly config: RuntimeConfig;
  readonly endsWithAgent: boolean;
  readonly tell: (event: RuntimeEvent) => void;
}

/** Throws a MeshError for certificates and keys that can't be used, and for a place that is nowhere. */
export function openRuntime(spec: RuntimeSpec, options: OpenOptions): WatchedRuntime {
  const { table, ...rest } = options;
  return new WatchedRuntime({
    ...rest,
    urls: portsOf(spec, table),
    credentials: new RuntimeCredentials(spec),
    dialers: new RuntimeDialers(transport, spec, options.name),
  });
}

/** As they are configured, else as far from the first one as they are by default. */
export function portsOf(
  spec: Pick<RuntimeSpec, "kind" | "url" | "metricsUrl" | "managementUrl" | "grpcUrl">,
  { title, ports }: Pick<AdapterTable, "title" | "ports">,
): Readonly<Partial<Record<Port, RuntimeUrl>>> {
  const usual = ports.api;
  const api = spec.url ?? (usual === undefined ? undefined : localUrl(usual));
  if (api === undefined) {
    throw new MeshError(
      "config_invalid",
      `--runtime ${spec.kind}: ${title} has no usual port; say where it is: ${spec.kind}=http://HOST:PORT`,
    );
  }
  const beside = (port: Port): RuntimeUrl => {
    const number = ports[port];
    if (number === undefined || usual === undefined || number === usual || api.port === 0) return api;
    const shifted = api.port + number - usual;
    return shifted >= 1 && shifted <= 65_535 ? { ...api, port: shifted } : api;
  };
  const grpc = ports.grpc === undefined ? undefined : ({ ...beside("grpc"), protocol: "grpc", base: "" } as const);
  return {
    api,
    metrics: spec.metricsUrl ?? beside("metrics"),
    management: spec.managementUrl ?? beside("management"),
    ...(spec.grpcUrl === undefined && (grpc === undefined || api.port === 0)
      ? {}
      : { grpc: spec.grpcUrl ?? grpc ?? api }),
  };
}

function localUrl(port: number): RuntimeUrl {
  return { protocol: "http", host: "127.0.0.1", port, tls: false, base: "" };
}
