import { describe, expect, test } from "bun:test";
import { type Fault, formatFault } from "../../src/base/field.ts";
import { resolveRuntimes, runtimeFields, runtimesComplaints } from "../../src/telemetry/runtime-settings.ts";
import { runtimeField, type RuntimeSpec } from "../../src/telemetry/runtime-spec.ts";

function read(raw: unknown): { spec: RuntimeSpec | undefined } {
  return { spec: runtimeField.read(raw, { path: "runtimes", source: "", fromText: true, faults: [] }) };
}

describe("runtimes together", () => {
  const specs = (...texts: string[]): RuntimeSpec[] => texts.map((text) => read(text).spec as RuntimeSpec);

  test("have names of their own, and none stands alone", () => {
    expect(runtimesComplaints(specs("a:vllm", "b:vllm", "vllm", "auto"))).toEqual([]);
    expect(runtimesComplaints(specs("a:vllm", "a:tgi"))).toMatchObject([{ found: "a" }]);
    expect(runtimesComplaints(specs("none", "vllm"))).toMatchObject([{ expected: "none alone" }]);
    expect(runtimesComplaints(specs("auto", "auto"))).toMatchObject([{ expected: "auto once" }]);
  });

  test("are told of without their secrets where the list is wrong as a whole", () => {
    const { runtimes } = runtimeFields;
    const wrong = [
      { kind: "vllm", apiKey: "s3cret" },
      Array.from({ length: 33 }, () => ({ kind: "vllm", apiKey: "s3cret" })),
    ];
    for (const raw of wrong) {
      const faults: Fault[] = [];
      expect(runtimes.read(raw, { path: "runtimes", source: "", fromText: false, faults })).toBeUndefined();
      expect(faults.map(formatFault).join()).toContain("found (hidden)");
    }
  });

  test("are looked for where nothing is said, but not beside a mock", () => {
    expect(resolveRuntimes([], false)).toMatchObject([{ kind: "auto" }]);
    expect(resolveRuntimes([], true)).toEqual([]);
    expect(resolveRuntimes(specs("none"), false)).toEqual([]);
    expect(resolveRuntimes(specs("vllm"), true)).toMatchObject([{ kind: "vllm" }]);
  });
});
