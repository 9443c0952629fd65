/**
 * Which fields no trailer section may have: those of framing, routing, authentication, content and the client's hop
 * (RFC 9110 section 6.5.1), what tells of the client's address, and what clients ask of this router. Whoever merges
 * trailers into the head would see another message than the one that was routed.
 *
 * Names are known by the FNV-1a of their lower case, an underscore being a dash: servers that turn names into variables
 * (CGI, WSGI) can't tell the two. Another name of the same hash is refused in vain, which is harmless and one in 10^8.
 */
import { FORWARDING_NAMES } from "./forwarded.ts";
import { ascii, DASH, FNV_BASIS, FNV_PRIME } from "./octets.ts";

const UNDERSCORE = 95;

/** The hash of a name that goes on with this byte; it begins with FNV_BASIS. */
export function trailerHash(hash: number, byte: number): number {
  return Math.imul(hash ^ (byte === UNDERSCORE ? DASH : byte | 32), FNV_PRIME);
}

/** Whether no trailer may have the name of this hash. */
export function isForbiddenHash(hash: number): boolean {
  return FORBIDDEN.has(hash);
}

/** Whether no trailer may be called so. */
export function isForbiddenTrailer(name: Uint8Array): boolean {
  return FORBIDDEN.has(hashOf(name));
}

function hashOf(name: Uint8Array): number {
  let hash = FNV_BASIS;
  for (const byte of name) hash = trailerHash(hash, byte);
  return hash;
}

const FORBIDDEN: ReadonlySet<number> = new Set(
  [
    ...FORWARDING_NAMES,
    ...["model", "node", "priority", "slo", "retry", "timeout", "tenant"].map((what) => `x-infermesh-${what}`),
    ..."authorization cache-control connection content-encoding content-length content-range content-type".split(" "),
    ..."cookie expect host http2-settings if-match if-none-match keep-alive max-forwards proxy-authenticate".split(" "),
    ..."proxy-authorization proxy-connection range set-cookie te trailer transfer-encoding upgrade via".split(" "),
    "www-authenticate",
  ].map((name) => hashOf(ascii(name))),
);
