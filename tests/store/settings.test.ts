/** What --store takes, and that a password in it is never shown. */
import { describe, expect, test } from "bun:test";
import { parseSection } from "../../src/base/settings-reading.ts";
import { controlSettings } from "../../src/store/settings.ts";

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
