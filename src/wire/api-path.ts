/**
 * Finds which API a request speaks, by its method and path, and where in the path the model's name lies. Called once a
 * request: a path that stands in the table as it is costs one hash of three bytes and one comparison, and nothing is
 * allocated; paths with a name in them are cut from their end, so that a name may hold slashes, escaped or not.
 *
 * Paths are compared byte by byte, as runtimes do: `/v1/Models` and `/v1//models` are other paths. The query plays no
 * part, except where the model stands in it. What no row knows is "unlisted" (below /v1/) or "unknown", and
 * api-access.ts says by the settings whether it may pass; a path that is known for other methods is "method", with `allow` to tell.
 *
 * Limits: 512 bytes of model, decoded, well-formed UTF-8 without control characters, as everywhere.
 */
import {
  KSERVE_VERBS,
  METHOD_NAMES,
  OLLAMA_BLOB,
  OPENAI_MODEL,
  OPENAI_MODEL_DELETE,
  REPOSITORY_VERBS,
  STORED,
  STORED_NEW,
  STORED_PATHS,
  STORED_READ,
  TENSORFLOW_STATUS,
  TENSORFLOW_VERBS,
  TORCHSERVE_EXPLAIN,
  TORCHSERVE_PREDICT,
  UNKNOWN,
  UNKNOWN_READ,
  UNLISTED,
  UNLISTED_READ,
  WRONG_METHOD,
} from "./api-shapes.ts";
import type { ApiShape } from "./api-shapes.ts";
import { MODEL_BYTES_MAX } from "./body-reader.ts";
import { begins, fixedPath } from "./fixed-paths.ts";
import type { FixedPath } from "./fixed-paths.ts";
import { METHOD } from "./http1.ts";
import { ascii, COLON, FNV_BASIS, FNV_PRIME, hexDigit, isUtf8 } from "./octets.ts";
import { QueryModel } from "./query-model.ts";

const SLASH = 47;
const QUESTION = 63;
const PERCENT = 37;
const PLUS = 43;

const V1 = ascii("/v1/");
const MODELS_V1 = ascii("/v1/models/");
const MODELS_V2 = ascii("/v2/models/");
const REPOSITORY = ascii("/v2/repository/models/");
const PREDICTIONS = ascii("/predictions/");
const EXPLANATIONS = ascii("/explanations/");
const BLOBS = ascii("/api/blobs/");
const VERSIONS = ascii("/versions/");
const LABELS = ascii("/labels/");
const METADATA = ascii("/metadata");
const STORED_BYTES = STORED_PATHS.map(ascii);

/** Whether bytes [start, end) are `text`, which is ASCII. */
function isText(buffer: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (buffer[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Where `byte` stands last in [start, end), or -1. */
function lastOf(buffer: Uint8Array, start: number, end: number, byte: number): number {
  let i = end - 1;
  while (i >= start && buffer[i] !== byte) i--;
  return i >= start ? i : -1;
}

type Verbs = Readonly<Record<number, ReadonlyMap<string, ApiShape>>>;

/** What the last call of `read` found; one object serves all requests of a worker. */
export class ApiPath {
  shape: ApiShape = UNKNOWN;
  /** Where the path ends and its query begins. */
  pathEnd = 0;
  /** The model's name as it stands in the path or query, still escaped; -1 where there is none. */
  modelStart = -1;
  modelEnd = -1;
  readonly #query = new QueryModel();
  /** For a path that is known, but not for this method: the value of an Allow field. */
  allow = "";
  /** After `readModel`: the name's bytes are modelBytes[0, modelLength), with their FNV-1a as BodyReader has it. */
  readonly modelBytes: Uint8Array = new Uint8Array(MODEL_BYTES_MAX);
  modelLength = 0;
  modelHash = FNV_BASIS;

  /** Reads the request target [start, end) in origin form; `method` is a METHOD. */
  read(buffer: Uint8Array, start: number, end: number, method: number): ApiShape {
    this.modelStart = -1;
    this.modelEnd = -1;
    this.allow = "";
    this.pathEnd = end;
    // A target that equals a path has no query, and nearly all do.
    let fixed = end > start ? fixedPath(buffer, start, end) : undefined;
    if (fixed === undefined) {
      let query = start;
      while (query < end && buffer[query] !== QUESTION) query++;
      this.pathEnd = query;
      if (query < end && query > start) fixed = fixedPath(buffer, start, query);
    }
    const found = fixed?.shapes[method];
    if (found !== undefined) {
      this.shape = found;
      if (found.model === "query") this.#findInQuery(buffer, end);
    } else {
      this.shape = this.#other(buffer, start, this.pathEnd, method, fixed);
    }
    return this.shape;
  }

  /**
   * Decodes the name in the path into `modelBytes`; answers why it can't be one, or "". Escapes are those of RFC 3986
   * section 2.1; in a query a plus is a space.
   */
  readModel(buffer: Uint8Array): string {
    const inQuery = this.modelStart > this.pathEnd;
    if (inQuery && this.#query.isTwice) return "the query names its model twice";
    const bytes = this.modelBytes;
    let length = 0;
    let hash = FNV_BASIS;
    let seen = 0;
    for (let i = this.modelStart; i < this.modelEnd; i++) {
      let byte = buffer[i]!;
      if (byte === PERCENT) {
        const high = i + 2 < this.modelEnd ? hexDigit(buffer[i + 1]!) : -1;
        const low = i + 2 < this.modelEnd ? hexDigit(buffer[i + 2]!) : -1;
        if (high < 0 || low < 0) return "the model in the path has a malformed escape";
        byte = high * 16 + low;
        i += 2;
      } else if (byte === PLUS && inQuery) {
        byte = 32;
      }
      if (byte < 32 || byte === 127) return "model has a control character in it";
      if (length === MODEL_BYTES_MAX) return `model is longer than ${MODEL_BYTES_MAX} bytes`;
      bytes[length++] = byte;
      seen |= byte;
      hash = Math.imul(hash ^ byte, FNV_PRIME);
    }
    this.modelLength = length;
    this.modelHash = hash >>> 0;
    if (length === 0) return "model must not be empty";
    return seen > 127 && !isUtf8(bytes, length) ? "model is not well-formed UTF-8" : "";
  }

  /** Paths that hold a name, and those that nobody knows. */
  #other(buffer: Uint8Array, start: number, end: number, method: number, fixed: FixedPath | undefined): ApiShape {
    const read = method === METHOD.GET || method === METHOD.HEAD;
    const inV1 = begins(buffer, start, end, V1);
    if (inV1) {
      if (begins(buffer, start, end, MODELS_V1)) return this.#inModels(buffer, start + MODELS_V1.length, end, method);
      for (const stored of STORED_BYTES) {
        if (!begins(buffer, start, end, stored)) continue;
        const at = start + stored.length;
        if (at === end ? fixed !== undefined : buffer[at] !== SLASH) continue;
        return read ? STORED_READ : method === METHOD.POST ? STORED_NEW : STORED;
      }
    } else if (begins(buffer, start, end, MODELS_V2)) {
      return this.#kserve(buffer, start + MODELS_V2.length, end, method);
    } else if (begins(buffer, start, end, REPOSITORY)) {
      return this.#repository(buffer, start + REPOSITORY.length, end, method);
    } else if (begins(buffer, start, end, PREDICTIONS)) {
      return this.#torchserve(buffer, start + PREDICTIONS.length, end, TORCHSERVE_PREDICT);
    } else if (begins(buffer, start, end, EXPLANATIONS)) {
      return this.#torchserve(buffer, start + EXPLANATIONS.length, end, TORCHSERVE_EXPLAIN);
    } else if (begins(buffer, start, end, BLOBS)) {
      return OLLAMA_BLOB;
    }
    if (fixed !== undefined) {
      const allowed = METHOD_NAMES.filter(([one]) => fixed.shapes[one] !== undefined);
      return this.#wrongMethod(allowed.map(([, name]) => name).join(", "));
    }
    if (inV1) return read ? UNLISTED_READ : UNLISTED;
    return read ? UNKNOWN_READ : UNKNOWN;
  }

  #wrongMethod(allow: string): ApiShape {
    this.allow = allow;
    return WRONG_METHOD;
  }

  #named(start: number, end: number, shape: ApiShape): ApiShape {
    this.modelStart = start;
    this.modelEnd = end;
    return shape;
  }

  /** `/v1/models/...`: OpenAI's listing, and TensorFlow Serving's calls. */
  #inModels(buffer: Uint8Array, start: number, end: number, method: number): ApiShape {
    const read = method === METHOD.GET || method === METHOD.HEAD;
    const colon = lastOf(buffer, start, end, COLON);
    if (method === METHOD.POST && colon > start) {
      const shape = verbOf(TENSORFLOW_VERBS, METHOD.POST, buffer, colon + 1, end);
      if (shape !== undefined) return this.#named(start, versionCut(buffer, start, colon), shape);
    }
    if (read) {
      const isMetadata = end - start > METADATA.length && begins(buffer, end - METADATA.length, end, METADATA);
      const last = isMetadata ? end - METADATA.length : end;
      const cut = versionCut(buffer, start, last);
      if (isMetadata || cut < last) return this.#named(start, cut, TENSORFLOW_STATUS);
      return this.#named(start, end, OPENAI_MODEL);
    }
    if (method === METHOD.DELETE) return this.#named(start, end, OPENAI_MODEL_DELETE);
    return this.#wrongMethod("GET, HEAD, DELETE");
  }

  #kserve(buffer: Uint8Array, start: number, end: number, method: number): ApiShape {
    const verbsAs = method === METHOD.HEAD ? METHOD.GET : method;
    const slash = lastOf(buffer, start, end, SLASH);
    if (slash > start) {
      const shape = verbOf(KSERVE_VERBS, verbsAs, buffer, slash + 1, end);
      if (shape !== undefined && slash + 1 < end) return this.#named(start, versionCut(buffer, start, slash), shape);
      const other = otherMethod(KSERVE_VERBS, buffer, slash + 1, end);
      if (other !== undefined && slash + 1 < end) return this.#wrongMethod(other);
    }
    // What is behind the last slash is no verb, so it belongs to the name or the version.
    if (verbsAs !== METHOD.GET || start === end) return verbsAs === METHOD.GET ? UNKNOWN_READ : UNKNOWN;
    const metadata = KSERVE_VERBS[METHOD.GET].get("") ?? UNKNOWN_READ;
    return this.#named(start, versionCut(buffer, start, end), metadata);
  }

  #repository(buffer: Uint8Array, start: number, end: number, method: number): ApiShape {
    const slash = lastOf(buffer, start, end, SLASH);
    if (slash <= start) return UNKNOWN;
    const shape = verbOf(REPOSITORY_VERBS, method, buffer, slash + 1, end);
    if (shape !== undefined) return this.#named(start, slash, shape);
    const other = otherMethod(REPOSITORY_VERBS, buffer, slash + 1, end);
    return other === undefined ? UNKNOWN : this.#wrongMethod(other);
  }

  /** `{m}` or `{m}/{version}`; a name with a slash in it must be escaped here, since a version has no mark. */
  #torchserve(buffer: Uint8Array, start: number, end: number, shape: ApiShape): ApiShape {
    let cut = start;
    while (cut < end && buffer[cut] !== SLASH) cut++;
    return cut > start ? this.#named(start, cut, shape) : UNKNOWN;
  }

  #findInQuery(buffer: Uint8Array, end: number): void {
    const query = this.#query;
    query.read(buffer, this.pathEnd + 1, end);
    this.modelStart = query.start;
    this.modelEnd = query.end;
  }
}

function verbOf(verbs: Verbs, method: number, buffer: Uint8Array, start: number, end: number): ApiShape | undefined {
  const known = verbs[method];
  if (known === undefined) return undefined;
  for (const [verb, shape] of known) if (isText(buffer, start, end, verb)) return shape;
  return undefined;
}

/** The method that knows this verb, as an Allow field writes it. */
function otherMethod(verbs: Verbs, buffer: Uint8Array, start: number, end: number): string | undefined {
  return METHOD_NAMES.find(([method]) => verbOf(verbs, method, buffer, start, end) !== undefined)?.[1];
}

/** Where the name ends that `/versions/{v}` or `/labels/{l}` may follow. */
function versionCut(buffer: Uint8Array, start: number, end: number): number {
  const slash = lastOf(buffer, start, end, SLASH);
  if (slash <= start || slash + 1 === end) return end;
  for (const mark of [VERSIONS, LABELS]) {
    const cut = slash + 1 - mark.length;
    if (cut > start && begins(buffer, cut, end, mark)) return cut;
  }
  return end;
}
