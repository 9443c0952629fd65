/**
 * The gRPC services of inference runtimes: where a method's request names its model, and whether a call may run twice
 * as long as nobody has seen an answer.
 *
 * From the published contracts: KServe's Open Inference Protocol with Triton's additions, TGIS (the protocol of
 * vllm-tgis-adapter), vLLM's and SGLang's engine services, TGI's shard service. The last three serve one model a
 * server and name none. A method that is not listed here is of no known model and is never sent twice.
 */
import type { HeaderField } from "../wire/header-field.ts";
import { ascii } from "../wire/octets.ts";
import { hashOf } from "./model-names.ts";

export interface GrpcMethod {
  /** The number of the string field that names the model in a request; 0: no field does. */
  readonly modelField: number;
  readonly isRepeatable: boolean;
  /** It stands in the list below. */
  readonly isListed: boolean;
}

const UNKNOWN: GrpcMethod = { modelField: 0, isRepeatable: false, isListed: false };

/** [service, methods that may be repeated, number of the model's field, methods that may not] */
const SERVICES: readonly (readonly [service: string, modelField: number, repeatable: string, once: string])[] = [
  [
    "inference.GRPCInferenceService",
    1,
    "ModelInfer ModelStreamInfer ModelReady ModelMetadata ModelConfig ModelStatistics",
    "",
  ],
  ["inference.GRPCInferenceService", 2, "", "RepositoryModelLoad RepositoryModelUnload TraceSetting"],
  ["inference.GRPCInferenceService", 0, "ServerLive ServerReady ServerMetadata RepositoryIndex", ""],
  ["fmaas.GenerationService", 1, "Generate GenerateStream Tokenize ModelInfo", ""],
  ["vllm.grpc.engine.VllmEngine", 0, "Generate Embed HealthCheck GetModelInfo GetServerInfo", "Abort"],
  ["sglang.grpc.scheduler.SglangScheduler", 0, "Generate Embed HealthCheck GetModelInfo GetServerInfo", "Abort"],
  ["generate.v2.TextGenerationService", 0, "Info Health", ""],
  ["generate.v3.TextGenerationService", 0, "Info Health", ""],
];

interface Entry {
  readonly path: Uint8Array;
  readonly method: GrpcMethod;
}

/** By the hash of a path: a look-up makes no text of it. */
const METHODS = new Map<number, Entry[]>();
for (const [service, modelField, repeatable, once] of SERVICES) {
  for (const [names, isRepeatable] of [
    [repeatable, true],
    [once, false],
  ] as const) {
    for (const name of names.split(" ").filter((one) => one !== "")) {
      const path = ascii(`/${service}/${name}`);
      const hash = hashOf(path, 0, path.length);
      METHODS.set(hash, [...(METHODS.get(hash) ?? []), { path, method: { modelField, isRepeatable, isListed: true } }]);
    }
  }
}

/** What is known of the method that this `:path` names; a path that comes again is not looked up again. */
export function methodOf(path: HeaderField | null): GrpcMethod {
  if (path === null) return UNKNOWN;
  if (path.note !== undefined) return path.note as GrpcMethod;
  const { source, valueStart } = path;
  const entries = METHODS.get(hashOf(source, valueStart, source.length));
  const method = entries?.find((entry) => path.valueIs(entry.path))?.method ?? UNKNOWN;
  path.note = method;
  return method;
}
