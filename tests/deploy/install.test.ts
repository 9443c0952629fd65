/**
 * The install script, in every shell that is here, with an executable that is a script. A release is served on loopback.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import type { TCPSocketListener } from "bun";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tarball } from "../../scripts/artefacts/archive.ts";
import { checker, run, type Said } from "./checkers.ts";
import { CHECKOUT } from "./image.ts";

const SCRIPT = join(CHECKOUT, "deploy/install.sh");
const NAME = `infermesh-linux-${process.arch}`;
const folder = mkdtempSync(join(tmpdir(), "infermesh-install-test-"));
const shellcheck = checker("shellcheck");
const busybox = checker("busybox");

/** What stands in for the executable, of a version. */
const executable = (version: string): string =>
  `#!/bin/sh\ncase "$*" in --version) echo "infermesh ${version}" ;; "man --list") echo infermesh; echo infermesh-router ;; *) echo "# $*" ;; esac\n`;
const sha256 = (bytes: string | Uint8Array): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
const sums = (content: string | Uint8Array, name = NAME): string => `${sha256(content)}  ${name}\n`;

/** An archive of a release with these files of the checkout. */
function archiveOf(...paths: readonly string[]): Uint8Array {
  const entries = paths.map((path) => {
    return { name: `infermesh-9/${path}`, bytes: readFileSync(join(CHECKOUT, path)), isExecutable: false };
  });
  return tarball(entries, 0);
}
const archive = archiveOf("deploy/systemd/infermesh-agent.service", "deploy/systemd/infermesh-router.service");
const emptyArchive = archiveOf("deploy/README.md");

const good = executable("9.0.0");
const files: Record<string, string | Uint8Array> = {
  [`/good/${NAME}`]: good,
  [`/good/${NAME}.sha256`]: `${"0".repeat(64)}  ${NAME}.cdx.json\n${sums(good)}`,
  "/good/SHA256SUMS": sums(archive, "infermesh-9-deploy.tar.gz"),
  "/good/infermesh-9-deploy.tar.gz": archive,
  "/empty/SHA256SUMS": sums(emptyArchive, "infermesh-9-deploy.tar.gz"),
  "/empty/infermesh-9-deploy.tar.gz": emptyArchive,
  [`/empty/${NAME}`]: good,
  [`/empty/${NAME}.sha256`]: sums(good),
  [`/good/8.0.0/${NAME}`]: executable("8.0.0"),
  [`/good/8.0.0/${NAME}.sha256`]: sums(executable("8.0.0")),
  [`/forged/${NAME}`]: `${good}# more\n`,
  [`/forged/${NAME}.sha256`]: sums(good),
  [`/unlisted/${NAME}`]: good,
  [`/unlisted/${NAME}.sha256`]: sums(good, "infermesh-linux-other"),
  [`/cut/${NAME}.sha256`]: sums(good),
  [`/strange/${NAME}`]: "#!/bin/sh\necho hello\n",
  [`/strange/${NAME}.sha256`]: sums("#!/bin/sh\necho hello\n"),
  [`/broken/${NAME}`]: "#!/bin/sh\necho no >&2; exit 3\n",
  [`/broken/${NAME}.sha256`]: sums("#!/bin/sh\necho no >&2; exit 3\n"),
  [`/naked/${NAME}`]: good,
  "/evil/SHA256SUMS": sums("other", "infermesh-9-deploy.tar.gz"),
  "/evil/infermesh-9-deploy.tar.gz": archive,
  [`/evil/${NAME}`]: good,
  [`/evil/${NAME}.sha256`]: sums(good),
};

let base = "";
let server: TCPSocketListener;
beforeAll(() => {
  // Not Bun.serve: an answer that is cut short says that it would be longer.
  server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        const [, path = ""] = /^\S+ (\S+)/.exec(bytes.toString()) ?? [];
        const isCut = path === `/cut/${NAME}`;
        const body = isCut ? good : files[path];
        const head = (status: string, length: number): string =>
          `HTTP/1.1 ${status}\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n`;
        if (body === undefined) socket.end(head("404 Not Found", 0));
        else {
          socket.write(head("200 OK", Buffer.byteLength(body)));
          socket.end(isCut ? good.slice(0, 20) : body);
        }
      },
    },
  });
  base = `http://127.0.0.1:${server.port}`;
});
afterAll(() => {
  server.stop(true);
  rmSync(folder, { recursive: true, force: true });
});

/** Folders of a PATH with nothing but those commands, all of them Busybox's. */
function busyboxPath(...names: readonly string[]): string {
  const path = mkdtempSync(join(folder, "path-"));
  for (const name of names) symlinkSync(busybox ?? "", join(path, name));
  return path;
}
const TOOLS =
  "sh uname id mktemp rm mkdir cp mv chmod dirname basename sed head cut sha256sum tar gzip find cat printf sleep".split(
    " ",
  );

interface Place {
  readonly shell: readonly string[];
  readonly env: Record<string, string>;
}
const HOST = { PATH: process.env["PATH"] ?? "" };
const PLACES: Record<string, Place> = { "sh and curl": { shell: ["sh"], env: HOST } };
if (Bun.which("bash") !== null) PLACES["bash in POSIX mode"] = { shell: ["bash", "--posix"], env: HOST };
if (busybox !== null)
  PLACES["Busybox alone, with its wget"] = { shell: [busybox, "sh"], env: { PATH: busyboxPath(...TOOLS, "wget") } };

let homes = 0;
function home(): string {
  const made = join(folder, `home-${homes++}`);
  mkdirSync(made);
  return made;
}

/** What it left in a temporary folder of its own must be nothing. The server is in this process, so it must not block. */
async function install(place: Place, args: readonly string[], env: Record<string, string> = {}): Promise<Said> {
  const temporary = mkdtempSync(join(folder, "tmp-"));
  const child = Bun.spawn([...place.shell, SCRIPT, ...args], {
    env: { ...place.env, TMPDIR: temporary, ...env },
    cwd: folder,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 30_000,
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect(readdirSync(temporary)).toEqual([]);
  return { code, out, err };
}

test.skipIf(shellcheck === null)("shellcheck finds nothing", () => {
  expect(run([shellcheck ?? "", "--shell=sh", SCRIPT])).toEqual({ code: 0, out: "", err: "" });
  expect(run([shellcheck ?? "", "--shell=sh", "-"], { input: "#!/bin/sh\nlocal x\nrm $x\n" }).code).toBe(1);
});

describe.each(Object.entries(PLACES))("by %s", (_name, place) => {
  test("installs into ~/.local, without root, over what was there, at once", async () => {
    const HOME = home();
    const said = await install(place, [], { HOME, INFERMESH_BASE_URL: `${base}/good/` });
    expect(said).toMatchObject({ code: 0, err: "" });
    expect(said.out).toContain(`infermesh 9.0.0 is installed: ${HOME}/.local/bin/infermesh`);
    expect(said.out).toContain("is not in PATH");
    const target = join(HOME, ".local/bin/infermesh");
    expect(readFileSync(target, "utf8")).toBe(good);
    expect(statSync(target).mode & 0o777).toBe(0o755);
    const before = statSync(target).ino;
    const older = await install(place, ["--url", `${base}/good`, "--version", "8.0.0"], { HOME });
    expect(older).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(target, "utf8")).toBe(executable("8.0.0"));
    expect(statSync(target).ino).not.toBe(before);
    expect(readdirSync(join(HOME, ".local/bin"))).toEqual(["infermesh"]);
    expect(await install(place, ["--uninstall"], { HOME })).toMatchObject({ code: 0, err: "" });
    expect(existsSync(target)).toBe(false);
    expect(await install(place, ["--uninstall"], { HOME })).toMatchObject({
      code: 1,
      err: expect.stringContaining("there is no"),
    });
  });

  test.each([
    ["forged", "the checksum of"],
    ["unlisted", "has no line for"],
    ["cut", place.shell[0] === "sh" || place.shell[0] === "bash" ? "can't download" : ""],
    ["strange", "does not say that it is infermesh"],
    ["broken", "does not run on this machine"],
    ["naked", "can't download"],
    ["nothing", "can't download"],
  ])("refuses a release that is %s, and leaves what was there", async (release, says) => {
    const HOME = home();
    const target = join(HOME, ".local/bin/infermesh");
    mkdirSync(join(HOME, ".local/bin"), { recursive: true });
    writeFileSync(target, "before");
    const { code, err } = await install(place, ["--url", `${base}/${release}`], { HOME });
    expect(code).toBe(1);
    expect(err).toContain(says);
    expect(err).toContain("infermesh: ");
    expect(readFileSync(target, "utf8")).toBe("before");
    expect(readdirSync(join(HOME, ".local/bin"))).toEqual(["infermesh"]);
  });

  test("takes a file of this machine, with completions and manual pages", async () => {
    const HOME = home();
    const file = join(HOME, "built");
    writeFileSync(file, good);
    expect(await install(place, ["--file", file], { HOME })).toMatchObject({
      code: 1,
      err: expect.stringContaining("nothing is installed unchecked"),
    });
    writeFileSync(`${file}.sha256`, sums(good, "built"));
    const said = await install(place, ["--file", file, "--prefix", `${HOME}/own`, "--completions"], { HOME });
    expect(said).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(join(HOME, "own/share/bash-completion/completions/infermesh"), "utf8")).toBe(
      "# ctl completion bash\n",
    );
    expect(readFileSync(join(HOME, "own/share/man/man1/infermesh-router.1"), "utf8")).toBe("# man infermesh-router\n");
    expect(await install(place, ["--uninstall", "--prefix", `${HOME}/own`], { HOME })).toMatchObject({ code: 0 });
    const left = readdirSync(join(HOME, "own"), { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(left).toEqual([]);
  });

  test("installs a unit that runs what it installed, and takes it away again", async () => {
    const HOME = home();
    const INFERMESH_ROOT = join(HOME, "root");
    const said = await install(place, ["--url", `${base}/good`, "--systemd", "router"], { HOME, INFERMESH_ROOT });
    expect(said).toMatchObject({ code: 0, err: "" });
    const unit = join(INFERMESH_ROOT, "etc/systemd/system/infermesh-router.service");
    // As a package has it, whose files are put below another root first.
    expect(readFileSync(unit, "utf8")).toContain("\nExecStart=/usr/local/bin/infermesh router\n");
    expect(existsSync(join(INFERMESH_ROOT, "usr/local/bin/infermesh"))).toBe(true);
    const elsewhere = ["--url", `${base}/good`, "--systemd", "agent", "--prefix", "/opt/mesh"];
    expect(await install(place, elsewhere, { HOME, INFERMESH_ROOT })).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(unit.replace("router", "agent"), "utf8")).toContain(
      "\nExecStart=/opt/mesh/bin/infermesh agent\n",
    );
    rmSync(unit.replace("router", "agent"));
    const forged = await install(place, ["--url", `${base}/evil`, "--systemd", "agent"], { HOME, INFERMESH_ROOT });
    expect(forged).toMatchObject({
      code: 1,
      err: expect.stringContaining("the checksum of infermesh-9-deploy.tar.gz is wrong"),
    });
    expect(existsSync(unit.replace("router", "agent"))).toBe(false);
    expect(
      await install(place, ["--url", `${base}/empty`, "--systemd", "agent"], { HOME, INFERMESH_ROOT }),
    ).toMatchObject({
      code: 1,
      err: expect.stringContaining("there is no infermesh-agent.service in infermesh-9-deploy.tar.gz"),
    });
    expect(await install(place, ["--uninstall", "--system"], { HOME, INFERMESH_ROOT })).toMatchObject({
      code: 0,
      err: "",
    });
    expect([existsSync(unit), existsSync(join(INFERMESH_ROOT, "usr/local/bin/infermesh"))]).toEqual([false, false]);
  });

  test("says what it could not install, and puts nothing into a folder that has its name", async () => {
    const HOME = home();
    const file = join(HOME, "built");
    const silent = '#!/bin/sh\ncase "$1" in --version) echo "infermesh 1.0.0" ;; *) exit 3 ;; esac\n';
    writeFileSync(file, silent);
    writeFileSync(`${file}.sha256`, sums(silent, "built"));
    expect(await install(place, ["--file", file, "--completions"], { HOME })).toMatchObject({
      code: 1,
      err: expect.stringContaining("infermesh ctl completion bash failed; the executable is installed"),
    });
    mkdirSync(join(HOME, "taken/bin/infermesh"), { recursive: true });
    expect(await install(place, ["--file", file, "--prefix", `${HOME}/taken`], { HOME })).toMatchObject({
      code: 1,
      err: expect.stringContaining("is a folder"),
    });
    expect(readdirSync(join(HOME, "taken/bin"), { recursive: true })).toEqual(["infermesh"]);
  });

  test.each([
    [["--speed"], "no such flag: --speed"],
    [["--url"], "--url needs a value"],
    [["--systemd", "mesh"], "takes router or agent, not mesh"],
    [["--version", "../../etc"], "that is no version"],
    [["--systemd", "router", "--prefix", "/opt/a b"], "of letters, digits"],
    [["--systemd", "router", "--prefix", "/opt/%n"], "of letters, digits"],
  ])("says what is wrong about %j", async (args, says) => {
    expect(await install(place, args, { HOME: home() })).toMatchObject({
      code: 2,
      out: "",
      err: expect.stringContaining(says),
    });
  });

  test("says what it needs to know", async () => {
    expect(await install(place, [], { HOME: home() })).toMatchObject({
      code: 1,
      err: expect.stringContaining("where from? Say --url URL"),
    });
    expect(await install(place, ["--url", base])).toMatchObject({
      code: 1,
      err: expect.stringContaining("HOME is not set"),
    });
    expect((await install(place, ["--help"])).out).toContain("Usage: sh install.sh [flags]");
  });

  test("does nothing before all of it has arrived", async () => {
    const text = readFileSync(SCRIPT, "utf8");
    const HOME = home();
    for (let cut = 0; cut < text.length - 10; cut += 997) {
      const child = Bun.spawn([...place.shell], {
        env: { ...place.env, HOME, INFERMESH_BASE_URL: `${base}/good` },
        stdin: Buffer.from(text.slice(0, cut)),
        stdout: "ignore",
        stderr: "ignore",
      });
      await child.exited;
      expect(readdirSync(HOME)).toEqual([]);
    }
  });
});

test.skipIf(process.getuid?.() !== 0)(
  "a folder that can't be written, and a --system that is not root's, are told",
  async () => {
    const HOME = home();
    chmodSync(folder, 0o755);
    mkdirSync(join(HOME, ".local"), { mode: 0o555 });
    const place = { shell: ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "sh"], env: HOST };
    const temporary = mkdtempSync(join(folder, "open-"));
    chmodSync(temporary, 0o777);
    const ours = (args: readonly string[]) => {
      const script = readFileSync(SCRIPT, "utf8");
      return Bun.spawn([...place.shell, "-s", "--", ...args], {
        env: { ...HOST, HOME, TMPDIR: temporary },
        stdin: Buffer.from(script),
        stdout: "pipe",
        stderr: "pipe",
      });
    };
    const denied = ours(["--url", `${base}/good`]);
    expect(await new Response(denied.stderr).text()).toContain("choose another --prefix");
    expect(await denied.exited).toBe(1);
    const system = ours(["--url", `${base}/good`, "--system"]);
    expect(await new Response(system.stderr).text()).toContain("run this as root, or leave them out");
    expect(await system.exited).toBe(1);
    expect(readdirSync(join(HOME, ".local"))).toEqual([]);
  },
);

test.skipIf(busybox === null)(
  "without curl and wget, or without sha256sum and shasum, it says what is missing",
  async () => {
    const HOME = home();
    const of = (...without: readonly string[]): Place => {
      const names = [...TOOLS, "wget"].filter((name) => !without.includes(name));
      return { shell: ["/bin/sh"], env: { PATH: busyboxPath(...names) } };
    };
    const url = ["--url", `${base}/good`];
    expect(await install(of("wget"), url, { HOME })).toMatchObject({
      code: 1,
      err: expect.stringContaining("neither curl nor wget is here"),
    });
    expect(await install(of("sha256sum"), url, { HOME })).toMatchObject({
      code: 1,
      err: expect.stringContaining("nothing is installed unchecked"),
    });
    expect(await install(of(), url, { HOME })).toMatchObject({ code: 0, err: "" });
  },
);
