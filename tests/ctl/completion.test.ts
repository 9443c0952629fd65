/** Completion: what may come next, and the shells' scripts run by the shells themselves, where they are installed. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Branch, complete } from "../../src/ctl/complete.ts";
import { SHELLS } from "../../src/ctl/completion.ts";
import { decodeSaved } from "../../src/store/saved.ts";
import { ctlTree } from "../../src/ctl/tree.ts";
import { ControlBed } from "./control-bed.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const ROOT: Branch = {
  doc: "",
  children: {
    ctl: ctlTree(
      () => ROOT,
      async () => decodeSaved,
    ),
    hidden: { doc: "", hidden: true },
  },
};
const NAMES = {
  gpu: ["0@gpu-1", "GPU-4d6c"],
  node: ["gpu-1", "gpu-2", "router-1"],
  model: ["llama-3-8b", "mistral"],
  policy: ["acme/*", "acme/mistral"],
  profile: ["prod"],
};

async function next(line: string): Promise<string[]> {
  const { candidates, files } = await complete(ROOT, line.split(" "), (kind) => Promise.resolve(NAMES[kind]));
  return files ? [":files"] : candidates.map(({ word }) => word);
}

describe("what may come next", () => {
  test.each([
    ["", ["ctl"]],
    ["ctl dr", ["drain"]],
    ["ctl c", ["cordon", "config", "control", "completion"]],
    ["ctl quota ", ["set", "get", "list", "delete"]],
    ["ctl drain ", ["gpu-1", "gpu-2", "router-1"]],
    ["ctl drain gpu-1 g", ["gpu-1", "gpu-2"]],
    ["ctl drain --reason g", []],
    ["ctl drain --reason fans g", ["gpu-1", "gpu-2"]],
    ["ctl drain --wait g", ["gpu-1", "gpu-2"]],
    ["ctl pin-model m", ["mistral"]],
    ["ctl describe-gpu ", ["0@gpu-1", "GPU-4d6c"]],
    ["ctl describe-gpu 0@gpu-1 --node ", ["gpu-1", "gpu-2", "router-1"]],
    ["ctl uncordon gpu-1 --gpu G", ["GPU-4d6c"]],
    ["ctl list-gpus --node=gpu-2", ["--node=gpu-2"]],
    ["ctl pin-model mistral --nod", ["--nodes"]],
    ["ctl pin-model mistral --nodes gpu-1,r", ["gpu-1,router-1"]],
    ["ctl pin-model mistral --nodes=gpu-1,r", ["--nodes=gpu-1,router-1"]],
    ["ctl pin-model mistral --min-replicas ", []],
    ["ctl pin-model -- m", ["mistral"]],
    ["ctl list-nodes -o w", ["wide"]],
    ["ctl list-nodes --output=w", ["--output=wide"]],
    ["ctl list-nodes --profile ", ["prod"]],
    ["ctl policy get p", ["pin", "priority"]],
    ["ctl policy get quota acme/m", ["acme/mistral"]],
    ["ctl policy delete quota ", ["acme/*", "acme/mistral"]],
    ["ctl policy set quota ", []],
    ["ctl policy export --kinds pin,n", ["pin,node"]],
    ["ctl policy apply -f ", [":files"]],
    ["ctl snapshot save ", [":files"]],
    ["ctl profiles use ", ["prod"]],
    ["ctl acl allow tenant:a ", ["llama-3-8b", "mistral"]],
    ["ctl completion b", ["bash"]],
    ["ctl --h", ["--help"]],
    ["ctl nonsense ", []],
    ["ctl list-nodes --nonsense=", []],
  ])("after %j", async (line, words) => {
    expect(await next(line)).toEqual(words);
  });

  test("flags are shown where nothing else is wanted", async () => {
    expect(await next("ctl list-nodes ")).toEqual(
      expect.arrayContaining(["--watch", "--output", "--profile", "--help"]),
    );
  });

  test("every command has a summary, and can be asked for its flags", async () => {
    const walk = async ({ children = {}, load, doc }: Branch, path: string): Promise<void> => {
      if (path !== "ctl") expect(doc).not.toBe("");
      if (load !== undefined) expect(await next(`${path} --h`)).toContain("--help");
      for (const [name, branch] of Object.entries(children)) await walk(branch, `${path} ${name}`);
    };
    await walk(ROOT.children?.["ctl"] ?? { doc: "" }, "ctl");
  });
});

describe("the scripts", () => {
  const directory = mkdtempSync(join(tmpdir(), "infermesh-completion-"));
  const bed = new ControlBed();
  bed.answers.set("ListNodes", () => ({ nodes: [{ id: "gpu-1" }, { id: "gpu-2" }] }));
  bed.answers.set("ListModels", () => ({ models: [{ id: "llama:8b" }, { id: "llama:70b" }] }));
  beforeAll(() => {
    const stub = join(directory, "infermesh");
    writeFileSync(stub, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
    chmodSync(stub, 0o755);
  });
  afterAll(async () => {
    await bed.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function shell(words: string[]): Promise<string> {
    const child = Bun.spawn(words, {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      cwd: directory,
      env: {
        PATH: `${directory}:${process.env["PATH"] ?? ""}`,
        HOME: directory,
        INFERMESH_ENDPOINT: bed.endpoint,
        INFERMESH_CTL_CONFIG: join(directory, "none.yaml"),
      },
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect(err).toBe("");
    return out;
  }

  test("bash completes commands, flags, values, names and files by it", async () => {
    const lines = [
      "infermesh ctl dra",
      "infermesh ctl list-nodes --output=j",
      "infermesh ctl drain gpu",
      "infermesh ctl pin-model llama:7",
      "infermesh ctl policy apply -f inferm",
    ];
    const attempt = `try() { COMP_LINE="$1"; COMP_POINT=\${#COMP_LINE}; _infermesh; echo "\${COMPREPLY[*]}"; }`;
    const script = `source <(infermesh ctl completion bash); ${attempt}; ${lines.map((line) => `try "${line}"`).join("; ")}`;
    expect((await shell(["bash", "--norc", "-c", script])).split("\n")).toEqual([
      "drain",
      // What stands before = and : is a word of its own to Readline.
      "json",
      "gpu-1 gpu-2",
      "70b",
      "infermesh",
      "",
    ]);
  });

  test.skipIf(Bun.which("fish") === null)("fish completes by it", async () => {
    const script = `infermesh ctl completion fish | source; complete -C 'infermesh ctl dra'; complete -C 'infermesh ctl pin-model llama:7'; complete -C 'infermesh ctl policy apply -f inferm'`;
    expect((await shell(["fish", "--no-config", "-c", script])).split("\n")).toEqual([
      "drain\tSend no new requests to nodes; what they have is finished.",
      "llama:70b",
      "infermesh",
      "",
    ]);
  });

  test.skipIf(Bun.which("zsh") === null)("zsh reads it, and hands the words over", async () => {
    // Completion itself needs a terminal; here its two builtins tell what they are given.
    const fakes = `compdef() { :; }; _describe() { print -rl -- "\${found[@]}"; }; _files() { print files; }`;
    const attempt = `try() { words=("$@"); CURRENT=$#words; _infermesh; }`;
    const script = `${fakes}; ${attempt}; source <(infermesh ctl completion zsh); try infermesh ctl dra; try infermesh ctl pin-model llama:7; try infermesh ctl policy apply -f ''`;
    expect((await shell(["zsh", "-f", "-c", script])).split("\n")).toEqual([
      "drain:Send no new requests to nodes; what they have is finished.",
      "llama\\:70b:",
      "files",
      "",
    ]);
  });

  test.each(Object.entries(SHELLS))("of %s says how to load it", (name, script) => {
    expect(script).toContain(`infermesh ctl completion ${name}`);
  });
});
