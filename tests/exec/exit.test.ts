/** Exits in words, and what a runtime is given: its environment, its GPUs, its settings. */
import { describe, expect, test } from "bun:test";
import { parseSection, settingsOf } from "../../src/base/settings-reading.ts";
import { runtimeEnvironment, INHERITED } from "../../src/exec/environment.ts";
import { exitWords } from "../../src/exec/exit.ts";
import { gpuAssignment, gpuEnvironment } from "../../src/exec/gpus.ts";
import { execSettings, readyCheck } from "../../src/exec/settings.ts";

describe("an exit in words", () => {
  const words = (code: number | null, signal: string | null, oomKills?: number, isAsked = false) =>
    exitWords({ code, signal, oomKills, lastLines: [] }, isAsked);

  for (const [given, expected] of [
    [words(0, null), "ended with code 0"],
    [words(1, null), "ended with code 1"],
    [words(127, null), "ended with code 127, which says that a program was not found"],
    [words(126, null), "ended with code 126, which says that a program could not be run"],
    [words(139, null), "ended with code 139, as after SIGSEGV"],
    [words(143, null), "ended with code 143, as after SIGTERM"],
    [words(null, "SIGSEGV"), "ended by SIGSEGV"],
    [words(null, "SIGKILL", 1), "killed by the kernel for lack of memory (SIGKILL, oom_kill)"],
    [
      words(null, "SIGKILL", 0),
      "ended by SIGKILL, which nobody here asked for: perhaps by the kernel, for lack of memory",
    ],
    [words(null, "SIGKILL", 0, true), "ended by SIGKILL"],
    [
      words(137, null),
      "ended with code 137, as after SIGKILL, which nobody here asked for: perhaps by the kernel, for lack of memory",
    ],
    [words(1, null, 2), "ended with code 1, after the kernel had killed a process of it for lack of memory (oom_kill)"],
    [words(null, null), "ended, nobody saw how"],
  ] as const) {
    test(expected, () => expect(given).toBe(expected));
  }
});

describe("a runtime's environment", () => {
  const own = {
    PATH: "/bin",
    HOME: "/h",
    LC_ALL: "C",
    HF_TOKEN: "t",
    CUDA_HOME: "/c",
    SECRET: "s",
    INFERMESH_LOG: "x",
    BUN_JSC_a: "1",
    NOTIFY_SOCKET: "/n",
    LISTEN_FDS: "1",
    HIP_VISIBLE_DEVICES: "3",
  };

  test("has what its set lets through, then the GPUs, then what is given", () => {
    const gpus = gpuEnvironment(["0", "1"], "nvidia");
    expect(runtimeEnvironment(own, INHERITED, gpus, { PATH: "/x", "A.b": "c,d" })).toEqual({
      PATH: "/x",
      HOME: "/h",
      LC_ALL: "C",
      HF_TOKEN: "t",
      CUDA_HOME: "/c",
      CUDA_VISIBLE_DEVICES: "0,1",
      CUDA_DEVICE_ORDER: "PCI_BUS_ID",
      "A.b": "c,d",
    });
  });

  test("never has what is the agent's own, also by *", () => {
    const all = runtimeEnvironment(own, ["*"]);
    expect(all).toMatchObject({ SECRET: "s", HIP_VISIBLE_DEVICES: "3" });
    for (const name of ["INFERMESH_LOG", "BUN_JSC_a", "NOTIFY_SOCKET", "LISTEN_FDS"])
      expect(all).not.toHaveProperty(name);
    expect(runtimeEnvironment(own, [])).toEqual({});
  });
});

describe("GPUs of a runtime", () => {
  test("are all, none, indices or UUIDs of one kind", () => {
    expect(gpuAssignment("all")).toBe("all");
    expect(gpuAssignment("none")).toBe("none");
    expect(gpuAssignment("0, 01,2")).toEqual(["0", "1", "2"]);
    const uuid = "GPU-8f6b6a2c-1111-2222-3333-444455556666";
    expect(gpuAssignment(uuid)).toEqual([uuid]);
    expect(gpuAssignment("MIG-8f6b6a2c-1111-2222-3333-444455556666")).toHaveLength(1);
    expect(gpuAssignment("GPU-0123456789abcdef")).toHaveLength(1);
    for (const wrong of [
      "",
      "0,",
      "0,0",
      "0,00",
      "-1",
      "1000",
      "all,0",
      `0,${uuid}`,
      "GPU-x y",
      "0;1",
      Array(65)
        .fill(0)
        .map((_, i) => i)
        .join(),
    ]) {
      expect(gpuAssignment(wrong)).toBeUndefined();
    }
  });

  test("are told by the variable of the machine's vendor alone", () => {
    const inherited = { CUDA_VISIBLE_DEVICES: "7", HIP_VISIBLE_DEVICES: "7", ROCR_VISIBLE_DEVICES: "7" };
    const env = (of: Parameters<typeof gpuEnvironment>) => runtimeEnvironment(inherited, ["*"], gpuEnvironment(...of));
    expect(env(["all", "nvidia"])).toEqual(inherited);
    expect(env([["2", "3"], "amd"])).toEqual({ ROCR_VISIBLE_DEVICES: "2,3" });
    expect(env(["none", "amd"])).toEqual({ ROCR_VISIBLE_DEVICES: "-1" });
    expect(env(["none", "nvidia"])).toEqual({ CUDA_VISIBLE_DEVICES: "-1", CUDA_DEVICE_ORDER: "PCI_BUS_ID" });
  });
});

describe("settings of a runtime", () => {
  const faults = (raw: object) =>
    parseSection(execSettings, raw).faults?.map(({ path, found, hint }) => `${path} ${found} ${hint}`);

  test("say what is wrong with a command, and nothing of its arguments", () => {
    expect(faults({ command: "vllm serve --api-key s3cret | tee log" })).toEqual([
      'command "vllm ..." "|" at character 29 means a pipe, which needs a shell; quote it, or let a shell run all of it: sh -c \'...\'',
    ]);
    expect(faults({ command: "vllm 'serve" })?.[0]).toContain("the ' at character 6 is never closed");
    expect(faults({ command: 3 })).toHaveLength(1);
    expect(faults({ command: "vllm serve 'a b'" })).toBeUndefined();
  });

  test("never show a value of the environment", () => {
    const [shown] = faults({ env: { KEY: `s3cret\u0007` } }) ?? [];
    expect(shown).toBe('env.KEY "(hidden)" '.replaceAll('"', ""));
    expect(faults({ env: { KEY: "a,b=c" } })).toBeUndefined();
    expect(settingsOf(execSettings).map(({ flag }) => flag)).toContain("exec");
  });

  test("take checks of readiness by HTTP and TCP, and refuse others", () => {
    expect(readyCheck("")).toBe("none");
    expect(readyCheck("http://127.0.0.1:8000/health")).toEqual({ kind: "http", url: "http://127.0.0.1:8000/health" });
    expect(readyCheck("tcp://127.0.0.1:80")).toEqual({ kind: "tcp", host: "127.0.0.1", port: 80 });
    expect(readyCheck("tcp://[::1]:8000")).toEqual({ kind: "tcp", host: "::1", port: 8000 });
    for (const wrong of ["x", "tcp://a", "tcp://a:1/x", "ftp://a", "127.0.0.1:80", `http://${"a".repeat(600)}`]) {
      expect(readyCheck(wrong)).toBeUndefined();
    }
    expect(faults({ pauseMin: "2s", pauseMax: "1s" })).toHaveLength(1);
  });
});
