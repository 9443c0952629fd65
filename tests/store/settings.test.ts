/** What --store takes, that a password in it is never shown, and which of many is the first control node. */
import { describe, expect, test } from "bun:test";
import { parseSection } from "../../src/base/settings-reading.ts";
import { controlOf, controlSettings } from "../../src/store/settings.ts";

function faultsOf(store: unknown): string {
  const parsed = parseSection(controlSettings, { store });
  return "faults" in parsed ? JSON.stringify(parsed.faults) : "";
}

describe("the engine", () => {
  test("is the embedded one, or an etcd by its endpoints", () => {
    for (const store of ["embedded", "etcd://127.0.0.1:2379", "etcds://user:secret@a:1,b:2/mesh"]) {
      expect(parseSection(controlSettings, { store })).toMatchObject({ value: { store } });
    }
  });

  test("is nothing else, and a password is not repeated", () => {
    expect(faultsOf("postgres://x")).toContain("etcd://HOST:PORT");
    expect(faultsOf(7)).toContain("etcd://HOST:PORT");
    const faults = faultsOf("etcd://user:secret@a:0");
    expect(faults).toContain("not HOST:PORT");
    expect(faults).not.toContain("secret");
  });
});

describe("of control nodes that are all told to bootstrap", () => {
  const read = (given: object) => {
    const parsed = parseSection(controlSettings, given);
    if (!("value" in parsed)) throw new Error(JSON.stringify(parsed.faults));
    return parsed.value;
  };

  test("the one that is named does, and the others join", () => {
    const control = read({ mode: "bootstrap", first: "control-0" });
    expect(controlOf(control, "control-0").mode).toBe("bootstrap");
    expect(controlOf(control, "control-1")).toEqual({ ...control, mode: "join" });
    // Not by a part of its name.
    expect(controlOf(control, "control-01").mode).toBe("join");
  });

  test("each does where none is named, and none that was told otherwise", () => {
    for (const mode of ["bootstrap", "join", "auto", "off"] as const)
      expect(controlOf(read({ mode }), "a").mode).toBe(mode);
  });

  test("a first one is refused where nobody bootstraps", () => {
    const parsed = parseSection(controlSettings, { mode: "join", first: "a" });
    expect(parsed).toMatchObject({
      faults: [{ path: "first", expected: expect.stringContaining("while control is join") }],
    });
  });
});
