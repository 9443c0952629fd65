/**
 * `npm run bench -- stream [rounds] [seconds] [gap in us]`: what an event stream costs on its way, and how much later it comes.
 *
 * Events of 240 B, one in a chunk, every 4 ms in each stream. CPU per relayed event is measured with 256 streams at
 * once; the delay with 32 and with 200. Every event carries the moment of its writing, on the clock of the machine, and
 * the load generator computes the time to its arrival: what a proxy adds is its quantile minus that of the same load
 * sent straight to the upstream within the same round. The proxies are pinned to core 0, upstream and load (both in C)
 * to core 1. A peer that has errors has not done the work: they are counted in its row. Neither has one whose `pace` is
 * well below 1: its streams came slower than they were meant to, and what it read in one piece it read cheaply.
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
  Stage,
} from "./peers.ts";
import { inTurn, rounded, Rounds } from "./rounds.ts";
import { loadStreams } from "./sse.ts";
import type { StreamFigures } from "./sse.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 4);
const GAP_US = Number(process.argv[4] ?? 4000);
/** Events of one stream: a short answer, so that beginnings and ends of streams count too. */
const EVENTS = 50;
const COST_STREAMS = 256;
const DELAY_STREAMS = [32, 200];
const DIRECT = "direct";

interface Round extends StreamFigures {
  readonly cpuUs: number;
}

const stage = new Stage();
try {
  const { folder } = stage;
  const loader = compileC("sse-load.c", folder);
  const upstreamPort = freePort();
  const upstream = [compileC("sse-upstream.c", folder), String(upstreamPort), String(GAP_US), String(EVENTS)];
  await stage.start(LOAD_CORE, upstream, "upstream", upstreamPort);
  const peers = stage.installed([
    infermesh(upstreamPort, "streams"),
    haproxy(folder, upstreamPort, "streams"),
    nginx(folder, upstreamPort, "streams"),
    floor(folder, upstreamPort),
  ]);
  const pids = new Map<string, number>();
  for (const peer of peers) {
    const { pid } = await stage.start(PROXY_CORE, peer.command, peer.name, peer.port);
    pids.set(peer.name, pid);
    loadStreams(loader, peer.port, 64, 2);
  }
  const ways = [...peers, { name: DIRECT, port: upstreamPort }];
  const rounds = new Rounds<Round>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const streams of [COST_STREAMS, ...DELAY_STREAMS]) {
      for (const { name, port } of inTurn(ways, round)) {
        if (name === DIRECT && streams === COST_STREAMS) continue;
        const pid = pids.get(name);
        const before = pid === undefined ? 0 : cpuSeconds(pid);
        const figures = loadStreams(loader, port, streams, SECONDS);
        const cpuUs = pid === undefined ? 0 : ((cpuSeconds(pid) - before) * 1e6) / figures.chunks;
        rounds.add(`${name}/${streams}`, { ...figures, cpuUs });
        console.log(
          `round ${round + 1}/${ROUNDS} ${name}/${streams}: ${cpuUs.toFixed(2)} us an event, ` +
            `p50 ${figures.p50Us} us, p99 ${figures.p99Us} us, ${figures.errors} errors`,
        );
      }
    }
  }
  const cost = peers.map(({ name }) => {
    const key = `${name}/${COST_STREAMS}`;
    const of = (other: string): number | null => rounds.against(key, `${other}/${COST_STREAMS}`, ({ cpuUs }) => cpuUs);
    return {
      proxy: name,
      streams: COST_STREAMS,
      cpuUsPerEvent: rounded(
        rounds.median(key, ({ cpuUs }) => cpuUs),
        2,
      ),
      ofHaproxy: of("haproxy"),
      ofNginx: of("nginx"),
      ofFloor: of("floor"),
      eventsPerSecond: Math.round(rounds.median(key, ({ chunks, seconds }) => chunks / seconds)),
      pace: rounded(
        rounds.median(key, ({ chunks, seconds }) => (chunks * GAP_US) / (seconds * 1e6 * COST_STREAMS)),
        2,
      ),
      errors: rounds.sum(key, ({ errors }) => errors),
    };
  });
  const minus = (mine: number, theirs: number): number => mine - theirs;
  const delay = DELAY_STREAMS.flatMap((streams) =>
    peers.map(({ name }) => {
      const [key, direct] = [`${name}/${streams}`, `${DIRECT}/${streams}`];
      return {
        proxy: name,
        streams,
        addedP50Us: rounds.against(key, direct, ({ p50Us }) => p50Us, minus),
        addedP99Us: rounds.against(key, direct, ({ p99Us }) => p99Us, minus),
        p50Us: rounded(
          rounds.median(key, ({ p50Us }) => p50Us),
          1,
        ),
        p99Us: rounded(
          rounds.median(key, ({ p99Us }) => p99Us),
          1,
        ),
        directP50Us: rounded(
          rounds.median(direct, ({ p50Us }) => p50Us),
          1,
        ),
        directP99Us: rounded(
          rounds.median(direct, ({ p99Us }) => p99Us),
          1,
        ),
        errors: rounds.sum(key, ({ errors }) => errors),
      };
    }),
  );
  await report("stream", {
    rounds: ROUNDS,
    secondsPerRound: SECONDS,
    gapUs: GAP_US,
    eventsPerStream: EVENTS,
    cost,
    delay,
  });
} finally {
  await stage.end();
}
