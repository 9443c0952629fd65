/**
 * What the membership must reach, in the simulator: failures known to all members, false positives beside slow ones,
 * messages, healing, speed. `npm run bench -- membership [short]`; the long run takes some ten minutes.
 */
import {
  type Anomalies,
  detection,
  type Detection,
  partitionHalf,
  plainRules,
  quantile,
  settled,
  slowMembers,
} from "../../tests/sim/mesh-measure.ts";
import { report } from "../report.ts";

const SHORT = process.argv.includes("short");
const NODES = 1_000;
const CRASHES = SHORT ? 20 : 100;
const SEEDS = SHORT ? [1] : [1, 2];

const seconds = (ms: number): number => Math.round(ms / 10) / 100;
const say = (words: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${words}`);

interface Target {
  readonly [column: string]: string | number | boolean;
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  readonly met: boolean;
}
const targets: Target[] = [];
function must(what: string, target: string, measured: string, met: boolean): void {
  targets.push({ what, target, measured, met });
  say(`${met ? "met" : "MISSED"}: ${what}: ${measured} (${target})`);
}

function join(runs: readonly Detection[]): Detection {
  const sum = (of: (run: Detection) => number): number => runs.reduce((total, run) => total + of(run), 0);
  return {
    firstMs: runs.flatMap((run) => run.firstMs),
    allMs: runs.flatMap((run) => run.allMs),
    packets: sum((run) => run.packets),
    bytes: sum((run) => run.bytes),
    falsePositives: sum((run) => run.falsePositives),
    seconds: sum((run) => run.seconds),
  };
}

function detections(fixedMs: number | undefined): Detection {
  const rules = fixedMs === undefined ? {} : { rules: plainRules(fixedMs) };
  return join(SEEDS.map((seed) => detection({ seed, nodes: NODES, ...rules }, CRASHES, 3_000)));
}

function detectionRow(name: string, run: Detection): Record<string, string | number> {
  return {
    "": name,
    crashes: run.allMs.length,
    "first s p50": seconds(quantile(run.firstMs, 0.5)),
    "all s p50": seconds(quantile(run.allMs, 0.5)),
    "all s p99": seconds(quantile(run.allMs, 0.99)),
    "all s max": seconds(quantile(run.allMs, 1)),
    "packets/s": Math.round(run.packets / run.seconds),
    "bytes/s a node": Math.round(run.bytes / run.seconds / NODES),
  };
}

// Plain SWIM's suspicion lasts as long as ours does with all its confirmations, so that both medians are equal.
const FIXED_MS = 2_100;
say(`${CRASHES * SEEDS.length} crashes among ${NODES}, twice`);
const full = detections(undefined);
const plain = detections(FIXED_MS);
const never = full.allMs.filter((ms) => ms < 0).length;
const p50 = seconds(quantile(full.allMs, 0.5));
const p99 = seconds(quantile(full.allMs, 0.99));
must("failure known to all, p50", "<= 6 s", `${p50} s`, p50 <= 6 && never === 0);
must("failure known to all, p99", "<= 10 s", `${p99} s`, p99 <= 10 && never === 0);
const crashMessages = full.packets / plain.packets;
must("messages beside plain SWIM, crashes", "<= 115 %", `${(100 * crashMessages).toFixed(0)} %`, crashMessages <= 1.15);

// Lifeguard's sweep, cut down: members blocked at their sockets, or wholly.
const SWEEP_NODES = SHORT ? 128 : NODES;
const counts = SHORT ? [1, 8, 32] : [1, 2, 4, 8, 16, 32];
const shapes: readonly Omit<Anomalies, "slow">[] = [
  { stall: "io", blockedMs: 8_000, runningMs: 1_000, lastMs: 40_000 },
  { stall: "io", blockedMs: 16_000, runningMs: 4_000, lastMs: 40_000 },
  { stall: "process", blockedMs: 8_000, runningMs: 1_000, lastMs: 40_000 },
];
const anomalies = [];
const total = { full: 0, plain: 0, fullHealthy: 0, plainHealthy: 0, fullPackets: 0, plainPackets: 0 };
for (const shape of SHORT ? shapes.slice(0, 1) : shapes) {
  for (const slow of counts) {
    const ours = slowMembers({ seed: 5, nodes: SWEEP_NODES }, { ...shape, slow });
    const theirs = slowMembers({ seed: 5, nodes: SWEEP_NODES, rules: plainRules(FIXED_MS) }, { ...shape, slow });
    total.full += ours.all;
    total.plain += theirs.all;
    total.fullHealthy += ours.atHealthy;
    total.plainHealthy += theirs.atHealthy;
    total.fullPackets += ours.packets;
    total.plainPackets += theirs.packets;
    const row = {
      blocked: `${shape.stall} ${shape.blockedMs / 1000} s of ${(shape.blockedMs + shape.runningMs) / 1000} s`,
      slow,
      "false positives": ours.all,
      plain: theirs.all,
      "at healthy": ours.atHealthy,
      "plain at healthy": theirs.atHealthy,
      "messages %": Math.round((100 * ours.packets) / theirs.packets),
    };
    anomalies.push(row);
    say(JSON.stringify(row));
  }
}
const share = (a: number, b: number): number => (b === 0 ? 0 : a / b);
const falseShare = share(total.full, total.plain);
const healthyShare = share(total.fullHealthy, total.plainHealthy);
const percent = (x: number, digits = 2): string => `${(100 * x).toFixed(digits)} %`;
must("false positives beside plain SWIM's, slow members", "<= 2 %", percent(falseShare), falseShare <= 0.02);
must("the same, at healthy members", "<= 2 %", percent(healthyShare), healthyShare <= 0.02);
const slowMessages = share(total.fullPackets, total.plainPackets);
must("messages beside plain SWIM, slow members", "<= 115 %", percent(slowMessages, 0), slowMessages <= 1.15);

say("5 % loss");
const lossy = settled({ seed: 3, nodes: NODES, loss: 0.05 });
let lossFailures = 0;
lossy.onEvent = (_node, { kind }) => {
  if (kind === "failed") lossFailures += 1;
};
lossy.runFor(SHORT ? 30_000 : 120_000);
must("false positives at 5 % loss", "none", String(lossFailures), lossFailures === 0);

say("partition");
const healing = partitionHalf({ seed: 9, nodes: SHORT ? 300 : NODES }, 60_000, 60_000);
const healed = healing.healedMs >= 0 && healing.healedMs <= 30_000;
must("half of the mesh cut off for 60 s is back after", "<= 30 s", `${seconds(healing.healedMs)} s`, healed);

say("speed");
const speeds = [];
for (const nodes of SHORT ? [NODES] : [100, NODES, 5_000]) {
  const world = settled({ seed: 1, nodes });
  const simulatedMs = nodes > NODES ? 10_000 : 60_000;
  const { packets, bytes } = world;
  const start = performance.now();
  world.runFor(simulatedMs);
  const elapsedMs = performance.now() - start;
  speeds.push({
    nodes,
    "times real time": Math.round(simulatedMs / elapsedMs),
    "us a packet": Math.round((10_000 * elapsedMs) / (world.packets - packets)) / 10,
    "bytes/s a node": Math.round(((world.bytes - bytes) * 1000) / simulatedMs / nodes),
    "memory MiB": Math.round(process.memoryUsage.rss() / 2 ** 20),
  });
  if (nodes === NODES) {
    const times = simulatedMs / elapsedMs;
    must("simulated 1,000 idle nodes", ">= 50x real time", `${Math.round(times)}x`, times >= 50);
  }
}

await report("membership", {
  targets,
  detection: [detectionRow("infermesh", full), detectionRow(`plain SWIM, ${FIXED_MS} ms`, plain)],
  anomalies,
  speeds,
});
process.exitCode = targets.every(({ met }) => met) ? 0 : 1;
