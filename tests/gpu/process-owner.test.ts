import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProcessOwners, containerOf } from "../../src/gpu/process-owner.ts";

const ID = "0123456789abcdef".repeat(4);
const OTHER = "fedcba9876543210".repeat(4);
const base = mkdtempSync(join(tmpdir(), "infermesh-owner-"));
afterAll(() => rmSync(base, { recursive: true }));

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(base, "root-"));
});

function namespace(name: string): void {
  mkdirSync(join(root, "proc/self/ns"), { recursive: true });
  symlinkSync(name, join(root, "proc/self/ns/pid"));
}

function running(pid: number, files: Readonly<Record<string, string>>, descriptors: readonly string[] = []): void {
  const folder = join(root, "proc", String(pid));
  mkdirSync(join(folder, "fd"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  for (const [fd, target] of descriptors.entries()) symlinkSync(target, join(folder, "fd", String(fd)));
}

const VLLM = { comm: "vllm\n", cgroup: `0::/system.slice/docker-${ID}.scope\n` };

describe("on the machine itself", () => {
  beforeEach(() => namespace("pid:[4026531836]"));

  test("a process has a command and a container", () => {
    running(42, VLLM);
    expect(new ProcessOwners(root).of(42)).toEqual({ command: "vllm", container: ID });
  });

  test("what can't be read is not said", () => {
    running(42, { cgroup: "0::/user.slice\n" });
    running(43, { comm: "\n" });
    const owners = new ProcessOwners(root);
    expect(owners.of(42)).toEqual({});
    expect(owners.of(43)).toEqual({});
    expect(owners.of(44)).toEqual({});
  });

  test("numbers that are none of a process lead nowhere", () => {
    running(42, VLLM);
    const owners = new ProcessOwners(root);
    for (const pid of [0, -42, 42.5, Number.NaN, 2 ** 53]) expect(owners.of(pid)).toEqual({});
  });

  test("each is looked up once a look, since its number may be of another one later", () => {
    running(42, VLLM);
    const owners = new ProcessOwners(root);
    expect(owners.of(42).command).toBe("vllm");
    running(42, { comm: "bash\n" });
    expect(owners.of(42).command).toBe("vllm");
    owners.begin();
    expect(owners.of(42).command).toBe("bash");
  });
});

describe("in a pid namespace of one's own", () => {
  for (const [where, name] of [
    ["another namespace", "pid:[4026532999]"],
    ["one that can't be told", ""],
  ] as const) {
    test(`${where}: only who has a GPU open is taken for the one that the driver means`, () => {
      if (name !== "") namespace(name);
      running(42, VLLM, ["/dev/null", "/dev/nvidia0"]);
      running(43, VLLM, ["/dev/null", "/home/dev/nvidia0"]);
      running(44, VLLM);
      running(45, VLLM, ["/dev/kfd"]);
      running(46, VLLM, ["/dev/dri/renderD128"]);
      const owners = new ProcessOwners(root);
      const commands = [42, 43, 44, 45, 46, 47].map((pid) => owners.of(pid).command);
      expect(commands).toEqual(["vllm", undefined, undefined, "vllm", "vllm", undefined]);
    });
  }
});

describe("containers in cgroups", () => {
  test("of each runtime", () => {
    for (const cgroup of [
      `0::/system.slice/docker-${ID}.scope`,
      `0::/docker/${ID}`,
      `0::/kubepods.slice/kubepods-pod1234.slice/cri-containerd-${ID}.scope`,
      `0::/kubepods/burstable/pod0123/crio-${ID}`,
      `0::/machine.slice/libpod-${ID}.scope/container`,
      `12:pids:/docker/${ID}\n11:memory:/docker/${ID}\n1:name=systemd:/docker/${ID}\n`,
      `0::/docker/${OTHER}/docker/${ID}`,
      `0::/../${ID}`,
    ]) {
      expect(containerOf(cgroup)).toBe(ID);
    }
  });

  test("none outside of one, and none of what is longer or shorter than an id", () => {
    for (const cgroup of ["", "0::/", "0::/user.slice/user-1000.slice", `0::/${ID}0`, `0::/${ID.slice(1)}`]) {
      expect(containerOf(cgroup)).toBeUndefined();
    }
  });

  test("whatever a file holds, an id of 64 digits or none", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400, unit: fc.constantFrom(..."0af/:.-\n".split("")) }), (text) => {
        expect(containerOf(text + ID.slice(0, text.length % 70)) ?? ID).toMatch(/^[0-9a-f]{64}$/);
      }),
    );
  });
});
