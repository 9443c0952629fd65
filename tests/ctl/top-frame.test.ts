/** What top shows at every width: nothing wider than the terminal, nothing that is not known as a figure. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isPrintable } from "../../src/base/printable.ts";
import { fit } from "../../src/ctl/fitted-table.ts";
import { type NodeGpuRow, type StatefulNode, statefulNode } from "../../src/ctl/gpu-rows.ts";
import { pagesOf, SORTS, topFrame, type TopView } from "../../src/ctl/top-frame.ts";
import { gpuState, node } from "./gpu-bed.ts";

const WIDTHS = [60, 80, 120, 200];
const AT_MS = new Date(2026, 0, 2, 18, 2, 11).getTime();

function view(nodes: readonly StatefulNode[], more: Partial<TopView> = {}): TopView {
  return { nodes, atMs: AT_MS, sort: "node", page: 0, notice: "", keys: "", ...more };
}
const at = (columns: number, lines = Infinity) => ({ columns, lines });
const shown = (of: TopView, columns: number, lines = Infinity): readonly string[] =>
  topFrame(of, at(columns, lines), false);

const ILL = {
  health: "GPU_HEALTH_QUARANTINED",
  healthReason: "XID 79: the GPU has fallen off the bus",
  utilization: 0,
};
const TWO = [
  statefulNode(node("gpu-1", [gpuState(0), gpuState(1, ILL)])),
  statefulNode(node("gpu-2", [gpuState(0, { utilization: 0.1, powerWatts: 90, temperatureCelsius: 88 })])),
];
/** 25 nodes of 8 GPUs. */
const MANY = Array.from({ length: 25 }, (_, of) =>
  statefulNode(
    node(
      `node-${String(of).padStart(2, "0")}`,
      Array.from({ length: 8 }, (_one, index) => gpuState(index)),
    ),
  ),
);

describe("a frame", () => {
  test("at 80 columns", () => {
    expect(shown(view(TWO), 80)).toEqual([
      "infermesh top at 18:02:11  2 nodes  3 GPUs: 2 healthy, 1 quarantined  busy 32%",
      "memory 192GiB/240GiB  power 1,115W  requests 24 running, 6 waiting",
      "queue 90,000 tokens",
      "",
      "GPU      BUSY                                   MEMORY  POWER  TEMP  HEALTH",
      "gpu-1/0  [########################....]  87%    64/80G   512W   61C  healthy",
      "gpu-1/1  [............................]   0%    64/80G   512W   61C  quarantined",
      "gpu-2/0  [###.........................]  10%    64/80G    90W   88C  healthy",
      "",
      "MODEL  NODE     RUN   WAIT      QUEUE    KV",
      "llama  gpu-1     12      3     45,000   41%",
      "llama  gpu-2     12      3     45,000   41%",
    ]);
  });

  test.each(WIDTHS)("is no wider than %p columns, whatever there is", (columns) => {
    const label = "a-node-with-a-very-long-name.of.a.long.domain.example.org";
    const wide = statefulNode(node("日本語のノード", [gpuState(0, { models: ["モデル"] })]));
    const long = statefulNode(
      node(label, [gpuState(0, ILL, { migProfile: "1g.10gb+me" }), gpuState(7, { powerWatts: 1e300 })]),
    );
    for (const nodes of [TWO, MANY, [wide], [long], []]) {
      for (const notice of ["", "x".repeat(300)]) {
        for (const line of shown(view(nodes, { notice, keys: "y".repeat(300) }), columns, 24)) {
          expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
        }
      }
    }
  });

  test("has more where there is room: limits of power, models, and what is wrong", () => {
    const at60 = shown(view(TWO), 60).join("\n");
    expect(at60).not.toContain("512/700W");
    expect(at60).toMatch(/gpu-1\/1 \[\.+\] {3}0% {3}64\/80G {2}512W {2}61C quarantined$/m);
    const at120 = shown(view(TWO), 120).join("\n");
    expect(at120).toContain("512/700W");
    expect(at120).toMatch(/quarantined {2}XID 79: the GPU has fallen off the bus$/m);
    expect(at120).toMatch(/healthy {6}llama, mistral$/m);
    expect(shown(view(TWO), 200)[0]).toEndWith("power 1,115W  requests 24 running, 6 waiting  queue 90,000 tokens");
    expect(shown(view(TWO), 20).find((line) => line.startsWith("GPU"))).toMatch(/^GPU +MEMORY +PO?~?$/);
  });

  test("shows a dash for what is not known, in totals too", () => {
    const bare = statefulNode({
      id: "n",
      role: "agent",
      status: "alive",
      state: { gpus: [{ index: 0 }], models: [{ labels: { model: "m" } }] },
    });
    expect(shown(view([bare]), 80)).toEqual([
      "infermesh top at 18:02:11  1 node  1 GPU: 1 unknown  busy -  memory -/-  power -",
      "requests 0 running, 0 waiting  queue - tokens",
      "",
      "GPU  BUSY                                     MEMORY  POWER  TEMP  HEALTH",
      "n/0  [?                             ]    -         -      -     -  unknown",
      "",
      "MODEL  NODE    RUN   WAIT      QUEUE    KV",
      "m      n         0      0          -     -",
    ]);
    const gone = statefulNode(node("n", [gpuState(0)], { status: "failed" }));
    const [head = "", ...rest] = shown(view([gone]), 120);
    expect(head).toContain("0 nodes  1 GPU: 1 unheard  busy -  memory -/80GiB  power -");
    expect(rest.join("\n")).toMatch(/-\/80G +- +- {2}unheard/);
    expect(rest.join("\n")).not.toContain("llama  n");
    expect(shown(view([]), 80).slice(2)).toEqual(["", "no GPUs"]);
  });

  test("counts a MIG slice with its GPU, and shows it below", () => {
    const slice = gpuState(0, { powerWatts: undefined }, { gpuUuid: "MIG-1", migProfile: "1g.10gb" });
    const lines = shown(view([statefulNode(node("n", [gpuState(0), slice]))]), 120);
    expect(lines[0]).toContain("1 GPU: 1 healthy  busy 87%  memory 64GiB/80GiB  power 512W");
    expect(lines.find((line) => line.startsWith("n/0:1g.10gb"))).toContain("[#");
  });

  test.each(SORTS)("is ordered by %s, the rest as it was", (sort) => {
    const order = shown(view(TWO, { sort }), 80).flatMap((line) => /^gpu-\d\/\d/.exec(line)?.[0] ?? []);
    const first = {
      node: "gpu-1/0",
      busy: "gpu-1/0",
      memory: "gpu-1/0",
      power: "gpu-1/0",
      temperature: "gpu-2/0",
      health: "gpu-1/1",
    };
    expect(order[0]).toBe(first[sort]);
    expect([...order].sort()).toEqual(["gpu-1/0", "gpu-1/1", "gpu-2/0"]);
  });

  test("of 200 GPUs fits the screen, and has pages that hold each of them once", () => {
    for (const columns of WIDTHS) {
      for (const lines of [10, 24, 50]) {
        const of = view(MANY, { keys: "q ends" });
        const pages = pagesOf(of, at(columns, lines));
        const seen: string[] = [];
        for (let page = 0; page < pages; page += 1) {
          const frame = shown({ ...of, page }, columns, lines);
          expect(frame.length).toBeLessThanOrEqual(lines);
          expect(frame.at(-1)).toBe("q ends");
          seen.push(...frame.flatMap((line) => /^(node-\d\d\/\d) \S*/.exec(line)?.[1] ?? []));
        }
        expect(new Set(seen).size).toBe(200);
      }
    }
    const [page] = [shown(view(MANY, { page: 99, keys: "q" }), 80, 24)];
    expect(page?.join("\n")).toMatch(/^and \d+ more \(\d+ to 200 of 200 are shown\)$/m);
    expect(page?.join("\n")).toMatch(/^and \d+ more$/m);
    expect(shown(view(MANY), 80).filter((line) => line.startsWith("node-"))).toHaveLength(200);
  });

  test("is coloured only where that is wanted", () => {
    const plain = topFrame(view(TWO), at(120), false).join("\n");
    const painted = topFrame(view(TWO), at(120), true).join("\n");
    expect(plain).not.toContain("\u001b");
    expect(painted).toContain("\u001b[31mquarantined");
    // oxlint-disable-next-line no-control-regex
    expect(painted.replaceAll(/\u001b\[\d+m/g, "").replaceAll(/ +$/gm, "")).toBe(plain.replaceAll(/ +$/gm, ""));
  });

  test("holds whatever nodes tell at any size", () => {
    const gpu: fc.Arbitrary<NodeGpuRow> = fc.record(
      {
        node: fc.string({ unit: "grapheme" }),
        isHeard: fc.boolean(),
        index: fc.nat(),
        name: fc.string(),
        migProfile: fc.string(),
        health: fc.constantFrom("healthy", "degraded", "quarantined"),
        healthReason: fc.string({ unit: "binary" }),
        utilization: fc.double({ noNaN: true, noDefaultInfinity: true }),
        memoryUsedBytes: fc.nat(),
        memoryTotalBytes: fc.nat(),
        powerWatts: fc.double({ noNaN: true, noDefaultInfinity: true }),
        temperatureCelsius: fc.double({ noNaN: true, noDefaultInfinity: true }),
        models: fc.array(fc.string({ unit: "binary" })),
      },
      { requiredKeys: ["node", "isHeard"] },
    );
    const model = fc.record({
      model: fc.string({ unit: "binary" }),
      running: fc.nat(),
      waiting: fc.nat(),
      queuedTokens: fc.option(fc.nat(), { nil: undefined }),
      kvUsage: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
    });
    const one = fc.record({
      id: fc.string({ unit: "binary" }),
      self: fc.boolean(),
      role: fc.constant("agent"),
      isHeard: fc.boolean(),
      state: fc.constant("healthy"),
      models: fc.array(model, { maxLength: 6 }),
      gpus: fc.array(gpu, { maxLength: 12 }),
    });
    fc.assert(
      fc.property(
        fc.array(one, { maxLength: 4 }),
        fc.integer({ min: 20, max: 220 }),
        fc.integer({ min: 1, max: 60 }),
        fc.nat(30),
        fc.constantFrom(...SORTS),
        (nodes, columns, lines, page, sort) => {
          const of = view(nodes, { page, sort, keys: "q ends" });
          const frame = shown(of, columns, lines);
          expect(frame.length).toBeLessThanOrEqual(Math.max(lines, 2));
          for (const line of frame) {
            expect(isPrintable(line)).toBe(true);
            expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
          }
          expect(pagesOf(of, at(columns, lines))).toBeGreaterThanOrEqual(1);
        },
      ),
    );
  });
});

test("text is cut by columns of a terminal, not by characters", () => {
  expect(fit("日本語", 6)).toBe("日本語");
  expect(fit("日本語", 5)).toBe("日本~");
  expect(fit("日本語", 4)).toBe("日~ ");
  expect(fit("abc", 2)).toBe("a~");
  expect(fit("abc", 5, true)).toBe("  abc");
  expect(fit("abc", 0)).toBe("");
  expect(fit("\u001b[2J", 6)).toBe("?[2J  ");
});
