import { expect, test } from "bun:test";
import { addControlMetrics, type ControlFigures } from "../../src/obs/control-metrics.ts";
import { Exposition } from "../../src/obs/exposition.ts";

const FIGURES: ControlFigures = {
  writable: true,
  leader: "a",
  term: 7,
  logBytes: 8000,
  members: [{ role: "leader" }, { role: "follower" }, { role: "follower" }, { role: "learner" }],
};

async function told(node: string, read?: () => Promise<ControlFigures> | undefined): Promise<string[]> {
  const out = new Exposition();
  addControlMetrics(out, node, read);
  const text = await out.text();
  return text.split("\n").filter((line) => line.startsWith("infermesh_control_"));
}

test("they tell who keeps the policies, and whether they can be changed", async () => {
  expect(await told("a", () => Promise.resolve(FIGURES))).toEqual([
    "infermesh_control_writable 1",
    "infermesh_control_leader_known 1",
    "infermesh_control_leading 1",
    "infermesh_control_term 7",
    "infermesh_control_log_bytes 8000",
    'infermesh_control_members{role="leader"} 1',
    'infermesh_control_members{role="follower"} 2',
    'infermesh_control_members{role="learner"} 1',
    'infermesh_control_members{role="unknown"} 0',
  ]);
  const readOnly = await told("b", () => Promise.resolve({ ...FIGURES, writable: false }));
  expect(readOnly.slice(0, 3).map((line) => line.at(-1))).toEqual(["0", "1", "0"]);
});

test("a node without a name does not lead where nobody does", async () => {
  const leaderless = await told("", () => Promise.resolve({ ...FIGURES, leader: "" }));
  expect(leaderless.slice(1, 3).map((line) => line.at(-1))).toEqual(["0", "0"]);
});

test("they tell nothing where nothing is known, or who knows is late or fails", async () => {
  expect(await told("a")).toEqual([]);
  expect(await told("a", () => undefined)).toEqual([]);
  expect(await told("a", () => Promise.reject(new Error("gone")))).toEqual([]);
  expect(await told("a", () => new Promise(() => {}))).toEqual([]);
});

test("what was known before is not told again", async () => {
  const out = new Exposition();
  const answers = [() => Promise.resolve(FIGURES), () => Promise.reject<ControlFigures>(new Error("gone"))];
  addControlMetrics(out, "a", () => answers.shift()?.());
  expect(await out.text()).toContain("\ninfermesh_control_term 7\n");
  expect(await out.text()).not.toContain("\ninfermesh_control_term ");
});
