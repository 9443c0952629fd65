/** What is in the executable itself: compression, languages and time zones, ciphers, the clock's work. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import {
  brotliCompressSync,
  brotliDecompressSync,
  crc32,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { type Part, must, mustEqual } from "./part.ts";

const TEXT = Buffer.from("What is said often packs well. ".repeat(4000));
/** "infermesh", as the command zstd packs it. */
const FOREIGN_ZSTD = Buffer.from("28b52ffd0458490000696e6665726d65736884ee9ddc", "hex");
const ZSTD_MAGIC = "28b52ffd";
const WAIT_MS = 20;

function compression(): string {
  const packers = [
    ["gzip", gzipSync, gunzipSync],
    ["brotli", brotliCompressSync, brotliDecompressSync],
    ["zstd", zstdCompressSync, zstdDecompressSync],
  ] as const;
  const sizes = packers.map(([name, pack, unpack]) => {
    const packed = pack(TEXT);
    must(packed.length < TEXT.length / 20, `${name} packs ${TEXT.length} bytes into ${packed.length}`);
    must(unpack(packed).equals(TEXT), `${name} does not give back what it packed`);
    return `${name} ${packed.length}`;
  });
  mustEqual("zstd's first bytes", zstdCompressSync(TEXT).toString("hex", 0, 4), ZSTD_MAGIC);
  mustEqual("a frame of another's zstd", zstdDecompressSync(FOREIGN_ZSTD).toString(), "infermesh");
  mustEqual("the CRC-32 of 123456789", crc32("123456789"), 0xcbf43926);
  return `${TEXT.length} bytes there and back: ${sizes.join(", ")}`;
}

function languages(): string {
  const date = new Date(Date.UTC(2026, 0, 31, 15, 30));
  const shown = (locale: string, dateStyle: "full" | "short", timeZone: string): string =>
    new Intl.DateTimeFormat(locale, { dateStyle, timeStyle: "short", hourCycle: "h23", timeZone }).format(date);
  mustEqual("a date in Tokyo, in German", shown("de-DE", "full", "Asia/Tokyo"), "Sonntag, 1. Februar 2026 um 00:30");
  mustEqual("a date in New York, in English", shown("en-GB", "short", "America/New_York"), "31/01/2026, 10:30");
  mustEqual("a number in German", new Intl.NumberFormat("de-DE").format(1234567.891), "1.234.567,891");
  const words = ["z", "ö", "a"].toSorted(new Intl.Collator("sv").compare);
  mustEqual("Swedish order", words, ["a", "z", "ö"]);
  mustEqual("German order", words.toSorted(new Intl.Collator("de").compare), ["a", "ö", "z"]);
  mustEqual("Turkish capitals", "i".toLocaleUpperCase("tr"), "İ");
  const family = [...new Intl.Segmenter("en").segment("👨‍👩‍👧!")].map(({ segment }) => segment.length);
  mustEqual("the lengths of what is seen as one sign", family, [8, 1]);
  return "dates, time zones, numbers, order, capitals, signs";
}

function ciphers(): string {
  mustEqual(
    "the SHA-256 of abc",
    createHash("sha256").update("abc").digest("hex"),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
  // Case 14 of the GCM specification: a key, a nonce and a text of zeros.
  const [key, nonce] = [Buffer.alloc(32), Buffer.alloc(12)];
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  const sealed = Buffer.concat([cipher.update(Buffer.alloc(16)), cipher.final()]);
  mustEqual("AES-256-GCM of zeros", sealed.toString("hex"), "cea7403d4d606b6e074ec5d3baf39d18");
  mustEqual("its tag", cipher.getAuthTag().toString("hex"), "d0d1c8a799996bf0265b98b5d48ab919");
  const opener = createDecipheriv("aes-256-gcm", key, nonce).setAuthTag(Buffer.alloc(16));
  opener.update(sealed);
  let isRefused = false;
  try {
    opener.final();
  } catch {
    isRefused = true;
  }
  must(isRefused, "a sealed text with a wrong tag is opened");
  must(!randomBytes(32).equals(randomBytes(32)), "random bytes are the same twice");
  return "SHA-256, AES-256-GCM, random bytes";
}

async function timers(): Promise<string> {
  const order: string[] = [];
  const note = (what: string) => (): void => void order.push(what);
  const { promise, resolve } = Promise.withResolvers<void>();
  const startMs = performance.now();
  setTimeout(() => resolve(), WAIT_MS);
  setTimeout(note("timer"), WAIT_MS / 4);
  setImmediate(note("immediate"));
  queueMicrotask(note("microtask"));
  const cancelled = setTimeout(note("cancelled"), 1);
  clearTimeout(cancelled);
  note("now")();
  await promise;
  const tookMs = performance.now() - startMs;
  mustEqual("what came first", order.slice(0, 2), ["now", "microtask"]);
  // A machine that is busy may be late with the one or the other.
  mustEqual("what came next", order.slice(2).toSorted(), ["immediate", "timer"]);
  must(tookMs > WAIT_MS - 2, `${WAIT_MS} ms were over after ${tookMs.toFixed(1)}`);
  let ticks = 0;
  await new Promise<void>((enough) => {
    const interval = setInterval(() => {
      ticks++;
      if (ticks < 3) return;
      clearInterval(interval);
      enough();
    }, 2);
  });
  mustEqual("ticks of an interval", ticks, 3);
  return `microtasks before immediates and timers; ${WAIT_MS} ms take ${tookMs.toFixed(1)}`;
}

export const LANGUAGE_PARTS: readonly Part[] = [
  { name: "timers", run: timers },
  { name: "zstd", run: compression },
  { name: "intl", run: languages },
  { name: "ciphers", run: ciphers },
];
