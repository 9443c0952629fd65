/** What a data-plane worker may be told, with the reason for each default. */
import { bytes, choice, duration, flag, integer, number, section, text } from "../base/settings.ts";
import type { Infer } from "../base/settings.ts";
import { ARRIVAL_STRATEGIES } from "../score/strategies.ts";

export const proxySettings = section({
  transport: choice(["auto", "bun"], {
    default: "auto",
    doc: "What carries plain connections: auto takes the epoll lane (libc's own calls) where the system has it, for less CPU; bun takes Bun's sockets everywhere.",
  }),
  headTimeoutMs: duration({
    default: "10s",
    min: "100ms",
    max: "10m",
    doc: "How long a client may take to send a request's head. A slower one is answered 408: it holds a connection for nothing.",
  }),
  handshakeTimeoutMs: duration({
    default: "10s",
    min: "100ms",
    max: "10m",
    doc: "How long a client's TLS handshake may take in all before its connection is closed. A slow link needs a few round trips, which take no ten seconds.",
  }),
  bodyTimeoutMs: duration({
    default: "30s",
    min: "100ms",
    max: "1h",
    doc: "Longest pause between two pieces of a request's body before the request is answered 408.",
  }),
  idleTimeoutMs: duration({
    default: "75s",
    min: "1s",
    max: "24h",
    doc: "How long a client's connection may stay open between two requests.",
  }),
  connectTimeoutMs: duration({
    default: "3s",
    min: "50ms",
    max: "1m",
    doc: "How long a connection to a target may take to open before another target is tried.",
  }),
  firstByteTimeoutMs: duration({
    default: "10m",
    min: "100ms",
    max: "24h",
    doc: "How long a target may take to begin its answer. Long, since a plain completion answers only when all of it is generated; then 504.",
  }),
  streamTimeoutMs: duration({
    default: "5m",
    min: "1s",
    max: "24h",
    doc: "Longest pause inside an answer before the stream is ended with an error.",
  }),
  requestTimeoutMs: duration({
    default: "1h",
    min: "1s",
    max: "7d",
    doc: "How long a request may take in all, from its head to the end of its answer. A client may ask for less by x-infermesh-timeout.",
  }),
  tunnelIdleMs: duration({
    default: "1h",
    min: "1s",
    max: "7d",
    doc: "How long a WebSocket, another protocol that a connection was switched to, or a gRPC call whose client has not said all, may be silent on both sides.",
  }),
  upstreamIdleMs: duration({
    default: "4s",
    min: "100ms",
    max: "1h",
    doc: "How long an unused connection to a target is kept. Below the 5 s after which uvicorn (vLLM, SGLang) closes its own, so that a request seldom meets a connection that is closing.",
  }),
  upstreamConnectionsMax: integer({
    default: 1024,
    min: 1,
    max: 65_536,
    doc: "Most connections of one worker to one target.",
  }),
  connectionsMax: integer({
    default: 20_000,
    min: 16,
    max: 1_000_000,
    doc: "Most client connections of one worker, those that are in their TLS handshake included; beyond it new ones are closed at once.",
  }),
  attemptsMax: integer({
    default: 3,
    min: 1,
    max: 8,
    doc: "How many targets a request is sent to at most, while nothing of an answer has come.",
  }),
  replayBytes: bytes({
    default: "256KiB",
    min: "1KiB",
    max: "32MiB",
    doc: "How much of a request is kept so that it can be sent again to another target. A longer one is streamed, and sent once.",
  }),
  bufferBytesMax: bytes({
    default: "256MiB",
    min: "1MiB",
    max: "64GiB",
    doc: "Most memory that one worker's held requests may take together; beyond it requests are answered 429.",
  }),
  ejectForMs: duration({
    default: "2s",
    min: "100ms",
    max: "5m",
    doc: "How long a target that refused or broke a connection is passed over. Short: the mesh, states and polls decide about its health.",
  }),
  http2StreamsMax: integer({
    default: 256,
    min: 1,
    max: 65_536,
    doc: "Most requests that one client's HTTP/2 connection may have open at once.",
  }),
  http2StreamBytes: bytes({
    default: "256KiB",
    min: "64KiB",
    max: "16MiB",
    doc: "How much of one HTTP/2 stream either side may send ahead of what the other side takes: a slow reader holds so much.",
  }),
  http2ConnectionBytes: bytes({
    default: "4MiB",
    min: "64KiB",
    max: "256MiB",
    doc: "The same for all streams of one client's HTTP/2 connection together; targets have it for what is under way.",
  }),
  http2IdleMs: duration({
    default: "1m",
    min: "1s",
    max: "24h",
    doc: "How long an HTTP/2 connection to a target is kept without a request. Longer than HTTP/1.1's, since its end is announced.",
  }),
  http2PingMs: duration({
    default: "20s",
    min: "100ms",
    max: "1h",
    doc: "How long an HTTP/2 connection to a target may be silent under calls before it is asked for a sign of life (PING), which must come within the time to connect. Asked once a silence: servers of gRPC take more for a flood.",
  }),
  http2ResetsMax: integer({
    default: 100,
    min: 4,
    max: 10_000,
    doc: "Most streams of one HTTP/2 connection to a target that may be reset within 30 s, mostly since clients cancel, before new calls go on another one. Servers close a connection for many resets, with all calls on it; the usual one that bears least takes 200 in 30 s, which leaves as many for the calls that are still on it. A client whose calls make up a quarter of that has connections apart.",
  }),
  grpcMessageBytesMax: bytes({
    default: "64MiB",
    min: "1KiB",
    max: "2GiB",
    doc: "Largest gRPC message, either way; a call with a larger one ends with RESOURCE_EXHAUSTED. None is held whole.",
  }),
  watchesMax: integer({
    default: 4096,
    min: 1,
    max: 1_000_000,
    doc: "Most watches (grpc.health.v1) that one worker's clients may have open together; a further one ends with RESOURCE_EXHAUSTED. Clients of gRPC keep one for each connection, and each costs a stream of memory for as long as it lasts.",
  }),
  strategy: text({
    default: "late",
    flag: "strategy",
    lengthMax: 4096,
    placeholder: "NAME|FILE",
    pattern: new RegExp(`^(?:${["late", ...ARRIVAL_STRATEGIES].join("|")}|.*\\.(?:wasm|ts|mts|js|mjs))$`),
    expected: `${["late", ...ARRIVAL_STRATEGIES].join(", ")}, or a file of WebAssembly, TypeScript or JavaScript`,
    doc: "How targets are chosen of models of which no policy `balance` says otherwise. late holds requests while every target is at work, or is ttft where flow.late.enabled is off; docs/strategies.md tells of all, and what a file of one's own must hold.",
  }),
  strategyShadow: text({
    default: "",
    flag: "strategy-shadow",
    lengthMax: 4096,
    placeholder: "FILE",
    pattern: /\.(?:wasm|ts|mts|js|mjs)$/,
    expected: "a file of WebAssembly, TypeScript or JavaScript",
    emptyMeans: "none",
    doc: "A strategy that is asked beside the one that chooses, and whose answers are only compared.",
  }),
  strategyBudgetMs: number({
    default: 1,
    min: 0.01,
    max: 1000,
    doc: "Milliseconds: how long a strategy of one's own may take for a choice; of one that took longer the answer is left aside.",
  }),
  strategyFaultsMax: integer({
    default: 100,
    min: 1,
    max: 1_000_000,
    doc: "After so many faults (it threw, took too long, chose what can't be sent to) a worker asks such a strategy no more.",
  }),
  tokenGapMs: duration({
    default: "50ms",
    min: "1ms",
    max: "1m",
    doc: "Longest time between two tokens that is promised: the strategies slo and cost choose no target that is slower while another one is not.",
  }),
  loadReports: choice(["off", "hear", "ask", "ask-all"], {
    default: "ask",
    doc: "What is done about endpoint-load-metrics (ORCA), in which targets tell of their load with their answers. hear takes it where it comes; ask also asks runtimes that are known to tell it to those who ask (vLLM, Triton), by endpoint-load-metrics-format in a request now and then; ask-all asks every target; off leaves it unread.",
  }),
  loadReportEveryMs: duration({
    default: "200ms",
    min: "100ms",
    max: "1m",
    doc: "One request in so long asks a target for its load, of all that a router sends to it. vLLM gathers all of its metrics for such an answer.",
  }),
  loadReportsPass: flag({
    default: false,
    doc: "Whether clients get endpoint-load-metrics with the answer: it tells how busy a target is.",
  }),
  promptTokensMax: integer({
    default: 131_072,
    min: 1,
    max: 131_072,
    doc: "Most prompt tokens that one request is reckoned with, whatever its length: what a client declares must not make a target look busy for minutes.",
  }),
  bytesPerToken: integer({
    default: 4,
    min: 1,
    max: 64,
    doc: "Bytes of request body that are counted as one prompt token before the target has counted them.",
  }),
  kvTokensPerSecond: integer({
    default: 100_000,
    min: 1,
    max: 1_000_000_000,
    doc: "Tokens of a prompt whose KV cache goes from a prefill to a decode target in a second: what a pair of targets costs more than its halves. Only for models whose targets have roles.",
  }),
});

export type ProxyConfig = Infer<typeof proxySettings>;
