/** `ctl policy recommendations`, against a fake. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ControlBed, ctl } from "./control-bed.ts";

let bed: ControlBed;
beforeEach(() => {
  bed = new ControlBed();
});
afterEach(() => bed.stop());

const run = (line: string) => ctl(bed.endpoint, line.split(" "));

describe("policy recommendations", () => {
  const rows = [
    { model: "m", replicas: 1, wanted: 3, why: "requests wait", policy: "scaling/m" },
    { model: "n", wanted: 1, why: "its pin asks for at least 1", policy: "pin/n" },
  ];

  test("shows what should be, of all models or of one", async () => {
    bed.answers.set("GetRecommendations", () => ({ recommendations: rows, revision: "7" }));
    expect((await run("policy recommendations")).out).toBe(
      `MODEL  REPLICAS  WANTED  POLICY     WHY
m             1       3  scaling/m  requests wait
n             0       1  pin/n      its pin asks for at least 1
`,
    );
    expect(JSON.parse((await run("policy recommendations m -o json")).out)).toEqual({
      recommendations: rows,
      revision: 7,
    });
    expect(bed.bodies("GetRecommendations")).toEqual([{}, { model: "m" }]);
  });

  test("says so when there are none", async () => {
    bed.answers.set("GetRecommendations", () => ({ revision: "7" }));
    expect(await run("policy recommendations")).toMatchObject({
      code: 0,
      out: "",
      err: expect.stringContaining("nothing is recommended"),
    });
  });
});
