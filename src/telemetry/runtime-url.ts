/** Where one of a runtime's ports is: `http://HOST[:PORT][/BASE]`, by https, or `unix:/PATH`; gRPC by grpc and grpcs. */
import { formatAddress, parseAddress } from "../base/units.ts";

export interface RuntimeUrl {
  readonly protocol: "http" | "grpc";
  /** Without brackets; the path of a unix socket, which begins with a slash. */
  readonly host: string;
  /** 0 of a unix socket. */
  readonly port: number;
  readonly tls: boolean;
  /** What stands in front of each path; "" or "/BASE". */
  readonly base: string;
}

const SCHEMES: Readonly<Record<string, Pick<RuntimeUrl, "protocol" | "tls">>> = {
  "http:": { protocol: "http", tls: false },
  "https:": { protocol: "http", tls: true },
  "grpc:": { protocol: "grpc", tls: false },
  "grpcs:": { protocol: "grpc", tls: true },
};
/** What fits a `sockaddr_un` with its end. */
const UNIX = /^unix:(\/[^\s,]{1,106})$/;
/** Nothing that ends a request's line or begins another part of the address. */
const BASE = /^(\/[A-Za-z0-9._~!$&'()*+;=:@%-]+)*$/;

export const URL_EXPECTED = "http://HOST:PORT, by https too, or unix:/PATH";

/** Undefined for what is none, such as one with a user, a query or a fragment, which would be lost. */
export function parseRuntimeUrl(written: string): RuntimeUrl | undefined {
  const path = UNIX.exec(written)?.[1];
  if (path !== undefined) return { protocol: "http", host: path, port: 0, tls: false, base: "" };
  if (written.length > 500 || /[\s,]/.test(written)) return undefined;
  const [, scheme = "", rest = ""] = /^([a-z]+:)\/\/(.+)$/.exec(written) ?? [];
  const speaks = SCHEMES[scheme];
  // Any scheme of URL's own: others keep no port and no host apart.
  const asHttp = `${speaks?.tls === true ? "https" : "http"}://${rest}`;
  if (speaks === undefined || !URL.canParse(asHttp)) return undefined;
  const { hostname, port, pathname, username, password, search, hash } = new URL(asHttp);
  const base = pathname.replace(/\/+$/, "");
  if (username !== "" || password !== "" || search !== "" || hash !== "" || !BASE.test(base)) return undefined;
  // 80 and 443 are nobody's for gRPC.
  if (speaks.protocol === "grpc" && (port === "" || base !== "")) return undefined;
  const place = parseAddress(`${hostname}:${port === "" ? (speaks.tls ? 443 : 80) : port}`);
  if (place === undefined || place.host === "" || place.port === 0) return undefined;
  return { ...speaks, ...place, base };
}

export function formatRuntimeUrl({ protocol, host, port, tls, base }: RuntimeUrl): string {
  return host.startsWith("/")
    ? `unix:${host}`
    : `${protocol}${tls ? "s" : ""}://${formatAddress({ host, port })}${base}`;
}
