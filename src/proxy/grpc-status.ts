/** gRPC's statuses as they are told to clients, and as the worker's counters know them. */
import { ERRORS } from "../base/errors.ts";
import type { MeshError } from "../base/errors.ts";
import type { Outcome } from "../flow/breaker.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { numberOf } from "../wire/header-block.ts";
import { percentEncoded } from "../wire/grpc-framing.ts";
import { fieldOf } from "../wire/header-field.ts";
import { type CallId, idField } from "./grpc-id.ts";

/** Status numbers that mean something to a relay. */
export const GRPC_STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
} as const;

/** By gRPC status, 0 to 16: the HTTP status under which a call is counted. */
const COUNTED_AS = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

const ANSWER_HEAD: Uint8Array = Buffer.concat([
  fieldOf(":status", "200").encoded,
  fieldOf("content-type", "application/grpc").encoded,
]);
const DIGITS_MAX = 3;

/** The head of an answer of our own. */
export function answerHead(id: CallId): Uint8Array {
  return Buffer.concat([ANSWER_HEAD, idField(id)]);
}

/** The status under which a call is counted. */
export function countedAs(grpcStatus: number): number {
  return COUNTED_AS[grpcStatus] ?? 500;
}

/** The gRPC status that trailers tell; `unknown` where they tell none. */
export function statusIn(block: HeaderBlock): number {
  const field = block.grpcStatus;
  if (field === null) return GRPC_STATUS.unknown;
  const status = numberOf(field, DIGITS_MAX);
  return status < 0 ? GRPC_STATUS.unknown : status;
}

/** An error as encoded fields: trailers, or a whole answer of nothing but trailers to the call of this id. */
export function errorFields(error: MeshError, whole: CallId | null): Uint8Array {
  const fields = statusFields(ERRORS[error.code].grpc, error.message, whole);
  if (error.retryAfterSeconds === undefined) return fields;
  // gRPC's retry design (A6): how long a client should wait before it comes again.
  return Buffer.concat([fields, fieldOf("grpc-retry-pushback-ms", String(error.retryAfterSeconds * 1000)).encoded]);
}

/** What an answer of nothing but this status says of its target's health. */
export function outcomeOf(grpcStatus: number): Outcome {
  switch (grpcStatus) {
    case GRPC_STATUS.internal:
    case GRPC_STATUS.unavailable:
    case GRPC_STATUS.dataLoss:
      return "failure";
    case GRPC_STATUS.unknown:
    case GRPC_STATUS.deadlineExceeded:
    case GRPC_STATUS.resourceExhausted:
      return "unknown";
    default:
      return "success";
  }
}

/** A status as `errorFields` has it. */
export function statusFields(status: number, message: string, whole: CallId | null): Uint8Array {
  return Buffer.concat([
    ...(whole === null ? [] : [answerHead(whole)]),
    fieldOf("grpc-status", String(status)).encoded,
    ...(message === "" ? [] : [fieldOf("grpc-message", percentEncoded(message)).encoded]),
  ]);
}
