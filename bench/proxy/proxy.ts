/**
 * `npm run bench -- proxy [rounds] [seconds]`: CPU per proxied request against nginx and HAProxy, and against the floor.
 *
 * A 1 KB chat completion in, 300 B out, keep-alive everywhere, one worker or thread each. The proxies are pinned to
 * core 0, wrk and the fixed upstream to core 1. Rounds are interleaved (see rounds.ts), each at full load and at one
 * that lets the proxies idle: at full load the faster proxy is given more, so latencies are compared at the other. What
 * is compared is utime + stime over requests. infermesh does more than its peers here: it reads the model in the body,
 * scores, counts in-flight load and writes its histograms. The floor (floor.c) does the wire work and nothing else: no
 * relay over sockets can cost less.
 */
import { report } from "../report.ts";
import {
  compileC,
  cpuSeconds,
  floor,
  freePort,
  haproxy,
  infermesh,
  LOAD_CORE,
  nginx,
  PROXY_CORE,
  rssMb,
  Stage,
} from "./peers.ts";
import { inTurn, rounded, Rounds } from "./rounds.ts";
import { load, writeScript } from "./wrk.ts";
import type { Figures } from "./wrk.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 4);
/** As much as the connections can; and as much as they think, which is the same load for each of the proxies. */
const LOADS = [
  { connections: 32, thinkMs: 0 },
  { connections: 256, thinkMs: 0 },
  { connections: 32, thinkMs: 2 },
  { connections: 256, thinkMs: 20 },
];

interface Round extends Figures {
  readonly cpuUs: number;
}

const stage = new Stage();
try {
  const { folder } = stage;
  const script = writeScript(folder);
  const upstreamPort = freePort();
  await stage.start(LOAD_CORE, [compileC("upstream.c", folder), String(upstreamPort)], "upstream", upstreamPort);
  const peers = stage.installed([
    infermesh(upstreamPort),
    haproxy(folder, upstreamPort),
    nginx(folder, upstreamPort),
    floor(folder, upstreamPort),
  ]);
  const pids = new Map<string, number>();
  for (const peer of peers) {
    const { pid } = await stage.start(PROXY_CORE, peer.command, peer.name, peer.port);
    pids.set(peer.name, pid);
    load(peer.port, 64, 3, script);
  }
  const rounds = new Rounds<Round>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { connections, thinkMs } of LOADS) {
      for (const peer of inTurn(peers, round)) {
        const pid = pids.get(peer.name) ?? 0;
        const before = cpuSeconds(pid);
        const figures = load(peer.port, connections, SECONDS, script, thinkMs);
        const cpuUs = ((cpuSeconds(pid) - before) * 1e6) / figures.requests;
        if (figures.errors > 0) console.log(`${peer.name}: ${figures.errors} errors of ${figures.requests}`);
        const name = `${peer.name}/${connections}/${thinkMs}`;
        rounds.add(name, { ...figures, cpuUs });
        console.log(`round ${round + 1}/${ROUNDS} ${name}: ${cpuUs.toFixed(2)} us a request`);
      }
    }
  }
  const rows = LOADS.flatMap(({ connections, thinkMs }) =>
    peers.map((peer) => {
      const name = `${peer.name}/${connections}/${thinkMs}`;
      const of = (other: string): number | null =>
        rounds.against(name, `${other}/${connections}/${thinkMs}`, ({ cpuUs }) => cpuUs);
      return {
        proxy: peer.name,
        connections,
        thinkMs,
        cpuUsPerRequest: rounded(
          rounds.median(name, ({ cpuUs }) => cpuUs),
          2,
        ),
        ofHaproxy: of("haproxy"),
        ofNginx: of("nginx"),
        ofFloor: of("floor"),
        requestsPerSecond: Math.round(rounds.median(name, ({ requests, us }) => (requests * 1e6) / us)),
        p50Us: rounds.median(name, ({ p50 }) => p50),
        p99Us: rounds.median(name, ({ p99 }) => p99),
        p99OfHaproxy: rounds.against(name, `haproxy/${connections}/${thinkMs}`, ({ p99 }) => p99),
        errors: rounds.sum(name, ({ errors }) => errors),
        rssMb: Math.round(rssMb(pids.get(peer.name) ?? 0)),
      };
    }),
  );
  await report("proxy", { rounds: ROUNDS, secondsPerRound: SECONDS, rows });
} finally {
  await stage.end();
}
