/** The parts of fetching what is pinned that need no network: archives of ar, and the names of compilers. */
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MACHINES } from "../../scripts/static/machine.ts";
import { MUSL, NotHere, arMember } from "../../scripts/static/pins.ts";
import { compilerFor } from "../../scripts/static/shim.ts";

/** An archive as `ar` writes it; Debian's have names without a slash. */
function archive(members: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const parts = members.flatMap(([name, bytes]) => {
    const head = `${name.padEnd(16)}${"0".padEnd(12)}${"0".padEnd(6)}${"0".padEnd(6)}${"100644".padEnd(8)}`;
    return [
      Buffer.from(`${head}${String(bytes.length).padEnd(10)}\x60\n`),
      bytes,
      Buffer.alloc(bytes.length % 2, "\n"),
    ];
  });
  return new Uint8Array(Buffer.concat([Buffer.from("!<arch>\n"), ...parts]));
}

describe("an ar archive", () => {
  test("gives its members, whatever they hold", () => {
    const member = fc.tuple(fc.stringMatching(/^[a-z.]{1,15}$/), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(fc.uniqueArray(member, { selector: ([name]) => name, maxLength: 5 }), (members) => {
        const bytes = archive(members);
        for (const [name, data] of members) expect(arMember(bytes, name)).toEqual(data);
        expect(arMember(bytes, "NOT-THERE")).toBeUndefined();
      }),
    );
  });

  test("names may end with a slash", () => {
    expect(arMember(archive([["data.tar.xz/", new Uint8Array([1, 2])]]), "data.tar.xz")).toEqual(
      new Uint8Array([1, 2]),
    );
  });

  test("cut short or overwritten, it gives a member or nothing", () => {
    const whole = archive([
      ["debian-binary", Buffer.from("2.0\n")],
      ["data.tar.xz", new Uint8Array(99)],
    ]);
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 6 }), fc.nat(whole.length), (changes, size) => {
        const bytes = whole.slice(0, size);
        for (const [at, value] of changes) if (at < size) bytes[at] = value;
        const found = arMember(bytes, "data.tar.xz");
        expect(found === undefined || found.length <= size).toBe(true);
      }),
    );
  });
});

test("what is pinned is pinned by whole hashes", () => {
  for (const { sha256 } of Object.values(MUSL.packages)) expect(sha256).toMatch(/^[0-9a-f]{64}$/);
});

describe("a compiler for each processor", () => {
  const other = process.arch === "x64" ? MACHINES.arm64 : MACHINES.x64;
  const variable = `CC_${other.name.toUpperCase()}`;
  const before = process.env[variable];

  afterEach(() => {
    if (before === undefined) delete process.env[variable];
    else process.env[variable] = before;
  });

  test("is the one that the environment names", () => {
    process.env[variable] = "sh -c";
    expect(compilerFor(other)).toEqual(["sh", "-c"]);
  });

  test("or else what is to be installed is named", () => {
    process.env[variable] = "no-such-compiler -m64";
    const install = other.name === "arm64" ? "gcc-aarch64-linux-gnu" : "gcc-x86-64-linux-gnu";
    expect(() => compilerFor(other)).toThrow(NotHere);
    expect(() => compilerFor(other)).toThrow(
      `there is no C compiler for ${other.name} (no-such-compiler -m64): install ${install} (Debian, Ubuntu) or name ` +
        `one by ${variable}`,
    );
  });
});
