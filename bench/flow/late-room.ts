/**
 * `npm run bench -- late-room`: what it costs to bind one request of 1,000 that wait for 1,024 targets, each with eight
 * homes: nearly all targets at work, one of them about to be free again and again. The quantiles are of the binding alone;
 * the CPU time is that of all threads, for the request that comes in the place of each that is bound, too.
 */
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { LateRoom, type LateWaiter } from "../../src/flow/late-room.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import { type Computing, TargetPace } from "../../src/flow/target-pace.ts";
import { report } from "../report.ts";

const HOMES = 8;
const BINDINGS = 5_000;
const WARM = 1_000;
const MS_PER_TOKEN = 0.03;

function measure(targets: number, waiters: number): Record<string, number> {
  const prng = new Prng(1);
  const paces = Array.from({ length: targets }, () => new TargetPace(MS_PER_TOKEN));
  const active = Float64Array.from({ length: targets }, () => prng.int(30));
  const view = {
    count: targets,
    pace: (target: number) => paces[target]!,
    hasRoom: () => true,
    active: (target: number) => active[target]!,
    othersTokens: () => 1000,
    othersMs: () => 0,
    networkMs: () => 0.5,
  };
  const homesOf = ({ promptTokens }: LateWaiter) =>
    Array.from({ length: HOMES }, () => ({ target: prng.int(targets), tokens: prng.int(promptTokens) }));
  const room = new LateRoom<LateWaiter>(defaultsOf(lateSettings), view, homesOf);
  const work: Computing[] = [];
  let nowMs = 0;
  const occupy = (target: number, tokens: number): void => {
    work[target] = { tokens, sentMs: nowMs };
    paces[target]!.sent(work[target]);
  };
  const ask = (): void => {
    const promptTokens = Math.ceil(prng.exponential(8000));
    const wanted = { priority: 1, wantedMs: Infinity, homes: [], homesMs: 0, leastTokens: 0, slackMs: 0 };
    room.offer({ promptTokens, cameMs: nowMs, ...wanted }, nowMs);
  };
  for (let target = 0; target < targets; target += 1) occupy(target, 1e9);
  for (let waiter = 0; waiter < waiters; waiter += 1) ask();
  const tookUs: number[] = [];
  let before = process.cpuUsage();
  for (let binding = 0; binding < BINDINGS + WARM; binding += 1) {
    nowMs += 1;
    if (binding === WARM) before = process.cpuUsage();
    const free = prng.int(targets);
    paces[free]!.dropped(work[free]!, nowMs);
    const began = Bun.nanoseconds();
    const bound = room.next(nowMs);
    const us = (Bun.nanoseconds() - began) / 1000;
    if (bound === null) throw new Error("an open target takes somebody");
    if (binding >= WARM) tookUs.push(us);
    occupy(free, 1e9);
    ask();
  }
  const { user, system } = process.cpuUsage(before);
  tookUs.sort((a, b) => a - b);
  const at = (share: number): number => rounded(tookUs[Math.floor(share * tookUs.length)]!);
  return { targets, waiters, "p50 us": at(0.5), "p90 us": at(0.9), "CPU us": rounded((user + system) / BINDINGS) };
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

await report("late-room", { binding: [measure(8, 100), measure(64, 1000), measure(1024, 1000), measure(1024, 10)] });
