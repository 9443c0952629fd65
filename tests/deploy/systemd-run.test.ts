/** The units under a real systemd, with all that they forbid: start, reload, upgrade, a hang, a crash, the end. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../process/harness.ts";
import { CHECKOUT } from "./image.ts";
import { SystemdBox, systemdFault } from "./systemd-box.ts";

const [ROUTER, AGENT] = ["infermesh-router.service", "infermesh-agent.service"];
const executable = join(CHECKOUT, `dist/infermesh-linux-${process.arch}`);
const fault = (existsSync(executable) ? "" : `${executable} is missing: run npm run build:static`) || systemdFault();
if (fault !== "") console.log(`left out: ${fault}`);
const START_MS = 40_000;

describe.skipIf(fault !== "")("under systemd", () => {
  const shared = mkdtempSync(join(tmpdir(), "infermesh-units-"));
  let box: SystemdBox;
  beforeAll(async () => {
    // The units' users read it.
    chmodSync(shared, 0o755);
    mkdirSync(join(shared, "units"));
    cpSync(executable, join(shared, "infermesh"));
    for (const unit of [ROUTER, AGENT]) cpSync(join(CHECKOUT, "deploy/systemd", unit), join(shared, "units", unit));
    // Short, so that a hang is noticed soon.
    SystemdBox.dropIn(shared, ROUTER, { INFERMESH_CONFIG: "/run/shared/router.yaml" }, "WatchdogSec=4s\n");
    SystemdBox.dropIn(shared, AGENT, { INFERMESH_MOCK: "true", INFERMESH_ID: "gpu-1" });
    mkdirSync(join(shared, "exec"));
    cpSync(join(CHECKOUT, "deploy/systemd/infermesh-agent-exec.conf"), join(shared, "exec/exec.conf"));
    const runtime = `sh -c 'echo > /tmp/own; echo > /dev/shm/own; exec sleep 1000'`;
    const engine = `Environment=INFERMESH_MOCK=false INFERMESH_RUNTIME=none INFERMESH_EXEC_DETACH=true "INFERMESH_EXEC=${runtime}"`;
    writeFileSync(join(shared, "exec/engine.conf"), `[Service]\n${engine}\n`);
    writeFileSync(join(shared, "router.yaml"), "log:\n  format: json\n", { mode: 0o644 });
    box = await SystemdBox.boot(shared);
  }, START_MS);
  afterAll(async () => {
    await box.end();
    rmSync(shared, { recursive: true, force: true });
  });

  const ctl = (...args: string[]) => box.run("/usr/local/bin/infermesh", "ctl", ...args);
  const state = (unit: string): Record<string, string> =>
    box.show(unit, "ActiveState", "MainPID", "Result", "StatusText", "NRestarts", "UID");
  const request = (): string => {
    const body = JSON.stringify({
      model: "llama-3.1-8b-instruct",
      messages: [{ role: "user", content: "Hi" }],
      max_tokens: 2,
    });
    return box.run(
      "bash",
      "-c",
      `exec 3<>/dev/tcp/127.0.0.1/8080; printf 'POST /v1/chat/completions HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\ncontent-length: ${body.length}\\r\\n\\r\\n%s' '${body}' >&3; cat <&3`,
    ).out;
  };

  test(
    "both start, as users of their own without any right, and serve",
    async () => {
      for (const unit of [ROUTER, AGENT]) {
        expect(box.run("systemctl", "start", unit)).toEqual({ code: 0, out: "", err: "" });
        expect([state(unit)["ActiveState"], box.log(unit)]).toEqual([
          "active",
          expect.stringContaining('"msg":"ready"'),
        ]);
        const status = box.run("cat", `/proc/${state(unit)["MainPID"]}/status`).out;
        expect(status).toMatch(/^CapEff:\t0+$/m);
        expect(status).toMatch(/^NoNewPrivs:\t1$/m);
        expect(status).toMatch(/^Seccomp:\t2$/m);
        expect(Number(state(unit)["UID"])).toBeGreaterThan(61_000);
      }
      await until(() => request().startsWith("HTTP/1.1 200"));
      expect(ctl("list-nodes").out).toMatch(/^gpu-1 +healthy/m);
      expect(box.run("ls", "/var/lib/private/infermesh-agent").out).toContain("control-gpu-1.sqlite");
      // The scorer is native code that is loaded while it runs, which the units must allow.
      expect(box.log(ROUTER)).toContain('"scorer":"c"');
    },
    START_MS,
  );

  test(
    "reload loads the configuration, and the status tells of one that is refused",
    async () => {
      writeFileSync(join(shared, "router.yaml"), "log:\n  format: json\nmaxBody: lots\n");
      expect(box.run("systemctl", "reload", ROUTER).code).toBe(0);
      await until(() => state(ROUTER)["StatusText"]?.includes("refused") === true);
      writeFileSync(join(shared, "router.yaml"), "log:\n  format: json\nmaxBody: 16MiB\n");
      expect(box.run("systemctl", "reload", ROUTER).code).toBe(0);
      await until(() => state(ROUTER)["StatusText"] === "serves");
      expect(ctl("config", "maxBody").out).toContain("16MiB");
    },
    START_MS,
  );

  test(
    "an upgrade by a signal makes another process the main one, and systemd follows",
    async () => {
      const before = state(ROUTER)["MainPID"] ?? "";
      expect(box.run("systemctl", "kill", "--kill-who=main", "--signal=SIGUSR1", ROUTER).code).toBe(0);
      await until(() => state(ROUTER)["MainPID"] !== before, START_MS);
      expect(request()).toStartWith("HTTP/1.1 200");
      // The old one finishes, and its end is no end of the service.
      await until(() => !box.run("ls", `/proc/${before}/exe`).out.includes("exe"), START_MS);
      expect(state(ROUTER)).toMatchObject({ ActiveState: "active", NRestarts: "0" });
      expect(request()).toStartWith("HTTP/1.1 200");
    },
    2 * START_MS,
  );

  test(
    "its signs of life keep it; a process that hangs is started anew",
    async () => {
      const { MainPID: hung = "" } = state(ROUTER);
      expect(Number(hung)).toBeGreaterThan(1);
      expect(box.run("kill", "-STOP", hung).code).toBe(0);
      await until(() => state(ROUTER)["NRestarts"] === "1" && state(ROUTER)["ActiveState"] === "active", START_MS);
      expect(state(ROUTER)["MainPID"]).not.toBe(hung);
      await until(() => request().startsWith("HTTP/1.1 200"), START_MS);
    },
    2 * START_MS,
  );

  test(
    "one that was asked to leave stays away; both end in order",
    async () => {
      expect(ctl("leave", "--endpoint", "http://127.0.0.1:50051").code).toBe(0);
      await until(() => state(AGENT)["ActiveState"] === "inactive");
      expect(state(AGENT)).toMatchObject({ Result: "success", NRestarts: "0" });
      expect(box.run("systemctl", "stop", ROUTER)).toEqual({ code: 0, out: "", err: "" });
      expect(state(ROUTER)).toMatchObject({ ActiveState: "inactive", Result: "success" });
      expect(box.log(ROUTER).trim().split("\n").at(-1)).toContain('"msg":"stopped"');
    },
    2 * START_MS,
  );

  test(
    "with the drop-in for it an agent starts its runtime, which keeps what it has while agents change",
    async () => {
      const dropIns = `/etc/systemd/system/${AGENT}.d`;
      // Its state was a dynamic user's before, in a place of its own.
      const script = `echo infermesh-agent:x:700:700::/nonexistent:/bin/false >> /etc/passwd
echo infermesh-agent:x:700: >> /etc/group
cp /run/shared/exec/* ${dropIns} && systemctl daemon-reload`;
      expect(box.run("bash", "-c", script)).toEqual({ code: 0, out: "", err: "" });
      expect(box.run("systemctl", "start", AGENT)).toEqual({ code: 0, out: "", err: "" });
      const runtime = (): string => box.run("pidof", "sleep").out.trim();
      await until(() => runtime() !== "", START_MS);
      const first = runtime();
      const lost = (): string => box.run("ls", `/proc/${first}/root/tmp/own`, `/proc/${first}/root/dev/shm/own`).err;
      await until(() => lost() === "", START_MS);
      expect(box.run("cat", `/proc/${first}/status`).out).toMatch(/^Uid:\t700\t/m);
      expect(box.run("ls", "-H", "/var/lib/infermesh-agent").out).toContain("control-gpu-1.sqlite");
      for (const change of ["restart", "stop", "start"]) {
        expect(box.run("systemctl", change, AGENT)).toEqual({ code: 0, out: "", err: "" });
        expect([change, runtime(), lost()]).toEqual([change, first, ""]);
      }
      await until(() => box.log(AGENT).includes(`process ${first} runs on under this agent`), START_MS);
    },
    2 * START_MS,
  );
});
