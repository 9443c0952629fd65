/** What `infermesh load` may be told. */
import { type Field, make, refuse } from "../base/field.ts";
import { choice, custom, duration, flag, type Infer, integer, number, section, text } from "../base/settings.ts";
import { type Lengths, parseLengths } from "./lengths.ts";
import { parseRate, type RateSpec } from "./rate.ts";
import { REQUESTS_MAX } from "./tally.ts";

const PATH_CHARACTERS_MAX = 4096;
const HEADERS_MAX = 64;
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})\s*[:=]\s*([ -~]{0,4096})$/;
/** What this client writes itself. */
const OWN_HEADERS = ["host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"];

const RATE_EXPECTED = "requests a second: 50, a ramp such as 10..200, or steps such as 10,50,100";
const LENGTHS_EXPECTED = "a number of tokens: 512, 100..500, or lognormal:MEDIAN:SIGMA such as lognormal:512:0.8";

/** Nothing was said of a rate. */
const NO_RATE: RateSpec = { kind: "steps", rates: [], text: "" };

export interface Header {
  readonly name: string;
  readonly value: string;
}

function lengths(options: { readonly default: string; readonly doc: string }): Field<Lengths> {
  return custom<Lengths>({
    ...options,
    kind: "lengths",
    placeholder: "TOKENS",
    expected: LENGTHS_EXPECTED,
    parse: (raw) => (typeof raw === "string" || typeof raw === "number" ? parseLengths(String(raw)) : undefined),
    write: (value) => value.text,
  });
}

/** Given several times; values may hold keys, and are not shown. */
function headers(doc: string): Field<readonly Header[]> {
  const expected = `at most ${HEADERS_MAX} headers, each NAME: VALUE in visible ASCII, none of ${OWN_HEADERS.join(", ")}`;
  return make<readonly Header[]>(
    {
      kind: "headers",
      placeholder: "NAME:VALUE",
      expected,
      repeatable: true,
      write: (values) => values.map(({ name }) => `${name}: ...`),
      read(raw, at) {
        const items: unknown[] = Array.isArray(raw) ? raw : [raw];
        const found = items.filter((item) => item !== "").map((item) => headerOf(item));
        if (found.length > HEADERS_MAX || found.includes(undefined)) return refuse("a header", at, expected);
        return Object.freeze(found as Header[]);
      },
    },
    [],
    { doc, secret: true },
  );
}

function headerOf(item: unknown): Header | undefined {
  const [, name, value = ""] = typeof item === "string" ? (HEADER.exec(item.trim()) ?? []) : [];
  if (name === undefined || OWN_HEADERS.includes(name.toLowerCase())) return undefined;
  return { name: name.toLowerCase(), value: value.trim() };
}

const file = { placeholder: "FILE", lengthMax: PATH_CHARACTERS_MAX };

export const loadSettings = section({
  model: text({
    default: "",
    placeholder: "NAME",
    emptyMeans: "the only one that the target lists",
    doc: "The model that is asked for.",
  }),
  rate: custom<RateSpec>({
    kind: "rate",
    placeholder: "RATE",
    expected: RATE_EXPECTED,
    default: "",
    emptyMeans: "10, without a trace or a concurrency",
    doc: "Requests a second that are due, whether or not those before were answered: 50; 10..200 goes up in a straight line over the time of --over, and stays there; 10,50,100 are steps that share that time.",
    parse(raw) {
      if (raw === "") return NO_RATE;
      return typeof raw === "string" || typeof raw === "number" ? parseRate(String(raw)) : undefined;
    },
    write: ({ text: written }) => written,
  }),
  overMs: duration({
    default: "0s",
    max: "1d",
    emptyMeans: "all of --duration",
    doc: "How long a ramp takes, and all steps together.",
  }),
  arrivals: choice(["poisson", "even"], {
    default: "poisson",
    doc: "How requests of a rate come: at random, as those of many people do, or evenly spaced.",
  }),
  concurrency: integer({
    default: 0,
    max: 65_536,
    emptyMeans: "none: requests come by a rate or a trace",
    doc: "So many requests at once, each sent as soon as another has ended, in place of a rate. A server that is slow is asked less then, and its latencies look better than its clients would find them.",
  }),
  trace: text({
    ...file,
    default: "",
    doc: "Send what was recorded, at its times: Mooncake's JSON lines, whose shared prefixes become shared text, or the CSV of Azure's LLM inference traces of 2023.",
  }),
  speed: number({ default: 1, min: 0.001, max: 1000, doc: "A trace goes so many times as fast." }),
  promptTokensMax: integer({
    default: 0,
    max: 1_000_000,
    emptyMeans: "as recorded",
    doc: "Longer prompts of a trace are cut.",
  }),
  outputTokensMax: integer({
    default: 0,
    max: 1_000_000,
    emptyMeans: "as recorded",
    doc: "Longer answers of a trace are cut.",
  }),
  promptTokens: lengths({
    default: "256",
    doc: "Tokens of a prompt: 512, 100..500 (uniform), lognormal:512:0.8 (median and sigma). Without a trace.",
  }),
  outputTokens: lengths({
    default: "64",
    doc: "Tokens that an answer may have (max_tokens), written like those of prompts. Without a trace.",
  }),
  durationMs: duration({
    default: "0s",
    max: "1d",
    emptyMeans: "30s; all of a trace",
    doc: "Requests that are due later are not sent. Those under way are waited for.",
  }),
  maxRequests: integer({
    default: 0,
    max: REQUESTS_MAX,
    emptyMeans: "as many as are due",
    doc: "Send no more than so many.",
  }),
  warmupMs: duration({
    default: "0s",
    max: "1h",
    doc: "Requests that are due in this time from the start are sent, and counted in no figure.",
  }),
  timeoutMs: duration({
    default: "60s",
    min: "10ms",
    max: "1h",
    doc: "A request that has not ended so long after it was due has failed.",
  }),
  connections: integer({
    default: 1024,
    min: 1,
    max: 65_536,
    doc: "Connections at once, as far as they are needed; requests that are due beyond them wait, which counts. Over gRPC: calls.",
  }),
  workers: integer({
    default: 1,
    min: 1,
    max: 64,
    doc: "Threads that send. Each has every so-manieth request at the time at which it is due, and its part of the connections: together they send what one alone would.",
  }),
  seed: integer({ default: 1, doc: "Arrivals, lengths and texts follow from it: the same seed asks for the same." }),
  stream: flag({ default: true, doc: "Ask for streams (server-sent events), which tell of each token's time." }),
  api: choice(["chat", "completions"], { default: "chat", doc: "Which of OpenAI's APIs." }),
  grpc: choice(["fmaas", "kserve"], {
    default: "fmaas",
    doc: "By which service grpc:// targets are asked: fmaas.GenerationService (vLLM's adapter, TGIS), or inference.GRPCInferenceService (KServe's protocol, with the tensors of Triton's vLLM backend).",
  }),
  usage: flag({
    default: true,
    doc: "Ask for counts of tokens, which some servers refuse: streams for stream_options, KServe for return_num_*_tokens.",
  }),
  ignoreEos: flag({
    default: false,
    doc: "Ask for answers of exactly the length that was asked for (ignore_eos, known to vLLM, SGLang and others).",
  }),
  header: headers("A header of every request, such as 'x-infermesh-tenant: team-a'; may be given several times."),
  apiKeyFile: text({ ...file, default: "", doc: "A file that holds the API key, which is sent as a bearer token." }),
  apiKeyEnv: text({
    default: "",
    placeholder: "NAME",
    pattern: /^[A-Za-z_][A-Za-z0-9_]{0,127}$/,
    expected: "the name of an environment variable",
    doc: "The environment variable that holds the API key.",
  }),
  tlsCa: text({
    ...file,
    default: "",
    emptyMeans: "those of the system",
    doc: "Authorities whose certificates are trusted, PEM.",
  }),
  tlsVerify: flag({ default: true, doc: "Whether a certificate must be trusted and be for its host." }),
  sloTtftMs: duration({ default: "2s", doc: "A request is good if its first token came so soon after it was due," }),
  sloItlMs: duration({ default: "50ms", doc: "and its tokens at most so far apart on average," }),
  sloEndMs: duration({ default: "0s", emptyMeans: "no such limit", doc: "and its last one so soon." }),
  format: choice(["table", "json", "csv"], {
    default: "table",
    doc: "table is for people, json the whole report, csv a line for each request.",
  }),
  out: text({
    default: "",
    placeholder: "DIR",
    lengthMax: PATH_CHARACTERS_MAX,
    doc: "Also write report.html (for a browser), report.json, requests.csv and requests.jsonl into this folder, which is made if it is not there.",
  }),
});
export type LoadConfig = Infer<typeof loadSettings>;

/** What two settings say that can't both hold, with what to do; "": all is well. */
export function loadContradiction(config: LoadConfig): string {
  const ways = [
    config.rate.rates.length > 0 && "--rate",
    config.concurrency > 0 && "--concurrency",
    config.trace !== "" && "--trace",
  ];
  const given = ways.filter((way) => way !== false);
  if (given.length > 1) return `${given.join(" and ")} each say when requests come; give one of them`;
  if (config.apiKeyFile !== "" && config.apiKeyEnv !== "")
    return "--api-key-file and --api-key-env both name the API key; give one";
  if (config.overMs > 0 && config.rate.rates.length < 2) {
    return "--over says how long a ramp or steps take; give a --rate such as 10..200";
  }
  const { workers, concurrency, connections } = config;
  if (workers > connections) return `--workers ${workers} need a connection each; give more --connections, or fewer`;
  if (concurrency > 0 && workers > concurrency)
    return `--workers ${workers} need a request each; give a higher --concurrency, or fewer`;
  const durationMs = durationOf(config);
  if (config.warmupMs > 0 && config.warmupMs >= durationMs)
    return "--warmup takes all of --duration; nothing would be counted";
  return "";
}

/** Infinity: as long as there are requests. */
export function durationOf({ durationMs, trace, maxRequests }: LoadConfig): number {
  if (durationMs > 0) return durationMs;
  return trace !== "" || maxRequests > 0 ? Number.POSITIVE_INFINITY : 30_000;
}
