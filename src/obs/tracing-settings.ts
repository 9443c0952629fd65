/** What a router's tracing may be told, with the reason for each default. */
import { make, refuse } from "../base/field.ts";
import { map } from "../base/settings-collections.ts";
import { choice, duration, integer, number, section, text } from "../base/settings.ts";
import type { Infer } from "../base/settings.ts";

/** Where OTLP/HTTP takes traces on a server that is given without a path. */
const DEFAULT_PATH = "/v1/traces";
const ENDPOINT = "the URL of an OTLP/HTTP collector, such as http://127.0.0.1:4318; keys belong in tracing.headers";
const HEADER = "text of at most 4096 visible ASCII characters and spaces";

/** Never shows what it was given: it is most often a key. */
const headerValue = make<string>(
  {
    kind: "header",
    placeholder: "VALUE",
    expected: HEADER,
    write: (value) => value,
    read: (raw, at) =>
      typeof raw === "string" && /^[ -~]{0,4096}$/.test(raw) ? raw.trim() : refuse("(hidden)", at, HEADER),
  },
  undefined,
  {},
);

const endpoint = make<string>(
  {
    kind: "url",
    placeholder: "URL",
    expected: ENDPOINT,
    write: (value) => value,
    read: (raw, at) =>
      parseEndpoint(raw) ?? refuse(typeof raw === "string" && raw.includes("@") ? "(hidden)" : raw, at, ENDPOINT),
  },
  "",
  {
    emptyMeans: "no tracing",
    doc: `Where spans are sent, by OTLP over HTTP as JSON; ${DEFAULT_PATH} is added where the URL has no path. Off by default: a recorded request costs about 1 us of its worker's CPU and 10 us of the main thread's.`,
  },
);

const fields = {
  endpoint,
  sample: number({
    default: 1,
    min: 0,
    max: 1,
    doc: "Share of the requests without a usable traceparent that are recorded. Those with one are recorded when it says so. Lower it where there are many requests a second.",
  }),
  headers: map(headerValue, {
    default: {},
    flag: "tracing-header",
    lengthMax: 16,
    secret: true,
    doc: "Header fields for the collector, such as authorization=Bearer KEY. Other users can see a flag, so prefer a file. The flag may be given several times.",
  }),
  service: text({
    default: "infermesh-router",
    lengthMax: 256,
    doc: "The service.name under which the spans are found.",
  }),
  compression: choice(["none", "gzip"], {
    default: "none",
    doc: "How batches are packed on their way. gzip makes them many times smaller; to a collector nearby it costs more than it saves.",
  }),
  timeoutMs: duration({
    default: "10s",
    min: "10ms",
    max: "5m",
    doc: "How long the collector may take to answer a batch.",
  }),
  intervalMs: duration({
    default: "5s",
    min: "10ms",
    max: "5m",
    doc: "How long spans wait at most for their batch to fill.",
  }),
  backoffMs: duration({
    default: "1s",
    min: "1ms",
    max: "1m",
    doc: "First pause before a batch that could not be delivered is sent again; doubled each time. A Retry-After of the collector comes before it.",
  }),
  retriesMax: integer({
    default: 4,
    max: 16,
    doc: "How often a batch is sent again, at the collector's wish or when it can't be reached, before it is given up.",
  }),
  batchSpansMax: integer({
    default: 512,
    min: 1,
    max: 8192,
    doc: "Spans in a batch.",
  }),
  spansMax: integer({
    default: 8192,
    min: 16,
    max: 1_000_000,
    doc: "Spans that may wait for the collector, about 1 KB each; beyond it the oldest are dropped, and counted.",
  }),
  workerSpansMax: integer({
    default: 2048,
    min: 16,
    max: 1_000_000,
    doc: "Spans that may wait in each worker for the main thread to take them; beyond it the oldest are dropped, and counted.",
  }),
};

export const tracingSettings = section(fields, {
  // A batch that finds no room even alone would never be sent.
  check: ({ batchSpansMax, spansMax, workerSpansMax }) =>
    Object.entries({ spansMax, workerSpansMax })
      .filter(([, room]) => room < batchSpansMax)
      .map(([path, found]) => ({ path, found, expected: `at least batchSpansMax, which is ${batchSpansMax}` })),
});

export type TracingConfig = Infer<typeof tracingSettings>;

function parseEndpoint(raw: unknown): string | undefined {
  if (raw === "") return "";
  if (typeof raw !== "string" || raw.length > 2000 || !URL.canParse(raw)) return undefined;
  const url = new URL(raw);
  const isHttp = url.protocol === "http:" || url.protocol === "https:";
  if (!isHttp || url.username !== "" || url.password !== "" || url.hash !== "") return undefined;
  if (url.pathname === "/") url.pathname = DEFAULT_PATH;
  return url.href;
}
