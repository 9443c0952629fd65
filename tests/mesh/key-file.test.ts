/** What a change of the keyring writes back to its file, and what happens when it can't. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKeyring } from "../../src/mesh/key-file.ts";
import { Keyring } from "../../src/mesh/keyring.ts";

let directory = "";
let path = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "infermesh-key-file-"));
  path = join(directory, "gossip.keys");
});
afterEach(() => rmSync(directory, { recursive: true }));

const key = (byte: number): string => Buffer.alloc(32, byte).toString("base64");
const fingerprint = (byte: number): string => new Keyring([Buffer.alloc(32, byte)]).primary!.fingerprint;
const OLD = fingerprint(1);
const NEW = fingerprint(2);

function ringOf(text: string): Keyring {
  writeFileSync(path, text);
  chmodSync(path, 0o600);
  return openKeyring({ key: "", keyFile: path });
}

const content = (): string => readFileSync(path, "latin1");
const fingerprints = (ring: Keyring): string[] => ring.list().map((listed) => listed.fingerprint);

/** That the change fails with such words, and that neither the ring nor anything in the directory has changed. */
function expectRefused(ring: Keyring, run: () => unknown, words: string): void {
  const before = [fingerprints(ring), readdirSync(directory).toSorted()];
  let message = "";
  try {
    run();
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toContain(words);
  expect(message).not.toContain(key(2).slice(0, 20));
  expect([fingerprints(ring), readdirSync(directory).toSorted()]).toEqual(before);
}

test("a rotation is in the file at each step, so that a restart comes back with the same ring", () => {
  const ring = ringOf(`${key(1)}\n`);
  expect(ring.kept).toBe(true);
  const steps = [
    [() => ring.add(key(2)), `${key(1)}\n${key(2)}\n`],
    [() => ring.use(NEW), `${key(2)}\n${key(1)}\n`],
    [() => ring.remove(OLD), `${key(2)}\n`],
  ] as const;
  for (const [step, text] of steps) {
    step();
    expect(content()).toBe(text);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(openKeyring({ key: "", keyFile: path }).list()).toEqual(ring.list());
    expect(readdirSync(directory)).toEqual(["gossip.keys"]);
  }
});

test("comments move and go with the key below them", () => {
  const ring = ringOf(`# first, of May\r\n${key(1)}\n\n# second: caf\xe9\n  ${key(2)}\n# the end`);
  ring.use(NEW);
  expect(content()).toBe(`\n# second: caf\xc3\xa9\n${key(2)}\n# first, of May\n${key(1)}\n# the end\n`);
  ring.remove(OLD);
  expect(content()).toBe(`\n# second: caf\xc3\xa9\n${key(2)}\n# the end\n`);
  ring.add(key(3));
  expect(content()).toBe(`\n# second: caf\xc3\xa9\n${key(2)}\n${key(3)}\n# the end\n`);
});

test("what changes nothing leaves the file alone, and makes good what is missing in it", () => {
  const ring = ringOf(`${key(1)}\n${key(2)}\n`);
  const { ino } = statSync(path);
  ring.use(OLD);
  ring.add(key(2));
  expect(statSync(path).ino).toBe(ino);
  writeFileSync(path, `${key(1)}\n`);
  ring.add(key(2));
  expect(content()).toBe(`${key(1)}\n${key(2)}\n`);
});

test("two processes share a file", () => {
  const ring = ringOf(`${key(1)}\n`);
  const other = openKeyring({ key: "", keyFile: path });
  for (const step of [
    (each: Keyring) => void each.add(key(2)),
    (each: Keyring) => each.use(NEW),
    (each: Keyring) => each.remove(OLD),
  ]) {
    for (const each of [ring, other]) step(each);
    expect(fingerprints(other)).toEqual(fingerprints(ring));
    expect(fingerprints(openKeyring({ key: "", keyFile: path }))).toEqual(fingerprints(ring));
  }
  // One that lacks a key can still take it out of the file.
  ring.add(key(3));
  other.remove(fingerprint(3));
  expect(content()).toBe(`${key(2)}\n`);
});

test("a key that somebody else put into the file is not lost", () => {
  const ring = ringOf(`${key(1)}\n`);
  writeFileSync(path, `${key(1)}\n# mine\n${key(9)}\n`);
  expectRefused(ring, () => ring.add(key(2)), "line 3: a key that this process does not use");
  expect(content()).toBe(`${key(1)}\n# mine\n${key(9)}\n`);
});

test("a link stays a link", () => {
  mkdirSync(join(directory, "real"));
  const real = join(directory, "real", "keys");
  writeFileSync(real, `${key(1)}\n`, { mode: 0o600 });
  symlinkSync(real, path);
  const ring = openKeyring({ key: "", keyFile: path });
  ring.add(key(2));
  expect(readFileSync(real, "utf8")).toBe(`${key(1)}\n${key(2)}\n`);
  expect(readlinkSync(path)).toBe(real);
});

test("a file that can't be used any more: the change fails, and nothing has changed", () => {
  const ring = ringOf(`${key(1)}\n`);
  chmodSync(path, 0o640);
  expectRefused(ring, () => ring.add(key(2)), "chmod 600");
  chmodSync(path, 0o600);
  writeFileSync(path, `${key(1)}\n${key(2).slice(1)}\n`);
  expectRefused(ring, () => ring.add(key(2)), "line 2: not 32 bytes");
  writeFileSync(path, `#${"x".repeat(16_300)}\n${key(1)}\n`);
  expectRefused(ring, () => ring.add(key(2)), "shorten its comments");
  renameSync(path, `${path}.old`);
  expectRefused(ring, () => ring.add(key(2)), "can't read the gossip key file: ENOENT");
  mkdirSync(path);
  expectRefused(ring, () => ring.add(key(2)), "is no file");
});

test("a directory that can't be written to: the change fails, and nothing has changed", () => {
  const ring = ringOf(`${key(1)}\n`);
  asSomebodyElse(() => {
    chmodSync(directory, 0o500);
    expectRefused(ring, () => ring.add(key(2)), "can't write the gossip key file: EACCES");
    expect(content()).toBe(`${key(1)}\n`);
    chmodSync(directory, 0o700);
    ring.add(key(2));
    expect(content()).toBe(`${key(1)}\n${key(2)}\n`);
  });
});

/** Root may do anything: its tests take another user's place for a while, whose file it then is. */
function asSomebodyElse(run: () => void): void {
  if (process.getuid!() !== 0) return run();
  for (const each of [directory, path]) chownSync(each, 65_534, 65_534);
  process.seteuid!(65_534);
  try {
    run();
  } finally {
    process.seteuid!(0);
  }
}

test("another user's file is refused, at the start and at a change, and root's is not", () => {
  if (process.getuid!() !== 0) return;
  const ring = ringOf(`${key(1)}\n`);
  chownSync(path, 65_534, 65_534);
  expectRefused(ring, () => ring.add(key(2)), "belongs to another user (65534), who can change it; run: chown 0");
  expectRefused(ring, () => openKeyring({ key: "", keyFile: path }), "belongs to another user");
  chownSync(path, 0, 0);
  ring.add(key(2));
  expect(content()).toBe(`${key(1)}\n${key(2)}\n`);
});

test("a key in place of the file's name is not repeated", () => {
  for (const given of [key(2), ` ${key(2)}\n`]) {
    const ring = new Keyring();
    expectRefused(ring, () => openKeyring({ key: "", keyFile: given }), "was given a key, not a file");
  }
});

test("what a crash left is removed, at the start and at a change; what may be at work, or is something else, is not", () => {
  const ring = ringOf(`${key(1)}\n`);
  const leave = (name: string, ageMs: number): void => {
    writeFileSync(join(directory, name), key(1), { mode: 0o600 });
    const seconds = (Date.now() - ageMs) / 1000;
    utimesSync(join(directory, name), seconds, seconds);
  };
  const others = [
    [".gossip.keys.0123456789ab", 1000],
    [".gossip.keys.backup", 1e9],
    [".gossip.keys.0123456789abcd", 1e9],
    [".other.keys.0123456789ab", 1e9],
  ] as const;
  for (const [name, ageMs] of others) leave(name, ageMs);
  const kept = [...others.map(([name]) => name), "gossip.keys"].toSorted();
  for (const run of [() => ring.add(key(2)), () => openKeyring({ key: "", keyFile: path })]) {
    leave(".gossip.keys.aaaaaaaaaaaa", 61_000);
    run();
    expect(readdirSync(directory).toSorted()).toEqual(kept);
  }
});
