/** Profiles: made, chosen, obeyed, and told to be broken with where. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ControlBed, ctl, type Running } from "./control-bed.ts";

const directory = mkdtempSync(join(tmpdir(), "infermesh-control-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let bed: ControlBed;
beforeEach(() => {
  bed = new ControlBed();
});
afterEach(() => bed.stop());

const run = (line: string, how?: Running) => ctl(bed.endpoint, line.split(" "), how);

describe("profiles", () => {
  const path = join(directory, "ctl.yaml");
  const env = { INFERMESH_CTL_CONFIG: path, INFERMESH_ENDPOINT: "" };
  const own = async (line: string, more: Record<string, string> = {}) => {
    // These read the environment of the process, as the shell gives it to them.
    const before = process.env["INFERMESH_CTL_CONFIG"];
    process.env["INFERMESH_CTL_CONFIG"] = path;
    try {
      return await run(line, { env: { ...env, ...more } });
    } finally {
      if (before === undefined) delete process.env["INFERMESH_CTL_CONFIG"];
      else process.env["INFERMESH_CTL_CONFIG"] = before;
    }
  };

  test("are made, chosen, shown, listed and deleted", async () => {
    rmSync(path, { force: true });
    expect(await own("profiles list")).toMatchObject({ code: 0, err: expect.stringContaining("no profiles in") });
    expect((await own(`profiles set prod --endpoint ${bed.endpoint} --output text`)).out).toBe("profile prod made\n");
    expect((await own("profiles set lab --endpoint http://127.0.0.1:1 --use")).out).toBe(
      "profile lab made, and the current one now\n",
    );
    expect((await own("profiles set prod --timeout 3s")).out).toBe("profile prod changed\n");
    expect((await own("profiles list -o text")).out.replaceAll(bed.endpoint, "ENDPOINT")).toBe(
      "-\tprod\tENDPOINT\ttext\t3s\n*\tlab\thttp://127.0.0.1:1\t-\t-\n",
    );
    expect((await own("profiles show prod -o json")).out).toContain('"timeout": "3s"');
    expect(statSync(path).mode & 0o777).toBe(0o600);

    // The current one is asked, unless a flag or a variable names another one.
    expect(await own("list-pins")).toMatchObject({ code: 3, err: expect.stringContaining("http://127.0.0.1:1") });
    bed.answers.set("ListPins", () => ({ policies: [{ kind: "pin", name: "m", pin: {}, revision: "1" }] }));
    expect((await own("list-pins --profile prod")).out).toStartWith("m\t-");
    expect((await own("list-pins", { INFERMESH_PROFILE: "prod" })).out).toStartWith("m\t-");
    expect((await own("list-pins --profile prod -o table")).out).toStartWith("MODEL");

    expect(await own("list-pins --profile prd")).toMatchObject({
      code: 2,
      err: expect.stringContaining(
        `profile: found "prd" (flag --profile); expected a profile of ${path}; did you mean prod?`,
      ),
    });
    expect((await own("profiles use prod")).out).toBe("prod is the current profile now\n");
    expect(await own("profiles use prd")).toMatchObject({
      code: 1,
      err: expect.stringContaining("did you mean prod?"),
    });
    expect(await own("profiles current")).toMatchObject({ code: 0, out: "prod\n" });
    expect((await own("profiles delete prod")).out).toBe(
      "profile prod deleted; it was the current one, and none is now\n",
    );
    expect(await own("profiles current")).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("`infermesh ctl profiles use NAME`"),
    });
    expect(await own("profiles show")).toMatchObject({
      code: 1,
      err: expect.stringContaining("no profile is current"),
    });
    expect((await own("profiles use lab")).code).toBe(0);
    expect((await own("profiles use")).out).toBe("no profile is current now\n");
    expect(await own("profiles set a/b --use")).toMatchObject({ code: 2, err: expect.stringContaining('"a/b"') });
    expect((await own("profiles set lab -o wide")).err).toContain("`infermesh ctl profiles use lab` makes it so");
    expect(await own("profiles set new")).toMatchObject({ code: 2, err: expect.stringContaining("say what to set") });
    expect((await own("profiles list -o text")).out).not.toContain("new");
    writeFileSync(path, "current: gone\nprofiles: {lab: {}}\n");
    expect(await own("profiles current")).toMatchObject({ code: 1, out: "gone\n" });
  });

  test.each([
    ["current: a\nprofiles:\n  a: [\n", "(file): found", ", line 3); expected YAML; the parser says"],
    ["7", "(file): found 7", "expected the keys current and profiles"],
    ["\ncurent: a", "curent: found", ", line 2); no such key; there are current and profiles; did you mean current?"],
    ["current: 3", "current: found 3", ", line 1); expected the name of a profile"],
    ["profiles: [a]", "profiles: found", ", line 1); expected profiles by name"],
    ["profiles:\n  a:\n    endpoint: ftp://x", 'profiles.a.endpoint: found "ftp://x"', ", line 3); expected the URL"],
    ["profiles:\n  a:\n    endpont: x", "profiles.a.endpont: found", ", line 3); no such key; did you mean endpoint?"],
    ["profiles:\n  a: {}\n  'a b': {}", 'profiles.a b: found "a b"', ", line 3); expected a profile's name"],
    ["profiles:\n  a: 5", "profiles.a: found 5", ", line 2); expected the keys endpoint, output and timeout"],
    ["profiles:\n  a: {}\n  a: {}", "a: found the key a second time", ", line 3); expected it once"],
    ["current: gone", 'current: found "gone"', "expected a profile of that file"],
  ])("a file of %j is told to be wrong, with where", async (text, fault, place) => {
    writeFileSync(path, text);
    const { code, err } = await own("list-pins");
    expect(code).toBe(2);
    expect(err).toContain(fault);
    expect(err).toContain(place);
    expect(err).toContain(path);
    if (fault.startsWith('current: found "gone')) return;
    expect(await own("profiles list")).toMatchObject({ code: 2, err: expect.stringContaining(fault) });
    // What is broken is not written over.
    expect(await own("profiles set b --use")).toMatchObject({ code: 2, err: expect.stringContaining(place) });
  });

  test("all that is wrong with a file is told at once", async () => {
    writeFileSync(path, "curent: a\nprofiles:\n  a: { output: wid, timeout: 5 }\n");
    expect((await own("list-pins")).err).toStartWith("infermesh ctl list-pins: 3 faults\n");
  });

  test("a file that can't be read is no file without profiles", async () => {
    rmSync(path, { force: true });
    mkdirSync(path);
    expect(await own("list-pins")).toMatchObject({ code: 2, err: expect.stringContaining("it is a folder") });
    rmSync(path, { recursive: true });
    writeFileSync(path, "#".repeat(2 ** 20 + 1));
    expect(await own("list-pins")).toMatchObject({ code: 2, err: expect.stringContaining("at most 1 MiB") });
  });
});
