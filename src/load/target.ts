/** Whom to send to: `http://HOST[:PORT][/PATH]`, https, grpc, grpcs. */

export interface LoadTarget {
  readonly protocol: "http" | "grpc";
  readonly tls: boolean;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** Where the API lies: `/v1`. */
  readonly path: string;
  /** As a request names it. */
  readonly authority: string;
}

export const TARGET_EXPECTED =
  "a URL such as http://127.0.0.1:8080, https://api.example.com/v1 or grpc://10.0.0.7:8033";

const URL_TEXT =
  /^(?<scheme>https?|grpcs?):\/\/(?:\[(?<ipv6>[0-9A-Fa-f:.]{2,45})\]|(?<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?))(?::(?<port>\d{1,5}))?(?<path>\/[!$-.0-;=@-Z_a-z~/%]{0,1000})?$/;

/** undefined: it is none. A query, a fragment and a password have no place in it. */
export function parseTarget(text: string): LoadTarget | undefined {
  const { scheme, ipv6, name = "", port: digits, path = "" } = URL_TEXT.exec(text)?.groups ?? {};
  if (scheme === undefined) return undefined;
  const tls = scheme.endsWith("s");
  const port = digits === undefined ? (tls ? 443 : 80) : Number(digits);
  if (port < 1 || port > 65_535) return undefined;
  const host = ipv6 ?? name;
  const shown = ipv6 === undefined ? host : `[${ipv6}]`;
  const isUsual = port === (tls ? 443 : 80);
  return {
    protocol: scheme.startsWith("grpc") ? "grpc" : "http",
    tls,
    host,
    port,
    path: path.replace(/\/+$/, "") || "/v1",
    authority: isUsual ? shown : `${shown}:${port}`,
  };
}
