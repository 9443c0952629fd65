/**
 * `npm run bench -- grpc [rounds] [seconds] [proxy,...]`: CPU per gRPC call over h2c, against HAProxy and nginx.
 *
 * Unary calls by h2load, answered by nghttpd with `grpc-status: 0` in its trailers: HTTP/2 on both sides of each proxy.
 * 4 connections with 32 streams each, and 32 connections with one, each with one path and with 500 (the method and what
 * a client's library puts beside it rarely vary; request ids do, and no header compression can remember 500). The
 * proxies are pinned to core 0, h2load and nghttpd to core 1; rounds are interleaved (see rounds.ts). infermesh routes by
 * its `x-infermesh-model` header, which all peers are sent. The third argument names the proxies that take part.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { report } from "../report.ts";
import {
  cpuSeconds,
  freePort,
  haproxy,
  infermesh,
  LOAD_CORE,
  MODEL,
  nginx,
  PROXY_CORE,
  rssMb,
  Stage,
} from "./peers.ts";
import { inTurn, rounded, Rounds } from "./rounds.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 4);
const CHOSEN = process.argv[4]?.split(",");
const SHAPES = [
  { connections: 4, streams: 32 },
  { connections: 32, streams: 1 },
] as const;
const PATHS = [1, 500] as const;
const SERVICE = "t.Echo";
/** A message of 64 bytes behind gRPC's prefix: no compression, the length. */
const MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 0, 64]), Buffer.alloc(64, "m")]);
/** What a call carries besides its path. */
const HEADERS = [
  "content-type: application/grpc",
  "te: trailers",
  `x-infermesh-model: ${MODEL}`,
  "authorization: Bearer sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
].flatMap((field) => ["--header", field]);
const NEEDED = ["h2load", "nghttp", "nghttpd"];

interface Round {
  readonly calls: number;
  readonly failed: number;
  readonly meanUs: number;
  readonly cpuUs: number;
}

const UNITS: Readonly<Record<string, number>> = { us: 1, ms: 1000, s: 1_000_000 };

function micros(text: string): number {
  const [, value, unit] = /^([\d.]+)(us|ms|s)$/.exec(text) ?? [];
  return Number(value) * (UNITS[unit ?? ""] ?? Number.NaN);
}

/** One load; what h2load says of it. */
function load(port: number, shape: (typeof SHAPES)[number], files: LoadFiles, paths: number): Omit<Round, "cpuUs"> {
  const done = Bun.spawnSync([
    "taskset",
    "-c",
    String(LOAD_CORE),
    "h2load",
    "--duration",
    String(SECONDS),
    "--clients",
    String(shape.connections),
    "--max-concurrent-streams",
    String(shape.streams),
    "--data",
    files.body,
    ...HEADERS,
    "--base-uri",
    `http://127.0.0.1:${port}`,
    "--input-file",
    paths === 1 ? files.onePath : files.allPaths,
  ]);
  const said = done.stdout.toString();
  const counts = /requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored/.exec(
    said,
  );
  const times = /time for request:\s+\S+\s+\S+\s+(\S+)/.exec(said);
  if (counts === null || times === null) throw new Error(`h2load printed no figures: ${said}${done.stderr.toString()}`);
  const [finished, good, failed] = [Number(counts[1]), Number(counts[2]), Number(counts[3])];
  // Calls that the end of the run cuts off are in none of these.
  return { calls: good, failed: Math.max(failed, finished - good), meanUs: micros(times[1] ?? "") };
}

/** A call that succeeds ends with its status in the trailers: a proxy that loses them relays no gRPC. */
function checkTrailers(port: number, name: string, files: LoadFiles): void {
  const url = `http://127.0.0.1:${port}/${SERVICE}/Unary0`;
  const done = Bun.spawnSync(["nghttp", "--verbose", "--null-out", ...HEADERS, "--data", files.body, url]);
  const said = done.stdout.toString();
  if (!/:status: 200/.test(said) || !/grpc-status: 0/.test(said)) throw new Error(`${name} answers no call: ${said}`);
}

interface LoadFiles {
  readonly documents: string;
  readonly body: string;
  readonly onePath: string;
  readonly allPaths: string;
}

/** nghttpd's documents, one for each path, and h2load's input. */
function writeFiles(folder: string): LoadFiles {
  const documents = join(folder, "documents");
  mkdirSync(join(documents, SERVICE), { recursive: true });
  const paths = Array.from({ length: PATHS[1] }, (_, i) => `/${SERVICE}/Unary${i}`);
  for (const path of paths) writeFileSync(join(documents, path), MESSAGE);
  const files = {
    documents,
    body: join(folder, "body"),
    onePath: join(folder, "one-path"),
    allPaths: join(folder, "all-paths"),
  };
  writeFileSync(files.body, MESSAGE);
  writeFileSync(files.onePath, `${paths[0] ?? ""}\n`);
  writeFileSync(files.allPaths, `${paths.join("\n")}\n`);
  return files;
}

const absent = NEEDED.filter((program) => Bun.which(program) === null);
if (absent.length > 0) throw new Error(`${absent.join(" and ")} not installed: see scripts/install-peers.sh`);

const stage = new Stage();
try {
  const { folder } = stage;
  const files = writeFiles(folder);
  const upstreamPort = freePort();
  const upstream = ["nghttpd", "--no-tls", "--address", "127.0.0.1", "--htdocs", files.documents, "--workers", "1"];
  const trailers = ["--trailer", "grpc-status: 0", "--max-concurrent-streams", "1000", String(upstreamPort)];
  await stage.start(LOAD_CORE, [...upstream, ...trailers], "nghttpd", upstreamPort);
  const peers = stage
    .installed([infermesh(upstreamPort, "h2"), haproxy(folder, upstreamPort, "h2"), nginx(folder, upstreamPort, "h2")])
    .filter(({ name }) => CHOSEN?.includes(name) ?? true);
  const pids = new Map<string, number>();
  for (const peer of peers) {
    const { pid } = await stage.start(PROXY_CORE, peer.command, peer.name, peer.port);
    pids.set(peer.name, pid);
    checkTrailers(peer.port, peer.name, files);
    load(peer.port, SHAPES[0], files, PATHS[1]);
  }
  const rounds = new Rounds<Round>();
  const kinds = SHAPES.flatMap((shape) => PATHS.map((paths) => ({ shape, paths, key: keyOf(shape, paths) })));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { shape, paths, key } of kinds) {
      for (const peer of inTurn(peers, round)) {
        const pid = pids.get(peer.name) ?? 0;
        const before = cpuSeconds(pid);
        const figures = load(peer.port, shape, files, paths);
        const cpuUs = ((cpuSeconds(pid) - before) * 1e6) / figures.calls;
        rounds.add(`${peer.name}/${key}`, { ...figures, cpuUs });
        console.log(
          `round ${round + 1}/${ROUNDS} ${peer.name}/${key}: ${cpuUs.toFixed(2)} us a call, ${figures.failed} failed`,
        );
      }
    }
  }
  const rows = kinds.flatMap(({ shape, paths, key }) =>
    peers.map((peer) => {
      const name = `${peer.name}/${key}`;
      return {
        proxy: peer.name,
        connections: shape.connections,
        streams: shape.streams,
        paths,
        cpuUsPerCall: rounded(
          rounds.median(name, ({ cpuUs }) => cpuUs),
          2,
        ),
        ofHaproxy: rounds.against(name, `haproxy/${key}`, ({ cpuUs }) => cpuUs),
        ofNginx: rounds.against(name, `nginx/${key}`, ({ cpuUs }) => cpuUs),
        callsPerSecond: Math.round(rounds.median(name, ({ calls }) => calls / SECONDS)),
        meanUs: rounded(
          rounds.median(name, ({ meanUs }) => meanUs),
          1,
        ),
        failed: rounds.sum(name, ({ failed }) => failed),
        rssMb: Math.round(rssMb(pids.get(peer.name) ?? 0)),
      };
    }),
  );
  await report("grpc", { rounds: ROUNDS, secondsPerRound: SECONDS, rows });
} finally {
  await stage.end();
}

function keyOf({ connections, streams }: (typeof SHAPES)[number], paths: number): string {
  return `${connections}x${streams}/${paths === 1 ? "one path" : `${paths} paths`}`;
}
