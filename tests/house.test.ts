import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Source, houseFaults, importsOf, scan } from "./house-rules.ts";

// It reads every file, on a machine that may be busy.
setDefaultTimeout(60_000);

const ROOT = resolve(import.meta.dir, "..");
const FOLDERS = ["src", "tests", "bench", "scripts"];

/** Files that are one state machine each, and so may be longer than 300 lines. Keep it short. */
const STATE_MACHINES: readonly string[] = [
  "src/admin/front-connection.ts",
  "src/exec/run.ts",
  "src/fleet/fleet.ts",
  "src/flow/late-room.ts",
  "src/flow/mesh-desk.ts",
  "src/kube/watch.ts",
  "src/proxy/client.ts",
  "src/proxy/crew.ts",
  "src/proxy/exchange.ts",
  "src/proxy/grpc-call.ts",
  "src/proxy/upstream.ts",
  "src/raft/raft.ts",
  "src/runtimes/watch.ts",
  "src/sim/batching.ts",
  "src/store/policy-host.ts",
  "src/store/raft-node.ts",
  "src/swim/swim.ts",
  "src/wire/fields.ts",
  "src/wire/http1.ts",
  "src/wire/http2-connection.ts",
  "src/wire/json-field.ts",
];

function checkout(): Source[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .map((name) => `${folder}/${name}`)
      .filter((path) => /\.(?:ts|mjs)$/.test(path) && !path.endsWith(".d.ts") && !path.startsWith("src/gen/"))
      .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") })),
  );
}

/** The faults of one planted file, without the noise of a missing header. */
function planted(path: string, text: string): string[] {
  return houseFaults([{ path, text: `/** Planted. */\n${text}\n` }], []);
}

describe("the house", () => {
  test("keeps its rules", () => {
    const sources = checkout();
    expect(sources.length).toBeGreaterThan(5);
    expect(houseFaults(sources, STATE_MACHINES)).toEqual([]);
    // It reads all of the checkout: on a busy machine that takes its time.
  }, 60_000);
});

describe("the scanner", () => {
  test("sees imports of every form, and none in comments, strings or templates", () => {
    const text = [
      'import { a, type B } from "./a.ts";',
      'import type { C } from "./c.ts"; // import { no } from "./no.ts";',
      "import {\n  d,\n} from './d.ts';",
      'import "./e.ts";',
      'export { f } from "./f.ts";',
      'const g = await import("./g.ts"); /* import "./no.ts" */',
      'new Worker(new URL("./h.ts", import.meta.url).href);',
      'const s = \'import "./no.ts"\'; const t = `import "./no.ts" ${await import("./i.ts")} from "./no.ts"`;',
      'const r = /["\'`]/; import "./j.ts";',
    ].join("\n");
    expect(importsOf(text)).toEqual("acdefghij".split("").map((name) => `./${name}.ts`));
  });

  test("leaves the words of comments and strings out of the code", () => {
    const { code } = scan(
      '/* async */ const x = "Date.now()" + `a ${y + "z"} Math.random`; // await\nlet a = b / c / d;',
    );
    expect(code).not.toMatch(/async|Date|Math|await/);
    expect(code).toContain("b / c / d");
    expect(code).toContain("y +");
  });
});

/** [rule, path, text, what the fault says] */
const VIOLATIONS: readonly (readonly [string, string, string, RegExp])[] = [
  ["base imports nothing", "src/base/ring.ts", 'import { x } from "../wire/http1.ts";', /base may not import wire/],
  [
    "cores import base only",
    "src/flow/breaker.ts",
    'import { x } from "../score/pick.ts";',
    /flow may not import score/,
  ],
  [
    "fleet has no way to wire",
    "src/fleet/fleet.ts",
    'import { x } from "../wire/sse.ts";',
    /fleet may not import wire/,
  ],
  ["types count too", "src/wire/sse.ts", 'import type { X } from "../proxy/pool.ts";', /wire may not import proxy/],
  [
    "obs sees base and readings of GPUs only",
    "src/obs/log.ts",
    'import { x } from "../score/table.ts";',
    /obs may not import score/,
  ],
  ["net is below the shells", "src/net/outbox.ts", 'import { x } from "../proxy/a.ts";', /net may not import proxy/],
  ["native sees score", "src/native.ts", 'import { x } from "./proxy/a.ts";', /native may not import proxy/],
  [
    "shells are strangers",
    "src/proxy/worker.ts",
    'import { x } from "../admin/front.ts";',
    /proxy may not import admin/,
  ],
  ["shells know no role", "src/mesh/poller.ts", 'import { x } from "../router.ts";', /mesh may not import router/],
  [
    "shells know no config file",
    "src/mesh/poller.ts",
    'import { x } from "../config.ts";',
    /mesh may not import config/,
  ],
  ["roles are strangers", "src/dev.ts", 'const x = await import("./router.ts");', /dev may not import router/],
  ["roles know no main", "src/agent.ts", 'import { x } from "./main.ts";', /agent may not import main/],
  [
    "a worker's URL counts",
    "src/score/a.ts",
    'new URL("../proxy/worker.ts", import.meta.url);',
    /score may not import proxy/,
  ],
  ["a room without a rule", "src/attic/box.ts", "export const x = 1;", /attic has no rule/],
  ["a file of src/ without a rule", "src/attic.ts", "export const x = 1;", /attic has no rule/],
  ["what roles share knows none", "src/process.ts", 'import { x } from "./agent.ts";', /process may not import agent/],
  ["no package in a core", "src/wire/sse.ts", 'import { z } from "zod";', /imports the package "zod"/],
  ["no node: in a core", "src/swim/a.ts", 'import { readFileSync } from "node:fs";', /imports the package "node:fs"/],
  ["no bun: in a core", "src/raft/a.ts", 'import { dlopen } from "bun:ffi";', /imports the package "bun:ffi"/],
  ["no clock in a core", "src/flow/a.ts", "const t = Date.now();", /uses the clock/],
  ["no date in a core", "src/flow/a.ts", "const t = new Date();", /uses the clock/],
  ["no performance.now in a core", "src/flow/a.ts", "const t = performance.now();", /uses the clock/],
  ["no random in a core", "src/sim/a.ts", "const t = Math.random();", /uses a random source/],
  ["no timer in a core", "src/swim/a.ts", "setTimeout(() => {}, 1);", /uses a timer/],
  ["no async in a core", "src/raft/a.ts", "export async function x() {}", /uses async/],
  ["no promise in a core", "src/raft/a.ts", "export type X = Promise<number>;", /uses async/],
  ["no process in a core", "src/base/a.ts", "const x = process.env;", /uses the process/],
  ["no dynamic import in a core", "src/base/a.ts", 'const x = import("./b.ts");', /uses the world outside/],
  ["a core's header", "src/base/a.ts", "", /starts with a header/],
  ["kebab-case", "src/proxy/upstreamPool.ts", "", /not kebab-case/],
  ["kebab-case folders", "tests/My_Room/a.test.ts", "", /not kebab-case/],
  ["no utils", "src/proxy/http-utils.ts", "", /"-utils" says nothing/],
  ["no types", "src/proxy/types.ts", "", /"types" says nothing/],
  ["no helpers", "tests/helpers/a.ts", "", /"helpers" says nothing/],
  ["no manager", "src/proxy/pool-manager.ts", "", /"-manager" says nothing/],
  ["no index", "src/proxy/index.ts", "", /"index" says nothing/],
  ["imports name their file", "src/proxy/a.ts", 'import { x } from "./b";', /must name its file/],
  ["imports name the source", "src/proxy/a.ts", 'import { x } from "./b.js";', /must name its file/],
  ["no default export", "src/proxy/a.ts", "export default 1;", /a default export/],
  ["no enum", "src/proxy/a.ts", "export const enum Color { red }", /an enum/],
  ["no barrel", "src/proxy/a.ts", 'export * from "./b.ts";', /a barrel/],
  ["no I prefix", "src/proxy/a.ts", "interface IPool {}", /an I prefix/],
  ["300 lines", "src/proxy/a.ts", "\n".repeat(300), /has 302 lines, at most 300/],
];

describe("planted violations", () => {
  for (const [rule, path, text, fault] of VIOLATIONS) {
    test(rule, () => {
      const header =
        rule === "a core's header" ? houseFaults([{ path, text: "const x = 1;\n" }], []) : planted(path, text);
      expect(header.join("\n")).toMatch(fault);
    });
  }

  test("an import cycle, types included", () => {
    const sources = [
      { path: "src/proxy/a.ts", text: 'import { b } from "./b.ts";\n' },
      { path: "src/proxy/b.ts", text: 'import type { C } from "./c.ts";\n' },
      { path: "src/proxy/c.ts", text: 'import { a } from "./a.ts";\n' },
    ];
    expect(houseFaults(sources, []).join("\n")).toContain(
      "src/proxy/a.ts -> src/proxy/b.ts -> src/proxy/c.ts -> src/proxy/a.ts",
    );
    expect(houseFaults(sources.slice(0, 2), [])).toEqual([]);
  });

  test("a state machine may be long, but not endless, and a short one needs no exception", () => {
    const faults = (lines: number) =>
      houseFaults([{ path: "src/proxy/a.ts", text: "\n".repeat(lines) }], ["src/proxy/a.ts"]);
    expect(faults(900)).toEqual([]);
    expect(faults(1_001).join()).toMatch(/at most 1000/);
    expect(faults(200).join()).toMatch(/needs no exception/);
  });

  test("what the rules allow is not a fault", () => {
    expect(planted("src/sim/a.ts", 'import { x } from "../score/pick.ts";')).toEqual([]);
    expect(planted("src/fleet/a.ts", 'import type { X } from "../score/sample.ts";')).toEqual([]);
    expect(planted("src/net/a.ts", 'import { x } from "../wire/http1.ts"; import "node:net";')).toEqual([]);
    expect(planted("src/mesh/a.ts", 'import { NodeState } from "../gen/state.js";')).toEqual([]);
    expect(planted("src/proxy/a.ts", 'import { x } from "../native.ts"; import "../net/outbox.ts";')).toEqual([]);
    expect(planted("src/router.ts", 'import { x } from "./proxy/a.ts"; import { y } from "./config.ts";')).toEqual([]);
    expect(planted("src/main.ts", 'const x = await import("./router.ts");')).toEqual([]);
    expect(planted("src/score/prefix-index.ts", "// at Date.now() we await\nconst processed = 1;")).toEqual([]);
  });
});
