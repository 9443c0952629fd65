import { afterEach, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import type { Log } from "../../src/obs/log.ts";
import { encodeCommand, readCommand } from "../../src/policy/command.ts";
import type { Grant, Want } from "../../src/policy/want.ts";
import { LeaseDesk } from "../../src/proxy/lease-desk.ts";
import { until } from "./harness.ts";

const NOTHING = { requests: 0, tokens: 0, concurrency: 0 };

function want(holder: string, quota: string, requests = 1): Want {
  return { holder, quota, ...NOTHING, requests, used: NOTHING, holding: 0 };
}

function grantOf({ holder, quota, requests }: Want): Grant {
  return { holder, quota, ...NOTHING, requests, windowMs: 2000, serial: 1, holders: 1 };
}

const desks: LeaseDesk[] = [];
afterEach(() => {
  for (const desk of desks.splice(0)) desk.stop();
});

function bed() {
  const said: string[] = [];
  const grants: Grant[] = [];
  const say = (message: string): void => void said.push(message);
  const desk = new LeaseDesk({ info: say, warn: say } as unknown as Log, (some) => grants.push(...some));
  desks.push(desk);
  return { desk, grants, said };
}

test("wants of a moment go in one call, the newest of each; the next call takes what came meanwhile", async () => {
  const { desk, grants } = bed();
  const calls: (readonly Want[])[] = [];
  const answers: (() => void)[] = [];
  desk.lender = {
    lease: (wants) => {
      calls.push(wants);
      return new Promise((resolve) => answers.push(() => resolve(wants.map(grantOf))));
    },
  };
  desk.want([want("r/1/1", "a/*"), want("r/1/1", "b/*")]);
  desk.want([want("r/1/2", "a/*"), want("r/1/1", "a/*", 7)]);
  await until(() => calls.length === 1);
  expect(calls[0]).toEqual([want("r/1/1", "a/*", 7), want("r/1/1", "b/*"), want("r/1/2", "a/*")]);
  desk.want([want("r/1/2", "b/*")]);
  desk.want([want("r/1/2", "b/*", 3)]);
  await Bun.sleep(300);
  expect(calls).toHaveLength(1);
  answers[0]!();
  await until(() => calls.length === 2);
  expect(grants.map(({ requests }) => requests)).toEqual([7, 1, 1]);
  expect(calls[1]).toEqual([want("r/1/2", "b/*", 3)]);
  expect(desk.figures).toMatchObject({ answered: 1, failed: 0, grants: 3 });
});

test("a call that fails is said once and not repeated; what is wanted anew is asked anew", async () => {
  const { desk, grants, said } = bed();
  let asked = 0;
  let isDown = true;
  desk.want([want("r/1/1", "a/*")]);
  await Bun.sleep(30);
  desk.lender = {
    lease(wants) {
      asked++;
      return isDown ? Promise.reject(new MeshError("no_quorum", "nobody leads")) : Promise.resolve(wants.map(grantOf));
    },
  };
  // What was wanted before anybody could be asked is asked for now.
  await until(() => desk.figures.failed === 1);
  await Bun.sleep(300);
  expect(asked).toBe(1);
  desk.want([want("r/1/1", "a/*")]);
  await until(() => desk.figures.failed === 2);
  expect(said).toEqual([expect.stringContaining("can't be renewed")]);
  isDown = false;
  desk.want([want("r/1/1", "a/*")]);
  await until(() => grants.length === 1);
  expect(said).toEqual([expect.anything(), expect.stringContaining("renewed again")]);
});

test("wants that are more than one command takes go in several, in their order, and none is left behind", async () => {
  const { desk } = bed();
  const calls: (readonly Want[])[] = [];
  const faults: string[] = [];
  desk.lender = {
    lease(wants) {
      calls.push(wants);
      const read = readCommand(encodeCommand({ op: "lease", key: "k", atMs: 1, wants }));
      if ("bad" in read) faults.push(read.bad);
      return Promise.resolve([]);
    },
  };
  const long = Array.from({ length: 1500 }, (_, n) =>
    want(`r/1/${n}`, `${"\u4e2d".repeat(100)}/${"\u4e2d".repeat(140)}`),
  );
  const short = Array.from({ length: 2100 }, (_, n) => want(`r/1/${n}`, "a/*"));
  desk.want([...long, ...short]);
  await until(() => calls.flat().length === 3600);
  expect(faults).toEqual([]);
  expect(calls.flat().map(({ holder, quota }) => holder + quota)).toEqual(
    [...long, ...short].map(({ holder, quota }) => holder + quota),
  );
});
