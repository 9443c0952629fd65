import { describe, expect, test } from "bun:test";
import { formatFault } from "../../src/base/field.ts";
import type { Fault } from "../../src/base/field.ts";
import { controlSettings } from "../../src/store/settings.ts";

function read(raw: string): string {
  const faults: Fault[] = [];
  const value = controlSettings.fields.store.read(raw, { path: "control.store", source: "", fromText: true, faults });
  return value ?? faults.map(formatFault).join();
}

describe("which engine keeps the policies", () => {
  test("embedded, or an etcd", () => {
    for (const store of ["embedded", "etcd://a:2379,b:2379", "etcds://u:p@a/prod"]) expect(read(store)).toBe(store);
    expect(read("consul://a")).toMatch(/^control\.store: found "consul:\/\/a"; expected embedded, or etcd:/);
  });

  test("what is wrong with an address is said, and no password is shown", () => {
    const fault = read("etcd://user:secret@a:0");
    expect(fault).toMatch(/found "\(hidden\)".*it names the endpoint "a:0", which is not HOST:PORT/);
    expect(fault).not.toContain("secret");
  });
});
