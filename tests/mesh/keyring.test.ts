import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MeshError } from "../../src/base/errors.ts";
import { defaultsOf, parseSection, writeSection } from "../../src/base/settings-reading.ts";
import { formatFault } from "../../src/base/field.ts";
import { openKeyring } from "../../src/mesh/key-file.ts";
import { KEYS_MAX, Keyring, parseKey } from "../../src/mesh/keyring.ts";
import { gossipSettings } from "../../src/mesh/settings.ts";

const directory = mkdtempSync(join(tmpdir(), "infermesh-keys-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** A key of 32 equal bytes, in base64. */
const key = (byte: number): string => Buffer.alloc(32, byte).toString("base64");
const bytes = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

function keyFile(text: string, mode = 0o600): string {
  const path = join(directory, "gossip.keys");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

/** The error that `run` throws. */
function fault(run: () => unknown): MeshError {
  try {
    run();
  } catch (error) {
    if (error instanceof MeshError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

test("a key has one spelling", () => {
  expect(parseKey(key(7))).toEqual(Buffer.from(bytes(7)));
  const bad = ["", key(7).slice(1), `${key(7)} `, `${key(7)}\n`, Buffer.alloc(31).toString("base64"), "%".repeat(44)];
  // Padding bits that are not zero.
  for (const text of [...bad, key(0).replace("A=", "B=")]) expect(parseKey(text)).toBeUndefined();
});

test("rotation: add, use, remove", () => {
  const ring = new Keyring([bytes(1)]);
  const [old] = ring.list();
  const added = ring.add(key(2));
  expect(ring.list()).toEqual([old!, { fingerprint: added, primary: false }]);
  expect(ring.add(key(2))).toBe(added);
  expect(ring.keys).toHaveLength(2);
  ring.use(added);
  expect(ring.primary?.fingerprint).toBe(added);
  expect(fault(() => ring.remove(added))).toMatchObject({ code: "conflict" });
  ring.remove(old!.fingerprint);
  expect(ring.list()).toEqual([{ fingerprint: added, primary: true }]);
});

test("what can't be done says why, and shows no key", () => {
  const ring = new Keyring([bytes(1)]);
  expect(fault(() => ring.add("secret"))).toMatchObject({ code: "bad_request" });
  expect(fault(() => ring.add("secret")).message).not.toContain("secret");
  expect(fault(() => ring.use(key(3)))).toMatchObject({ code: "not_found" });
  expect(fault(() => ring.use(key(3))).message).not.toContain(key(3));
  for (let n = 2; n <= KEYS_MAX; n++) ring.add(key(n));
  expect(fault(() => ring.add(key(99)))).toMatchObject({ code: "conflict" });
  expect(ring.keys).toHaveLength(KEYS_MAX);
  // Encryption is not switched on under way: the others would not understand.
  expect(fault(() => new Keyring().add(key(1)))).toMatchObject({ code: "conflict" });
  expect(JSON.stringify(ring.list())).not.toContain(key(1).slice(0, 8));
});

test("keys from a file: the first is the primary", () => {
  const keyFilePath = keyFile(`# rotated in May\n${key(2)}\r\n\n  ${key(1)}\n${key(2)}\n`);
  const ring = openKeyring({ key: "", keyFile: keyFilePath });
  expect(ring.list().map(({ fingerprint }) => fingerprint)).toEqual(
    new Keyring([bytes(2), bytes(1)]).list().map(({ fingerprint }) => fingerprint),
  );
  expect(openKeyring({ key: key(5), keyFile: "" }).keys).toHaveLength(1);
  expect(openKeyring({ key: "", keyFile: "" }).primary).toBeUndefined();
});

test("key files that are refused", () => {
  const open = (text: string, mode?: number) => fault(() => openKeyring({ key: "", keyFile: keyFile(text, mode) }));
  for (const mode of [0o640, 0o604, 0o660, 0o644, 0o610]) {
    expect(open(key(1), mode)).toMatchObject({ code: "config_invalid" });
    expect(open(key(1), mode).message).toContain("chmod 600");
  }
  expect(open("").message).toContain("holds no key");
  const slip = open(`${key(1)}\n${key(2).slice(2)}\n`).message;
  expect(slip).toContain("line 2");
  expect(slip).not.toContain(key(2).slice(2, 10));
  const nine = Array.from({ length: 9 }, (_, n) => key(n + 1)).join("\n");
  expect(open(nine).message).toContain("at most 8");
  expect(open("#".repeat(20_000)).message).toContain("no key file");
  expect(fault(() => openKeyring({ key: "", keyFile: join(directory, "absent") })).message).toContain("ENOENT");
  expect(fault(() => openKeyring({ key: "", keyFile: directory }))).toBeInstanceOf(MeshError);
});

test("settings: defaults, one source of keys, and no key in a report", () => {
  expect(defaultsOf(gossipSettings)).toMatchObject({ cluster: "infermesh", key: "", limits: { sendBurst: 32 } });
  const parsed = parseSection(gossipSettings, { cluster: "west", key: key(1) });
  expect(parsed.value?.key).toBe(key(1));
  expect(JSON.stringify(writeSection(gossipSettings, parsed.value!))).not.toContain(key(1));
  const slip = parseSection(gossipSettings, { key: key(1).slice(1), cluster: "with space" });
  expect(slip.faults).toHaveLength(2);
  expect(slip.faults!.map(formatFault).join()).not.toContain(key(1).slice(1, 9));
  expect(parseSection(gossipSettings, { key: key(1), keyFile: "/keys" }).faults?.map(({ path }) => path)).toEqual([
    "keyFile",
  ]);
  const twice = parseSection(gossipSettings, { key: key(1), keyFile: key(2) });
  expect(twice.faults!.map(formatFault).join()).not.toContain(key(2).slice(0, 9));
});
