/** The units: right and tight by systemd's own judgement, and narrow enough and wide enough for what they run. */
import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXECUTABLE } from "../process/harness.ts";
import { checker, run } from "./checkers.ts";
import { CHECKOUT } from "./image.ts";

const FOLDER = join(CHECKOUT, "deploy/systemd");
/** The most that `systemd-analyze security` may find, of 10: what it has against sockets and JIT can't be helped. */
const EXPOSURE_MAX = { router: 1.6, agent: 2.2 } as const;
const ROLES = ["router", "agent"] as const;
const analyze = checker("systemd-analyze");
const folder = mkdtempSync(join(tmpdir(), "infermesh-systemd-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const text = (role: string): string => readFileSync(join(FOLDER, `infermesh-${role}.service`), "utf8");

/** The unit with a command that is here, and drop-ins. */
function staged(role: string, change = (of: string): string => of, dropIn = ""): string {
  const at = mkdtempSync(join(folder, "unit-"));
  const unit = join(at, `infermesh-${role}.service`);
  writeFileSync(unit, change(text(role).replaceAll("/usr/local/bin/infermesh", EXECUTABLE)));
  if (dropIn !== "") {
    mkdirSync(`${unit}.d`);
    cpSync(join(FOLDER, dropIn), join(`${unit}.d`, "exec.conf"));
  }
  return unit;
}

describe.each(ROLES)("the %s's unit", (role) => {
  test.skipIf(analyze === null)("is one by systemd-analyze verify", () => {
    const verify = (unit: string) => run([analyze ?? "", "verify", "--man=no", unit]);
    expect(verify(staged(role))).toEqual({ code: 0, out: "", err: "" });
    const wrong = verify(staged(role, (of) => of.replace("WatchdogSec=", "WatchdogSecs=")));
    expect(wrong.err).toContain("'WatchdogSecs' in section");
  });

  test.skipIf(analyze === null)("lets its process do little more than it must", () => {
    const security = (unit: string) =>
      run([analyze ?? "", "security", "--no-pager", "--offline=true", `--threshold=${EXPOSURE_MAX[role] * 10}`, unit]);
    expect(security(staged(role))).toMatchObject({ code: 0 });
    expect(security(staged(role, (of) => of.replace(/^Protect.*$/gm, ""))).code).toBe(1);
  });

  test("runs what the command line knows, with its state where it may write", () => {
    const [, command = ""] = /^ExecStart=\/usr\/local\/bin\/infermesh (.*)$/m.exec(text(role)) ?? [];
    expect(command).toBe(role);
    const [, data = ""] = /^Environment=INFERMESH_DATA_DIR=%S\/(.*)$/m.exec(text(role)) ?? [];
    expect(text(role)).toContain(`\nStateDirectory=${data}\n`);
    expect(text(role)).toMatch(/^Type=notify$/m);
    expect(text(role)).toMatch(/^MemoryDenyWriteExecute=no$/m);
  });
});

test.skipIf(analyze === null)("the agent's unit takes the drop-in for a runtime of its own", () => {
  const unit = staged("agent", undefined, "infermesh-agent-exec.conf");
  expect(run([analyze ?? "", "verify", "--man=no", unit])).toEqual({ code: 0, out: "", err: "" });
});
