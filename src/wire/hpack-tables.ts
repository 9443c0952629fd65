/**
 * The two tables of HPACK: the static table (RFC 7541 Appendix A) and the Huffman code (Appendix B).
 *
 * The code is canonical: codes of one length follow each other in the order of their symbols, and each length begins
 * where the one before it ended. The lengths therefore say everything, and are all that is written down here.
 */

/** Entry i of the static table is STATIC_ENTRIES[i - 1]. */
export const STATIC_ENTRIES: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  ...["200", "204", "206", "304", "400", "404", "500"].map((status) => [":status", status] as const),
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ...(
    "accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control " +
    "content-disposition content-encoding content-language content-length content-location content-range " +
    "content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range " +
    "if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range " +
    "referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary " +
    "via www-authenticate"
  )
    .split(" ")
    .map((name) => [name, ""] as const),
];

/** Bits of each symbol's code: the 256 bytes, then the end of string. */
const CODE_BITS = (
  "13,23,28,28,28,28,28,28,28,24,30,28,28,30,28,28,28,28,28,28,28,28,30,28,28,28,28,28,28,28,28,28," +
  "6,10,10,12,13,6,8,11,10,10,8,11,8,6,6,6,5,5,5,6,6,6,6,6,6,6,7,8,15,6,12,10," +
  "13,6,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,8,7,8,13,19,13,14,6," +
  "15,5,6,5,6,5,6,6,6,5,7,7,6,6,6,5,6,7,6,5,5,6,7,7,7,7,7,15,11,14,13,28," +
  "20,22,20,20,22,22,22,23,22,23,23,23,23,23,24,23,24,24,22,23,24,23,23,23,23,21,22,23,22,23,23,24," +
  "22,21,20,22,22,23,23,21,23,22,22,24,21,22,23,23,21,21,22,21,23,22,23,23,20,22,22,22,23,22,22,23," +
  "26,26,20,19,22,23,22,25,26,26,26,27,27,26,24,25,19,21,26,27,27,26,27,24,21,21,26,26,28,27,27,27," +
  "20,24,20,21,22,21,21,23,22,22,25,25,24,24,26,23,26,27,26,26,27,27,27,27,27,28,27,27,27,27,27,26,30"
)
  .split(",")
  .map(Number);

/** The symbol that ends no string: in one, it is an error (RFC 7541 section 5.2). */
export const END_OF_STRING = 256;

/** The code of each symbol, as its bits and their number. */
export const HUFFMAN_CODES: readonly { readonly code: number; readonly bits: number }[] = canonical(CODE_BITS);

function canonical(lengths: readonly number[]): { code: number; bits: number }[] {
  const codes = lengths.map((bits) => ({ code: 0, bits }));
  let next = 0;
  let width = 0;
  for (const entry of codes.toSorted((a, b) => a.bits - b.bits)) {
    next *= 2 ** (entry.bits - width);
    width = entry.bits;
    entry.code = next++;
  }
  return codes;
}
