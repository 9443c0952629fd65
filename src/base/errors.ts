/**
 * One error class for the whole house, and one table that says what each code means to every protocol we speak.
 *
 * Expected outcomes (more bytes needed, breaker open, queue full) are return values, not errors. A MeshError is what
 * ends a request or a command, and it carries what the next one up must know: whose fault it is (`source`) and
 * whether sending the same request elsewhere is worth it (`retryable`). Retryable says only that the *error* allows a
 * second try; the caller also has to know that nothing was sent downstream yet.
 */

export type ErrorSource = "client" | "upstream" | "mesh" | "self";

export interface ErrorFacts {
  /** HTTP status. */
  readonly http: number;
  /** gRPC status number (google.rpc.Code). */
  readonly grpc: number;
  /** The `type` of an OpenAI error body. */
  readonly type: string;
  readonly source: ErrorSource;
  readonly retryable: boolean;
}

const INVALID = "invalid_request_error";
const SERVER = "server_error";

// gRPC: 3 invalid argument, 4 deadline exceeded, 5 not found, 7 permission denied, 8 resource exhausted, 9 failed precondition,
// 10 aborted, 12 unimplemented, 13 internal, 14 unavailable, 15 data loss.
export const ERRORS = {
  bad_request: { http: 400, grpc: 3, type: INVALID, source: "client", retryable: false },
  bad_json: { http: 400, grpc: 3, type: INVALID, source: "client", retryable: false },
  model_required: { http: 400, grpc: 3, type: INVALID, source: "client", retryable: false },
  config_invalid: { http: 400, grpc: 3, type: INVALID, source: "self", retryable: false },
  forbidden: { http: 403, grpc: 7, type: "permission_error", source: "client", retryable: false },
  model_not_found: { http: 404, grpc: 5, type: INVALID, source: "client", retryable: false },
  not_found: { http: 404, grpc: 5, type: INVALID, source: "client", retryable: false },
  method_not_allowed: { http: 405, grpc: 12, type: INVALID, source: "client", retryable: false },
  request_timeout: { http: 408, grpc: 4, type: INVALID, source: "client", retryable: false },
  conflict: { http: 409, grpc: 10, type: INVALID, source: "client", retryable: false },
  length_required: { http: 411, grpc: 3, type: INVALID, source: "client", retryable: false },
  payload_too_large: { http: 413, grpc: 8, type: INVALID, source: "client", retryable: false },
  uri_too_long: { http: 414, grpc: 3, type: INVALID, source: "client", retryable: false },
  over_capacity: { http: 429, grpc: 8, type: "rate_limit_error", source: "mesh", retryable: true },
  head_too_large: { http: 431, grpc: 8, type: INVALID, source: "client", retryable: false },
  internal: { http: 500, grpc: 13, type: SERVER, source: "self", retryable: false },
  store_damaged: { http: 500, grpc: 15, type: SERVER, source: "self", retryable: false },
  not_supported: { http: 501, grpc: 12, type: INVALID, source: "client", retryable: false },
  upstream_failed: { http: 502, grpc: 14, type: SERVER, source: "upstream", retryable: true },
  no_healthy_target: { http: 503, grpc: 14, type: SERVER, source: "mesh", retryable: true },
  starting: { http: 503, grpc: 14, type: SERVER, source: "mesh", retryable: true },
  draining: { http: 503, grpc: 14, type: SERVER, source: "mesh", retryable: true },
  no_quorum: { http: 503, grpc: 14, type: SERVER, source: "mesh", retryable: true },
  not_leader: { http: 503, grpc: 14, type: SERVER, source: "mesh", retryable: true },
  upstream_timeout: { http: 504, grpc: 4, type: SERVER, source: "upstream", retryable: false },
  store_full: { http: 507, grpc: 8, type: SERVER, source: "self", retryable: false },
  version_not_supported: { http: 505, grpc: 12, type: INVALID, source: "client", retryable: false },
} as const satisfies Record<string, ErrorFacts>;

export type ErrorCode = keyof typeof ERRORS;

export interface MeshErrorOptions {
  /** Default: the table's. */
  readonly source?: ErrorSource;
  /** Default: the table's. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
  /** The request field or setting at fault, for example `model`. */
  readonly param?: string;
  /** After how many seconds whoever was refused may come again. */
  readonly retryAfterSeconds?: number;
}

export class MeshError extends Error {
  override readonly name = "MeshError";
  readonly code: ErrorCode;
  readonly source: ErrorSource;
  readonly retryable: boolean;
  readonly param?: string;
  readonly retryAfterSeconds?: number;

  constructor(code: ErrorCode, message: string, options: MeshErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const facts = ERRORS[code];
    this.code = code;
    this.source = options.source ?? facts.source;
    this.retryable = options.retryable ?? facts.retryable;
    if (options.param !== undefined) this.param = options.param;
    if (options.retryAfterSeconds !== undefined) this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** The HTTP status that answers this error. */
  get status(): number {
    return ERRORS[this.code].http;
  }
}

/** The JSON body that OpenAI's clients expect for an error: `{"error":{message,type,param,code}}`. */
export function openAiBody(error: MeshError): string {
  const { message, code } = error;
  return JSON.stringify({ error: { message, type: ERRORS[code].type, param: error.param ?? null, code } });
}

/** Whatever was thrown, as a MeshError: a stranger becomes `internal` with the original as its cause. */
export function toMeshError(thrown: unknown, code: ErrorCode = "internal"): MeshError {
  if (thrown instanceof MeshError) return thrown;
  return new MeshError(code, thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}
