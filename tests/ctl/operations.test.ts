/** reload, restart-workers and upgrade, against what a router answers. */
import { afterAll, describe, expect, test } from "bun:test";
import { reloadRouter, restartWorkers, upgradeRouter } from "../../src/ctl/operations.ts";
import type { CtlConfig } from "../../src/ctl/settings.ts";
import type { Terminal } from "../../src/ctl/terminal.ts";
import { CtlBed } from "./ctl-bed.ts";

const change = { path: "proxy.attemptsMax", from: "3", to: "2" };
const pending = { path: "workers", from: "1", to: "\u001b[31m2" };
const refusal = {
  error: { message: "nothing was changed" },
  outcome: "refused",
  faults: ["id: found \u001b[2J", "x: y"],
};

const bed = new CtlBed({
  "/some/reload": () => ({ outcome: "applied", changes: [change], pending: [pending] }),
  "/none/reload": () => ({ outcome: "unchanged", changes: [], pending: [] }),
  "/bad/reload": () => Response.json(refusal, { status: 400 }),
  "/odd/reload": () => ({ ok: true }),
  "/some/workers/restart": () => ({ workers: [{ index: 0 }, { index: 1 }], retiring: 1 }),
  "/none/workers/restart": () => ({ workers: [{ index: 0 }], retiring: 0 }),
  "/bad/workers/restart": () => Response.json({ error: { message: "an earlier restart" } }, { status: 409 }),
  "/odd/workers/restart": () => [],
  "/some/upgrade": () => ({ pid: 42, version: "0.2.0" }),
  "/bad/upgrade": () => Response.json({ error: { message: "the upgrade failed" } }, { status: 409 }),
  "/odd/upgrade": () => ({ pid: "42" }),
});
afterAll(() => bed.stop());

const upgrade = (config: CtlConfig, terminal: Terminal): Promise<number> =>
  upgradeRouter({ ...config, executable: "dist/infermesh" }, terminal);

describe("reload", () => {
  test("shows what changed, and what needs more", async () => {
    const { code, out, err } = await bed.run(reloadRouter, "some");
    expect([code, out]).toEqual([0, "proxy.attemptsMax: 3 -> 2\n"]);
    expect(err).toBe("infermesh ctl reload: these changes need a restart or an upgrade\n  workers: 1 -> ?[31m2\n");
    expect(await bed.run(reloadRouter, "none")).toEqual({ code: 0, out: "nothing was changed\n", err: "" });
    const { out: whole } = await bed.run(reloadRouter, "some", { output: "json" });
    expect(JSON.parse(whole)).toEqual({ outcome: "applied", changes: [change], pending: [pending] });
  });

  test("shows every fault, and fails", async () => {
    const { code, out, err } = await bed.run(reloadRouter, "bad");
    expect([code, out]).toEqual([1, ""]);
    expect(err).toBe(
      "infermesh ctl reload: the new configuration is refused, and nothing was changed\n  id: found ?[2J\n  x: y\n",
    );
  });
});

describe("restart-workers", () => {
  test("says how many are new, and whether old ones are left", async () => {
    const { code, out } = await bed.run(restartWorkers, "some");
    expect([code, out]).toEqual([0, "2 workers are new; 1 of the old ones still finish what they have\n"]);
    expect((await bed.run(restartWorkers, "none")).out).toBe("1 workers are new\n");
    expect(JSON.parse((await bed.run(restartWorkers, "none", { output: "json" })).out)).toMatchObject({ retiring: 0 });
  });

  test("says why not", async () => {
    const { code, err } = await bed.run(restartWorkers, "bad");
    expect(code).toBe(1);
    expect(err).toContain("an earlier restart (status 409)");
  });
});

describe("upgrade", () => {
  test("says who serves now", async () => {
    const { code, out } = await bed.run(upgrade, "some");
    expect([code, out]).toEqual([0, "process 42, version 0.2.0, serves; the old one finishes what it has\n"]);
    expect(Bun.YAML.parse((await bed.run(upgrade, "some", { output: "yaml" })).out)).toMatchObject({ pid: 42 });
  });

  test("says why not", async () => {
    expect(await bed.run(upgrade, "bad")).toMatchObject({ code: 1, out: "" });
  });
});

test("an answer that is not a router's, or from the wrong port, gets words", async () => {
  for (const command of [reloadRouter, restartWorkers, upgrade]) {
    expect((await bed.run(command, "odd")).code).toBe(1);
    const { code, err } = await bed.run(command, "absent");
    expect(code).toBe(1);
    expect(err).toContain("only a router's --api port takes this");
  }
});
