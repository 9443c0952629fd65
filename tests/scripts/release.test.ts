/** What a release is made of and what forbids one, in a checkout of its own with a builder that only writes files. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { type ArchiveEntry, tar, tarball } from "../../scripts/artefacts/archive.ts";
import { entryOf } from "../../scripts/artefacts/changelog.ts";
import { releaseFaults } from "../../scripts/artefacts/checkout.ts";
import { type Builder, type Manifest, PROCESSORS, differences, release } from "../../scripts/artefacts/release.ts";

const scratch = mkdtempSync(join(tmpdir(), "infermesh-release-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const CHANGELOG = `# Changelog

## [Unreleased]

## [1.2.3] - 2026-11-28

### Added

- Much.

## [1.2.2] - 2026-11-01

- Less.

[1.2.3]: #123
`;
const CHART = `name: infermesh\nversion: 1.2.3\nappVersion: "1.2.3"\n`;

let count = 0;
let root = "";

function git(...args: string[]): string {
  const own = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
  const env = { ...process.env, GIT_AUTHOR_DATE: "2026-11-28T01:02:03Z", GIT_COMMITTER_DATE: "2026-11-28T01:02:03Z" };
  const done = Bun.spawnSync(["git", ...own, ...args], { cwd: root, env, stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(done.stderr.toString());
  return done.stdout.toString().trim();
}

function write(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text, { mode });
}

function commit(): void {
  git("add", "-A");
  git("commit", "-q", "-m", "x");
}

beforeEach(() => {
  count += 1;
  root = join(scratch, `checkout-${count}`);
  mkdirSync(root);
  git("init", "-q");
  write("package.json", JSON.stringify({ version: "1.2.3" }));
  write("CHANGELOG.md", CHANGELOG);
  write("LICENSE", "Apache\n");
  write(".gitignore", "dist/\n");
  write("deploy/helm/infermesh/Chart.yaml", CHART);
  write("deploy/helm/infermesh/templates/router.yaml", "kind: Deployment\n");
  write("deploy/install.sh", "#!/bin/sh\n", 0o755);
  write("deploy/systemd/infermesh.service", "[Unit]\n");
  commit();
});

/** Leaves what the real one would, of a few bytes. */
function builderOf(more: Partial<Builder> = {}): Builder {
  return {
    fault: () => "",
    build: async (processor, timeSeconds) => {
      for (const suffix of ["", ".xz", ".cdx.json", ".notices.txt", ".sha256"]) {
        write(`dist/infermesh-linux-${processor}${suffix}`, `${processor}${suffix} at ${timeSeconds}`);
      }
    },
    said: async (...args) =>
      args.join(" ") === "man --list" ? "infermesh\ninfermesh-ctl-get\n" : `# infermesh 1.2.3: ${args.join(" ")}\n`,
    ...more,
  };
}

function make(
  builder = builderOf(),
  processors = PROCESSORS as readonly (typeof PROCESSORS)[number][],
  out = join(root, "dist", "release"),
  replaces = false,
) {
  return release({ root, out, replaces, processors, builder, say() {} });
}

/** What is said of a release that is not made; "" of one that is. */
const refusalOf = (made: Promise<unknown>): Promise<string> =>
  made.then(
    () => "",
    (error: Error) => error.message,
  );

const NAMES = ["x64", "arm64"].flatMap((processor) =>
  ["", ".cdx.json", ".notices.txt", ".sha256", ".xz"].map((suffix) => `infermesh-linux-${processor}${suffix}`),
);

describe("a release", () => {
  test("has everything, told with size and hash, the same each time", async () => {
    const made = await make();
    const out = join(root, "dist", "release");
    const names = [
      ...NAMES,
      "infermesh-1.2.3-share.tar.gz",
      "infermesh-1.2.3-deploy.tar.gz",
      "infermesh-chart-1.2.3.tgz",
      "install.sh",
      "LICENSE",
      "RELEASE_NOTES.md",
    ];
    expect(made.files.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
    expect(readdirSync(out).toSorted()).toEqual([...names, "SHA256SUMS", "release.json"].toSorted());
    expect(made).toMatchObject({
      version: "1.2.3",
      commit: git("rev-parse", "HEAD"),
      tag: null,
      date: "2026-11-28T01:02:03.000Z",
    });
    expect(JSON.parse(readFileSync(join(out, "release.json"), "utf8"))).toEqual(made);
    const checked = Bun.spawnSync(["sha256sum", "--check", "--strict", "SHA256SUMS"], { cwd: out, stdout: "pipe" });
    expect([checked.exitCode, checked.stdout.toString().match(/: OK$/gm)?.length]).toEqual([0, names.length + 1]);
    expect(statSync(join(out, "infermesh-linux-x64")).mode & 0o777).toBe(0o755);
    expect(statSync(join(out, "install.sh")).mode & 0o777).toBe(0o755);
    expect(readFileSync(join(out, "RELEASE_NOTES.md"), "utf8")).toBe("# infermesh 1.2.3\n\n### Added\n\n- Much.\n");
    expect(readFileSync(join(out, "infermesh-linux-x64"), "utf8")).toBe(
      `x64 at ${Date.parse("2026-11-28T01:02:03Z") / 1000}`,
    );

    const again = await make(builderOf(), PROCESSORS, join(scratch, `again-${count}`));
    expect(differences(again, made)).toEqual([]);
  });

  test("has archives that tar reads, with what the commit has and nothing else", async () => {
    write("dist/left-over", "x");
    await make();
    const list = (name: string): string[] => {
      const done = Bun.spawnSync(["tar", "-tvzf", join(root, "dist", "release", name)], {
        stdout: "pipe",
        env: { ...process.env, TZ: "UTC" },
      });
      return done.stdout.toString().trim().split("\n");
    };
    expect(list("infermesh-chart-1.2.3.tgz")).toEqual([
      expect.stringMatching(/^-rw-r--r-- root\/root +\d+ 2026-11-28 01:02 infermesh\/Chart\.yaml$/),
      expect.stringMatching(/ infermesh\/templates\/router\.yaml$/),
    ]);
    expect(list("infermesh-1.2.3-deploy.tar.gz")).toEqual([
      expect.stringContaining("infermesh-1.2.3/deploy/helm/infermesh/Chart.yaml"),
      expect.stringContaining("infermesh-1.2.3/deploy/helm/infermesh/templates/router.yaml"),
      expect.stringMatching(/^-rwxr-xr-x .*infermesh-1\.2\.3\/deploy\/install\.sh$/),
      expect.stringContaining("infermesh-1.2.3/deploy/systemd/infermesh.service"),
    ]);
    expect(list("infermesh-1.2.3-share.tar.gz").map((line) => line.split(" ").at(-1))).toEqual(
      [
        ...["bash", "fish", "zsh"].map((shell) => `completions/infermesh.${shell}`),
        ...["infermesh-ctl-get", "infermesh"].map((page) => `man/man1/${page}.1`),
      ].map((name) => `infermesh-1.2.3/${name}`),
    );
  });

  test("has each manual page that the executable names, and takes no other name for one", async () => {
    await make();
    const pages = join(root, "dist", "release", "infermesh-1.2.3-share.tar.gz");
    const path = "infermesh-1.2.3/man/man1/infermesh-ctl-get.1";
    const read = Bun.spawnSync(["tar", "-xzOf", pages, path], { stdout: "pipe" });
    expect(read.stdout.toString()).toBe("# infermesh 1.2.3: man infermesh-ctl-get\n");
    const said = async (...args: string[]): Promise<string> => (args[0] === "man" ? "../../etc/passwd\n" : "# x\n");
    const refused = await refusalOf(make(builderOf({ said }), PROCESSORS, join(scratch, `odd${count}`)));
    expect(refused).toContain('infermesh man --list names "../../etc/passwd"');
    const old = async (...args: string[]): Promise<string> =>
      args[1] === "--list" ? "infermesh\n" : "infermesh 0.0.0-dev\n";
    const dated = await refusalOf(make(builderOf({ said: old }), PROCESSORS, join(scratch, `old${count}`)));
    expect(dated).toContain("infermesh man infermesh prints a page that is not of 1.2.3");
  });

  test("takes the place of the one before where it is told to, and only when nothing forbids it", async () => {
    const out = join(root, "dist", "release");
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, "old"), "");
    write("loose", "");
    expect(await refusalOf(make(builderOf(), PROCESSORS, out, true))).toContain("loose");
    expect(readdirSync(out)).toEqual(["old"]);
    rmSync(join(root, "loose"));
    expect(await refusalOf(make(builderOf(), PROCESSORS, out))).toContain("is not empty");
    await make(builderOf(), PROCESSORS, out, true);
    expect(readdirSync(out)).not.toContain("old");
  });

  test("of a commit with its tag says so", async () => {
    git("tag", "v1.2.3");
    expect((await make()).tag).toBe("v1.2.3");
  });

  test("for one processor is what was asked for, where the other can't be built", async () => {
    const builder = builderOf({
      fault: (processor) => (processor === "arm64" ? "there is no C compiler for arm64" : ""),
    });
    expect(await refusalOf(make(builder))).toContain(
      "there is no C compiler for arm64; or build for one processor: --only x64",
    );
    expect(existsSync(join(root, "dist", "release"))).toBe(false);
    const made = await make(builder, ["x64"]);
    expect(made.files.some(({ name }) => name.includes("arm64"))).toBe(false);
  });
});

describe("no release is made", () => {
  test("of changes that are in no commit, a file that git does not know among them", async () => {
    write("new-file", "x");
    write("LICENSE", "changed\n");
    expect(await refusalOf(make())).toContain(
      "there are changes that are in no commit (LICENSE, new-file): commit or remove them",
    );
  });

  test("of a version without an entry in the changelog, or with one that has no date or says nothing", async () => {
    for (const changelog of [
      "",
      "## [1.2.3]\n\n- x\n",
      "## [1.2.3] - 2026-11-28\n\n## [1.2.2] - 2026-11-01\n\n- x\n",
    ]) {
      write("CHANGELOG.md", changelog);
      commit();
      expect(await refusalOf(make())).toContain(
        'CHANGELOG.md has no entry for 1.2.3: it wants "## [1.2.3] - YYYY-MM-DD"',
      );
    }
  });

  test("of another version than the tag's, or of one that another commit has", async () => {
    git("tag", "v1.2.4");
    expect(await refusalOf(make())).toContain("the commit has the tag v1.2.4, and package.json says 1.2.3");
    git("tag", "-d", "v1.2.4");
    git("tag", "v1.2.3");
    write("more", "x");
    commit();
    expect(await refusalOf(make())).toContain("1.2.3 is another commit already (the tag v1.2.3 is at ");
  });

  test("outside of git", async () => {
    const nowhere = mkdtempSync(join(scratch, "no-git-"));
    expect(
      await refusalOf(
        release({
          replaces: false,
          root: nowhere,
          out: join(nowhere, "o"),
          processors: ["x64"],
          builder: builderOf(),
          say() {},
        }),
      ),
    ).toContain("is no git checkout");
  });

  test("over what is there", async () => {
    write("dist/release/precious", "x");
    expect(await refusalOf(make())).toContain("is not empty: name another folder by --out");
    expect(readdirSync(join(root, "dist", "release"))).toEqual(["precious"]);
  });

  test("of a build that fails, leaves something out, or changes the checkout", async () => {
    const failing = builderOf({ build: () => Promise.reject(new Error("the compiler fell over")) });
    expect(await refusalOf(make(failing, PROCESSORS, join(scratch, `f${count}`)))).toContain("the compiler fell over");
    const partial = builderOf({ build: async (processor) => write(`dist/infermesh-linux-${processor}`, "x") });
    expect(await refusalOf(make(partial, PROCESSORS, join(scratch, `p${count}`)))).toContain(
      "left no infermesh-linux-x64.xz",
    );
    const whole = builderOf();
    const meddling = builderOf({
      build: async (...args) => {
        await whole.build(...args);
        write("LICENSE", "meddled\n");
      },
    });
    expect(await refusalOf(make(meddling, PROCESSORS, join(scratch, `m${count}`)))).toContain(
      "changes that are in no commit (LICENSE)",
    );
  });

  test("with a chart of another version, or completions that are empty", async () => {
    expect(
      await refusalOf(
        make(
          builderOf({ said: async (word) => (word === "man" ? "infermesh\n" : "\n") }),
          PROCESSORS,
          join(scratch, `c${count}`),
        ),
      ),
    ).toContain("printed nothing");
    write("deploy/helm/infermesh/Chart.yaml", CHART.replace("version: 1.2.3", "version: 1.2.2"));
    commit();
    expect(await refusalOf(make())).toContain(
      "deploy/helm/infermesh/Chart.yaml is of 1.2.2, for 1.2.3; expected 1.2.3",
    );
  });
});

test("all faults are told together", () => {
  const faults = releaseFaults({
    version: "1.2.3",
    changelog: "",
    changes: ["a", "b", "c", "d", "e", "f", "g"],
    tagsHere: ["v9.9.9", "nightly"],
    taggedCommit: "",
    commit: "x",
  });
  expect(faults).toHaveLength(3);
  expect(faults[0]).toContain("(a, b, c, d, e, and 2 more)");
  const bad = { version: "1.2", changelog: "", changes: [], tagsHere: [], taggedCommit: "", commit: "x" };
  expect(releaseFaults(bad)).toEqual([`package.json's version is "1.2"; expected one like 1.2.3 or 1.2.3-rc.1`]);
});

test("another release of the same commit is compared file by file", () => {
  const file = (name: string, sha256: string) => ({ name, bytes: 1, sha256 });
  const own: Manifest = { version: "1.0.0", commit: "c", tag: null, date: "", files: [file("a", "1"), file("b", "2")] };
  expect(differences(own, { ...own, files: [file("a", "9"), file("c", "3")] })).toEqual([
    "a is another one: 9 there, 1 here",
    "b is not in it",
    "c is only there",
  ]);
  expect(differences(own, { ...own, commit: "d" })).toEqual(["it is of commit d, and this one of c"]);
});

describe("the changelog", () => {
  test("gives a version's entry, up to the next one or the links", () => {
    expect(entryOf(CHANGELOG, "1.2.3")).toEqual({ version: "1.2.3", date: "2026-11-28", text: "### Added\n\n- Much." });
    expect(entryOf(CHANGELOG, "1.2.2")?.text).toBe("- Less.");
    expect(entryOf(CHANGELOG, "Unreleased")).toBeUndefined();
    expect(entryOf(CHANGELOG, "1.2")).toBeUndefined();
  });

  test("whatever it holds, gives an entry or none", () => {
    const line = fc.oneof(
      fc.constantFrom("## [1.0.0] - 2026-01-01", "## [1.0.0]", "[1.0.0]: x", "", "- x", "## "),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        const entry = entryOf(lines.join("\n"), "1.0.0");
        expect(entry === undefined || (entry.text !== "" && !entry.text.includes("## ["))).toBe(true);
      }),
    );
  });
});

describe("an archive", () => {
  const entry = (name: string, bytes = new Uint8Array(0), isExecutable = false): ArchiveEntry => ({
    name,
    bytes,
    isExecutable,
  });

  test("gives back what went in, whatever the names and sizes", () => {
    const name = fc
      .array(fc.stringMatching(/^[a-zA-Z0-9_-]{1,60}$/), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join("/"));
    const made = fc.record({ name, bytes: fc.uint8Array({ maxLength: 1500 }), isExecutable: fc.boolean() });
    const folder = mkdtempSync(join(scratch, "tar-"));
    fc.assert(
      fc.property(
        fc.uniqueArray(made, { selector: (one) => one.name.split("/")[0], minLength: 1, maxLength: 6 }),
        (entries) => {
          const out = mkdtempSync(join(folder, "x-"));
          const done = Bun.spawnSync(["tar", "-xf", "-", "-C", out], {
            stdin: tar(entries, 1_700_000_000),
            stderr: "pipe",
          });
          expect([done.exitCode, done.stderr.toString()]).toEqual([0, ""]);
          for (const { name: path, bytes, isExecutable } of entries) {
            expect(new Uint8Array(readFileSync(join(out, path)))).toEqual(bytes);
            expect((statSync(join(out, path)).mode & 0o100) !== 0).toBe(isExecutable);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test("does not depend on the order in which it is given", () => {
    const entries = [entry("b"), entry("a/c", new Uint8Array([1])), entry("a/b")];
    expect(tarball(entries.toReversed(), 5)).toEqual(tarball(entries, 5));
    expect(tarball(entries, 6)).not.toEqual(tarball(entries, 5));
  });

  test("takes no name that leads out of it, comes twice or is too long", () => {
    for (const name of ["/a", "../a", "a/../b", "a/.", "", "a\0b"])
      expect(() => tar([entry(name)], 0)).toThrow("no name for an archive");
    expect(() => tar([entry("a"), entry("a")], 0)).toThrow("a is in the archive twice");
    expect(() => tar([entry("x".repeat(101))], 0)).toThrow("too long a name");
    const long = `${"p".repeat(155)}/${"n".repeat(100)}`;
    expect(Buffer.from(tar([entry(long)], 0)).toString("latin1")).toContain("p".repeat(155));
  });
});
