/**
 * Writes a request anew as the settings say: the name of the model that serves it in place of the one that was asked
 * for, wherever that stands (path, query, header, JSON field, part of a form), and headers and fields of the body by
 * rules. The request as the client sent it stays as it is: another model may be tried, with other rules.
 *
 * A body that is edited must be whole; it goes on with a Content-Length, without chunks and trailers, and without
 * digests, which would be of another body (RFC 9530). Rules for the body are promises, such as a limit: what can't be
 * read as JSON is refused rather than passed on unread, but for the forms of APIs that take forms.
 */
import { MeshError } from "../base/errors.ts";
import type { ApiShape } from "../wire/api-shapes.ts";
import type { BodyReader } from "../wire/body-reader.ts";
import { ChunkScanner } from "../wire/chunks.ts";
import { fieldValue } from "../wire/field-search.ts";
import { JsonEditor } from "../wire/json-edit.ts";
import { BodyFields } from "../wire/json-field.ts";
import { MultipartField, multipartBoundary } from "../wire/multipart-field.ts";
import type { HeaderRewrite, Rewrite } from "../wire/rewrite.ts";

/** A request as its exchange holds it. */
export interface Held {
  /** The head, rewritten for the target's hop, then the body as it was framed. */
  readonly held: Buffer;
  readonly heldEnd: number;
  readonly bodyAt: number;
  /** Declared length of the body; -1 when it is chunked. */
  readonly contentLength: number;
  readonly isComplete: boolean;
  readonly shape: ApiShape;
  /** Where the model's name stands in the path or query, in `held`; -1 where it does not. */
  readonly nameStart: number;
  readonly nameEnd: number;
}

export interface Reshaped {
  /** The new head, and the body where that was edited. */
  readonly bytes: Buffer;
  readonly bodyAt: number;
  /** The body is in it; else the one that is held belongs to it. */
  readonly hasBody: boolean;
}

/** Bytes [start, end) of a body without its framing. */
export interface PlainBody {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

const LF = 10;
const COLON = 58;
const SPACE = 32;
const HEAD_ROOM = 64;
/** They frame or describe the body that came. */
const BODY_FIELDS: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "content-md5",
  "content-digest",
  "repr-digest",
  "digest",
]);
const MODEL_FIELD = "x-infermesh-model";
const CRLF = Buffer.from("\r\n");

const renamer = new JsonEditor([], true);

/** The body of a complete request without its framing. */
export function plainBody({ held, bodyAt, heldEnd, contentLength }: Held): PlainBody {
  if (contentLength >= 0) return { bytes: held, start: bodyAt, end: heldEnd };
  const chunks = new ChunkScanner();
  chunks.push(held, bodyAt, heldEnd);
  const bytes = Buffer.allocUnsafeSlow(chunks.bodyBytes);
  let at = 0;
  for (let i = 0; i < chunks.spanCount; i++) at += held.copy(bytes, at, chunks.spans[i * 2], chunks.spans[i * 2 + 1]);
  return { bytes, start: 0, end: at };
}

/** The request with `rename` (null: the name stays) and the rule's edits; null: it is as it was. */
export function reshape(request: Held, rename: string | null, rewrite: Rewrite | null): Reshaped | MeshError | null {
  const rules = rewrite?.body ?? null;
  let body: Uint8Array | null = null;
  if (request.isComplete && request.heldEnd > request.bodyAt && (rename !== null || rules !== null)) {
    const edited = editBody(request, rename, rules);
    if (edited instanceof MeshError) return edited;
    body = edited;
  }
  const headers = rewrite?.request ?? null;
  return body === null && rename === null && headers === null ? null : build(request, rename, headers, body);
}

/** The new body; null where nothing in it changes. */
function editBody(request: Held, rename: string | null, rules: JsonEditor | null): Uint8Array | MeshError | null {
  const { shape, held, bodyAt } = request;
  const body = plainBody(request);
  const boundary = multipartBoundary(fieldValue(held, bodyAt, "content-type") ?? "");
  if (boundary !== null && (shape.model === "form" || rules === null)) {
    return rename === null ? null : renameInForm(body, boundary, rename);
  }
  const isNamed = shape.model === "body" || shape.model === "optional" || shape.model === "form";
  // Where the body need not name a model, it is not made to: a header, or the only model, decided.
  const renames = rename !== null && isNamed && (shape.model === "body" || namesModel(new BodyFields(), body));
  if (rules === null && !renames) return null;
  const editor = rules ?? renamer;
  const name = renames ? Buffer.from(JSON.stringify(rename)) : null;
  switch (editor.edit(body.bytes, body.start, body.end, name)) {
    case "same":
      return null;
    case "edited":
      return editor.take();
    default:
      return new MeshError(
        "bad_json",
        `this router changes fields of the body, which must be a JSON object: ${editor.reason} at byte ${editor.position}`,
      );
  }
}

function namesModel(reader: BodyReader, { bytes, start, end }: PlainBody): boolean {
  return reader.push(bytes, start, end) !== "bad" && reader.hasModel;
}

function renameInForm(body: PlainBody, boundary: string, rename: string): Uint8Array | MeshError | null {
  const reader = new MultipartField(boundary);
  const { bytes, start, end } = body;
  if (reader.push(bytes, start, end) === "bad" || reader.finish() === "bad") {
    return new MeshError("bad_json", `the model's name in the form can't be replaced: ${reader.reason}`);
  }
  if (reader.duplicateModel) return new MeshError("bad_json", "the body names its model twice", { param: "model" });
  if (reader.modelStart < 0) return null;
  return Buffer.concat([
    bytes.subarray(start, reader.modelStart),
    Buffer.from(rename),
    bytes.subarray(reader.modelEnd, end),
  ]);
}

function build(request: Held, rename: string | null, headers: HeaderRewrite | null, body: Uint8Array | null): Reshaped {
  const { held, bodyAt, nameStart, nameEnd } = request;
  const name = rename === null || nameStart < 0 ? "" : encodeURIComponent(rename);
  const lines = headers?.lines ?? CRLF.subarray(0, 0);
  const roomy = bodyAt + name.length + lines.length + HEAD_ROOM + 3 * (rename?.length ?? 0) + (body?.length ?? 0);
  const bytes = Buffer.allocUnsafeSlow(roomy);
  let line = held.indexOf(LF) + 1;
  let at = 0;
  if (name === "") {
    at += held.copy(bytes, at, 0, line);
  } else {
    at += held.copy(bytes, at, 0, nameStart);
    at += bytes.write(name, at, "latin1");
    at += held.copy(bytes, at, nameEnd, line);
  }
  // The last line of a head is empty.
  while (line < bodyAt - 2) {
    const next = held.indexOf(LF, line) + 1;
    const colon = held.indexOf(COLON, line);
    const field = held.toString("latin1", line, colon).toLowerCase();
    const isOurs = (body !== null && BODY_FIELDS.has(field)) || (rename !== null && field === MODEL_FIELD);
    if (rename !== null && field === MODEL_FIELD) {
      at += bytes.write(`${MODEL_FIELD}: ${rename}\r\n`, at, "utf8");
    }
    if (!isOurs && headers?.drops(held, line, colon) !== true) at += held.copy(bytes, at, line, next);
    line = next;
  }
  bytes.set(lines, at);
  at += lines.length;
  if (body !== null) at += bytes.write(`content-length: ${body.length}\r\n`, at, "latin1");
  at += CRLF.copy(bytes, at);
  const end = at;
  if (body !== null) bytes.set(body, at);
  return { bytes: bytes.subarray(0, end + (body?.length ?? 0)), bodyAt: end, hasBody: body !== null };
}

/** The target of the request line in `held`, with its query. */
export function targetOf(held: Buffer): Buffer {
  const start = held.indexOf(SPACE) + 1;
  return held.subarray(start, held.indexOf(SPACE, start));
}
