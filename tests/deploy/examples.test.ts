/** The example configurations: each is right by the executable's own word, and says how it is used. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Bench, EXECUTABLE, ownEnvironment, type Started, until } from "../process/harness.ts";
import { run } from "./checkers.ts";
import { CHECKOUT } from "./image.ts";

const FOLDER = join(CHECKOUT, "deploy/examples");
const files = readdirSync(FOLDER).toSorted();
const configs = files.filter((name) => name !== "policies.yaml");
const roleOf = (name: string): "router" | "agent" => (name === "router.yaml" ? "router" : "agent");
const text = (name: string): string => readFileSync(join(FOLDER, name), "utf8");
const bench = new Bench();
afterAll(() => bench.end());

test("there is one for each part of a mesh", () => {
  expect(files).toEqual(["agent-sglang.yaml", "agent-vllm.yaml", "control-node.yaml", "policies.yaml", "router.yaml"]);
});

describe.each(configs)("%s", (name) => {
  const validate = (...more: string[]) =>
    run([EXECUTABLE, roleOf(name), "validate", ...more], { env: ownEnvironment(), cwd: FOLDER });

  test("is right", () => {
    expect(validate(name)).toEqual({ code: 0, out: "valid\n", err: "" });
    const at = join(bench.dataDir, name);
    writeFileSync(at, text(name).replace(/^mesh:/m, "mush:"));
    expect(validate(at)).toMatchObject({ code: 2, err: expect.stringContaining("mush") });
  });

  test("says how it is used, of a mesh that all have in common", () => {
    const [, shown = ""] = /^# +infermesh (\w+) --config (?:.*)$/m.exec(text(name)) ?? [];
    expect(shown).toBe(roleOf(name));
    expect(text(name)).toMatch(/^mesh:\n {2}cluster: production\n/m);
  });
});

test("the control nodes' file serves all three: one begins, the others join", () => {
  const { control, join: seeds } = Bun.YAML.parse(text("control-node.yaml")) as {
    control: { first: string };
    join: string[];
  };
  const ids = seeds.map((seed) => seed.split(".")[0] ?? "");
  expect(ids).toEqual(["control-1", "control-2", "control-3"]);
  expect(ids).toContain(control.first);
});

test("units keep state where the examples have their keys", () => {
  for (const role of ["router", "agent"]) {
    const unit = readFileSync(join(CHECKOUT, `deploy/systemd/infermesh-${role}.service`), "utf8");
    const [, state = ""] = /^StateDirectory=(.*)$/m.exec(unit) ?? [];
    for (const name of configs.filter((one) => roleOf(one) === role))
      expect(text(name)).toContain(`keyFile: /var/lib/${state}/`);
  }
});

describe("policies.yaml", () => {
  let agent: Started;
  beforeAll(async () => {
    agent = await bench.agent("one", null, "--control", "bootstrap", "--control-listen", "127.0.0.1:0");
  });
  const ctl = (...args: string[]) =>
    run([EXECUTABLE, "ctl", ...args, "--endpoint", `http://${agent.address("api")}`], {
      env: ownEnvironment(),
      cwd: FOLDER,
    });

  test("would be taken whole, and is", async () => {
    await until(() => Promise.resolve(ctl("control", "status").code === 0));
    const kinds = [...text("policies.yaml").matchAll(/^kind: (\w+)$/gm)].map(([, kind = ""]) => kind);
    const checked = ctl("policy", "apply", "policies.yaml", "--dry-run");
    expect(checked.code).toBe(0);
    // It warns of what this mesh of one node lacks, and of nothing else.
    const told = checked.err.split("\n").filter((line) => line !== "" && !line.startsWith("infermesh ctl: warning: "));
    expect(told).toEqual([]);
    expect(ctl("policy", "list", "-o", "text").out).toBe("");
    expect(ctl("policy", "apply", "policies.yaml").code).toBe(0);
    const listed = JSON.parse(ctl("policy", "list", "-o", "json").out) as { policies: { kind: string }[] };
    expect(listed.policies.map(({ kind }) => kind).toSorted()).toEqual(kinds.toSorted());
  });
});
