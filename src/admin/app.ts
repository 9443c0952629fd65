/** What both admin APIs share: JSON errors, methods, bodies, and the choice of a format. */
import { isIP } from "node:net";
import { Hono, type Context } from "hono";
import { MeshError, openAiBody } from "../base/errors.ts";
import type { ByteBudget } from "./byte-budget.ts";

export const JSON_TYPE = "application/json";
export const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
export const PROTOBUF_TYPE = "application/x-protobuf; proto=infermesh.state.v1.NodeState";

const PROTOBUF_MESSAGE = "infermesh.state.v1.NodeState";
const REALM = /^(https?):\/\//i;

/** What an app may know of the port that a request came to. */
export interface PortEnv {
  /** As the operator configured it; "" for every address. */
  readonly hostname: string;
  /** The client's IP address; "" when it is gone. */
  readonly remoteAddress: string;
  /** What the port holds of requests. */
  readonly budget: ByteBudget;
  /** The longest body that the request's path takes. */
  readonly bodyBytesMax: number;
  /** The answer may begin before the request's body has ended: HTTP/2. */
  readonly isDuplex: boolean;
}

/** An app whose errors are JSON; `onError` gets what was not the client's fault. */
export function newApp(onError: (error: unknown, request: string) => void): Hono {
  const app = new Hono();
  app.notFound((c) => errorJson(c, new MeshError("not_found", `there is nothing at ${c.req.path}`)));
  app.onError((thrown, c) => {
    if (thrown instanceof MeshError && thrown.status < 500) return errorJson(c, thrown);
    onError(thrown, `${c.req.method} ${c.req.path}`);
    if (thrown instanceof MeshError && thrown.code !== "internal") return errorJson(c, thrown);
    return errorJson(c, new MeshError("internal", "internal error"));
  });
  // A page in some browser must not change a node through its user: browsers name the page's origin.
  app.use(async (c, next) => {
    const origin = c.req.header("origin");
    const safe = c.req.method === "GET" || c.req.method === "HEAD" || c.req.method === "OPTIONS";
    if (!safe && origin !== undefined) {
      const own = (c.env as PortEnv | undefined)?.hostname ?? "";
      if (isForeignPage(origin, c.req.header("host") ?? "", own)) {
        throw new MeshError(
          "bad_request",
          "requests of web pages from other origins may not change anything; pages of this one are asked for by IP address, or by the name that --api gives",
        );
      }
    }
    await next();
  });
  return app;
}

/** Whether a request comes from a page that is not this port's own; `configured` is the host that the port was given. */
export function isForeignPage(origin: string, host: string, configured: string): boolean {
  return origin.replace(REALM, "") !== host || !isOwnHost(host, configured);
}

/**
 * Whether a Host header can't be another site's name. Whoever owns a name can have it resolve to this machine, and then
 * a page from there has the origin of this port: only addresses, and the name that the operator gave, are beyond that.
 */
function isOwnHost(host: string, configured: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { hostname } = new URL(`http://${host}`);
  const name = hostname.replace(/^\[(.*)\]$/, "$1");
  return isIP(name) !== 0 || name === "localhost" || (configured !== "" && name === configured.toLowerCase());
}

/** Answers every other method on these paths by 405; call it after the routes are set. */
export function allowOnly(app: Hono, methods: Readonly<Record<string, string>>): void {
  for (const [path, allow] of Object.entries(methods)) {
    app.all(path, (c) => {
      c.header("allow", allow);
      return errorJson(c, new MeshError("method_not_allowed", `${c.req.path} takes ${allow}`));
    });
  }
}

export function errorJson(c: Context, error: MeshError): Response {
  return c.body(openAiBody(error), error.status as 400, { "content-type": JSON_TYPE });
}

/** The JSON body of a request; throws `bad_json` when it is not JSON. */
export async function jsonBody(c: Context): Promise<unknown> {
  const text = await c.req.text();
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const why = text === "" ? "it is empty" : (error as Error).message;
    throw new MeshError("bad_json", `the body is not JSON: ${why}`);
  }
}

export type Format = "json" | "text" | "protobuf";

const FORMAT_NAMES: Readonly<Record<string, Format>> = {
  json: "json",
  text: "text",
  prometheus: "text",
  protobuf: "protobuf",
};

/** The format that a request asks for among those offered: `?format=` first, else the Accept header, else JSON. */
export function wantedFormat(c: Context, offered: readonly Format[]): Format {
  const named = c.req.query("format");
  if (named === undefined) return acceptedFormat(c.req.header("accept") ?? "", offered);
  const format = Object.hasOwn(FORMAT_NAMES, named) ? FORMAT_NAMES[named] : undefined;
  if (format === undefined || !offered.includes(format)) {
    const names = Object.keys(FORMAT_NAMES).filter((name) => offered.includes(FORMAT_NAMES[name]!));
    const message = `format is ${JSON.stringify(named.slice(0, 40))}; expected one of ${names.join(", ")}`;
    throw new MeshError("bad_request", message, { param: "format" });
  }
  return format;
}

/**
 * Picks by an Accept header (RFC 9110, 12.5.1): the highest q wins; among equals a named type beats a wildcard, then
 * the one named first, then JSON. What fits nothing gets JSON, since an answer serves better than a 406.
 */
export function acceptedFormat(accept: string, offered: readonly Format[]): Format {
  let best: { format: Format; q: number; specificity: number; place: number } | null = null;
  const ranges = accept.split(",").slice(0, 64).map(parseRange);
  for (const format of offered) {
    // The most specific range that covers a format tells its q.
    let match: { q: number; specificity: number; place: number } | null = null;
    ranges.forEach(({ type, proto, q }, place) => {
      const specificity = covers(format, type, proto);
      if (specificity > (match?.specificity ?? 0)) match = { q, specificity, place };
      else if (match !== null && specificity === match.specificity && specificity > 0 && q > match.q) {
        match = { q, specificity, place };
      }
    });
    match = match as { q: number; specificity: number; place: number } | null;
    if (match === null || match.q <= 0) continue;
    const better =
      best === null ||
      match.q > best.q ||
      (match.q === best.q && match.specificity > best.specificity) ||
      (match.q === best.q && match.specificity === best.specificity && match.place < best.place);
    if (better) best = { format, ...match };
  }
  return best?.format ?? "json";
}

/** 0: not covered; 1: by a full wildcard; 2: by type; 3: by name. */
function covers(format: Format, type: string, proto: string): number {
  if (type === "*/*") return 1;
  switch (format) {
    case "json":
      return type === "application/json" ? 3 : type === "application/*" ? 2 : 0;
    case "text":
      return type === "text/plain" || type === "application/openmetrics-text" ? 3 : type === "text/*" ? 2 : 0;
    case "protobuf": {
      // Prometheus asks for protobuf too, but for a message of its own.
      const named = /^application\/(x-|vnd\.google\.)?protobuf$/.test(type);
      return named && (proto === "" || proto === PROTOBUF_MESSAGE) ? 3 : 0;
    }
  }
}

function parseRange(range: string): { type: string; proto: string; q: number } {
  const [type = "", ...parameters] = range.split(";").map((part) => part.trim());
  let q = 1;
  let proto = "";
  for (const parameter of parameters) {
    const [name = "", value = ""] = parameter.split("=", 2).map((part) => part.trim());
    if (name.toLowerCase() === "q") q = /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(value) ? Number(value) : 0;
    if (name.toLowerCase() === "proto") proto = value.replaceAll('"', "");
  }
  return { type: type.toLowerCase(), proto, q };
}
