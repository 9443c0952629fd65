/**
 * What a failed call tells, in both forms: its code, its words, and an ErrorDetail (proto/control_plane.proto) with the
 * mesh's own code, so that a client can act on more than the sixteen codes of gRPC.
 */
import { ERRORS, MeshError, type MeshErrorOptions } from "../base/errors.ts";
import { messageToJson, toBase64 } from "../wire/proto-json.ts";
import type { ProtoTypes } from "../wire/proto-schema.ts";
import { encodeMessage } from "../wire/proto-writer.ts";

/** A write that was refused for what is there: `current` is the policy as a message, null where there is none. */
export class ConflictError extends MeshError {
  readonly write: number;
  readonly current: object | null;

  constructor(message: string, write: number, current: object | null, options?: MeshErrorOptions) {
    super("conflict", message, options);
    this.write = write;
    this.current = current;
  }
}

/** Frames that contradict their call's head: both protocols call that INTERNAL, and it is the caller's fault all the same. */
export class FramingError extends MeshError {
  constructor(message: string) {
    super("bad_request", message);
  }
}

export const DETAIL_TYPE = "infermesh.control.v1.ErrorDetail";

const INTERNAL = 13;
/** By gRPC status, 0 to 16: the name in the Connect protocol, and its HTTP status. */
const CONNECT: readonly (readonly [name: string, http: number])[] = [
  ["ok", 200],
  ["canceled", 499],
  ["unknown", 500],
  ["invalid_argument", 400],
  ["deadline_exceeded", 504],
  ["not_found", 404],
  ["already_exists", 409],
  ["permission_denied", 403],
  ["resource_exhausted", 429],
  ["failed_precondition", 400],
  ["aborted", 409],
  ["out_of_range", 400],
  ["unimplemented", 501],
  ["internal", 500],
  ["unavailable", 503],
  ["data_loss", 500],
  ["unauthenticated", 401],
];

export function grpcStatusOf(error: MeshError): number {
  return error instanceof FramingError ? INTERNAL : ERRORS[error.code].grpc;
}

function detailOf(error: MeshError): Record<string, unknown> {
  const detail: Record<string, unknown> = {
    code: error.code,
    source: error.source,
    retryable: error.retryable,
    param: error.param ?? "",
    retryAfterSeconds: error.retryAfterSeconds,
  };
  if (error instanceof ConflictError) {
    detail["write"] = error.write;
    detail["current"] = error.current ?? undefined;
  }
  return detail;
}

/** As `grpc-status-details-bin` has it: a google.rpc.Status in base64, without padding. */
export function statusDetails(types: ProtoTypes, error: MeshError): string {
  const detail = encodeMessage(types.message(DETAIL_TYPE), detailOf(error));
  const any = [...field(1, `type.googleapis.com/${DETAIL_TYPE}`), ...field(2, detail)];
  const status = [0x08, grpcStatusOf(error), ...field(2, error.message), ...field(3, Uint8Array.from(any))];
  return toBase64(Uint8Array.from(status)).replace(/=+$/, "");
}

/** The body of a Connect error, and its HTTP status. */
export function connectError(types: ProtoTypes, error: MeshError): { status: number; body: string } {
  const [code, status] = CONNECT[grpcStatusOf(error)] ?? ["unknown", 500];
  const type = types.message(DETAIL_TYPE);
  const detail = detailOf(error);
  const details = [
    {
      type: DETAIL_TYPE,
      value: toBase64(encodeMessage(type, detail)).replace(/=+$/, ""),
      debug: messageToJson(type, detail),
    },
  ];
  return { status, body: JSON.stringify({ code, message: error.message, details }) };
}

/** A field of bytes or text, whose number is below 16. */
function field(number: number, value: string | Uint8Array): number[] {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  const out = [number * 8 + 2];
  let { length } = bytes;
  for (; length > 127; length >>>= 7) out.push((length & 127) | 128);
  out.push(length, ...bytes);
  return out;
}
