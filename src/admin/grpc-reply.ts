/** What a gRPC call is answered with beside its messages, as encoded fields: the head, and the status behind it. */
import type { MeshError } from "../base/errors.ts";
import { percentEncoded } from "../wire/grpc-framing.ts";
import { fieldOf } from "../wire/header-field.ts";
import type { ProtoTypes } from "../wire/proto-schema.ts";
import { ENCODINGS } from "./inflation.ts";
import { grpcStatusOf, statusDetails } from "./call-error.ts";

export const ANSWER_HEAD: Uint8Array = Buffer.concat([
  fieldOf(":status", "200").encoded,
  fieldOf("content-type", "application/grpc").encoded,
  fieldOf("grpc-accept-encoding", ENCODINGS).encoded,
]);

const DONE: Uint8Array = fieldOf("grpc-status", "0").encoded;

/** Clients take lists of 8 KiB at least (grpc-java's is that), each field counted with 32 bytes more. */
const MESSAGE_BYTES_MAX = 2000;
const DETAILS_CHARS_MAX = 5500;

/** Trailers; `whole`: an answer of nothing else. */
export function statusFields(types: ProtoTypes, error: MeshError | null, whole: boolean): Uint8Array {
  if (error === null) return whole ? Buffer.concat([ANSWER_HEAD, DONE]) : DONE;
  const status = grpcStatusOf(error);
  const fields = [...(whole ? [ANSWER_HEAD] : []), fieldOf("grpc-status", String(status)).encoded];
  fields.push(fieldOf("grpc-message", messageField(error.message)).encoded);
  const details = statusDetails(types, error);
  if (details.length <= DETAILS_CHARS_MAX) fields.push(fieldOf("grpc-status-details-bin", details).encoded);
  // gRPC's retry design (A6): how long a client should wait before it comes again.
  if (error.retryAfterSeconds !== undefined) {
    fields.push(fieldOf("grpc-retry-pushback-ms", String(error.retryAfterSeconds * 1000)).encoded);
  }
  return Buffer.concat(fields);
}

/** The message as it travels, cut where it is longer than a field may be. */
function messageField(text: string): string {
  let shown = text.slice(0, MESSAGE_BYTES_MAX);
  let encoded = percentEncoded(shown);
  while (encoded.length > MESSAGE_BYTES_MAX) {
    // A character takes up to twelve bytes.
    shown = shown.slice(0, Math.min(shown.length - 1, Math.floor((shown.length * MESSAGE_BYTES_MAX) / encoded.length)));
    encoded = percentEncoded(`${shown}...`);
  }
  return encoded;
}
