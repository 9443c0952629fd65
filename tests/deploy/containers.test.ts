/**
 * The images: linted, and run. No engine is needed: what the Dockerfiles say is carried out by tests/deploy/image.ts, so
 * that entry point, user, folders, health check and end are tried as an engine would.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agentSettings, routerSettings } from "../../src/config.ts";
import { settingsOf } from "../../src/base/settings-reading.ts";
import { until } from "../process/harness.ts";
import { checker, run } from "./checkers.ts";
import { configOf, parseDockerfile } from "./dockerfile.ts";
import {
  addMountPoints,
  buildImage,
  CHECKOUT,
  containerEnv,
  containerFault,
  endContainer,
  firstProcess,
  type Image,
  inContainer,
  isInContext,
  makeVolume,
  PROCESSORS,
} from "./image.ts";

const FILES = ["Dockerfile", "Dockerfile.alpine"] as const;
const textOf = (file: string): string => readFileSync(join(CHECKOUT, "deploy/containers", file), "utf8");
const folder = mkdtempSync(join(tmpdir(), "infermesh-containers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hadolint = checker("hadolint");
const executable = join(CHECKOUT, `dist/infermesh-linux-${process.arch}`);
const missing = existsSync(executable) ? "" : `${executable} is missing: run npm run build:static`;
const fault = missing || containerFault();
if (fault !== "") console.log(`left out: ${fault}`);

describe.each(FILES)("%s", (file) => {
  test.skipIf(hadolint === null)("has nothing that hadolint finds", () => {
    expect(run([hadolint ?? "", join(CHECKOUT, "deploy/containers", file)])).toEqual({ code: 0, out: "", err: "" });
    const worse = textOf(file).replace(/^ENTRYPOINT.*$/m, "ENTRYPOINT /infermesh");
    const { code, out } = run([hadolint ?? "", "-"], { input: worse });
    expect([code, out]).toEqual([1, expect.stringContaining("DL3025")]);
  });

  test("has an executable for every processor that one is built for", () => {
    for (const [TARGETARCH, ours] of Object.entries(PROCESSORS)) {
      const stages = parseDockerfile(textOf(file), { TARGETARCH });
      const chosen = stages.find(({ name }) => name === "executable");
      const source = stages.find(({ name }) => name === chosen?.base);
      const copied = source?.instructions.map(({ words }) => words[0]);
      expect(copied).toEqual([`dist/infermesh-linux-${ours}`, `dist/infermesh-linux-${ours}.notices.txt`]);
    }
    const built = readFileSync(join(CHECKOUT, "scripts/build-static.mjs"), "utf8");
    expect(built).toContain(`const PROCESSORS = ${JSON.stringify(Object.values(PROCESSORS)).replaceAll(",", ", ")};`);
  });

  test("copies of the checkout what .dockerignore lets through", () => {
    const sources = parseDockerfile(textOf(file), { TARGETARCH: "amd64" }).flatMap(({ instructions }) =>
      instructions
        .filter(({ name, flags }) => name === "COPY" && flags["from"] === undefined)
        .map(({ words }) => words[0] ?? ""),
    );
    expect(sources.length).toBeGreaterThan(4);
    expect(sources.filter((path) => !isInContext(path))).toEqual([]);
    expect(sources.filter((path) => !path.startsWith("dist/") && !existsSync(join(CHECKOUT, path)))).toEqual([]);
    for (const path of ["src/main.ts", "node_modules", "dist/infermesh", ".git", "dist/infermesh-linux-x64.xz"])
      expect([path, isInContext(path)]).toEqual([path, false]);
  });

  test("opens the ports that are open by default, and those of mocks and control nodes", () => {
    const { ports } = configOf(
      parseDockerfile(textOf(file), { TARGETARCH: "amd64" }).at(-1) ?? { name: "", base: "", instructions: [] },
    );
    const port = (of: Parameters<typeof settingsOf>[0], flag: string): string => {
      const field = settingsOf(of).find((one) => one.flag === flag)?.field;
      return String(field?.write(field.default)).split(":").at(-1) ?? "";
    };
    const tcp = [
      ...["listen", "metrics", "gossip"].map((flag) => port(routerSettings, flag)),
      ...["serve", "metrics", "gossip", "control-listen"].map((flag) => port(agentSettings, flag)),
    ];
    const udp = [port(routerSettings, "gossip"), port(agentSettings, "gossip")];
    expect(ports.toSorted()).toEqual([...tcp.map((one) => `${one}/tcp`), ...udp.map((one) => `${one}/udp`)].toSorted());
  });

  test("says no more than the tests know, and asks only whether it answers", () => {
    expect(() => parseDockerfile('FROM scratch\nSHELL ["a"]\n', {})).toThrow("the tests don't know");
    const config = configOf(
      parseDockerfile(textOf(file), { TARGETARCH: "amd64" }).at(-1) ?? { name: "", base: "", instructions: [] },
    );
    expect(config.healthcheck.slice(1)).toEqual(["ctl", "health", "--live", "--timeout", "3s"]);
    expect(config.healthcheck[0]).toBe(config.entrypoint[0] ?? "");
    expect(config.labels["org.opencontainers.image.licenses"]).toBe("Apache-2.0");
    expect(Object.keys(config.labels)).toContain("org.opencontainers.image.revision");
  });
});

/** Alpine has Busybox for a shell and all tools, as here. */
function alpine(_image: string, root: string): void {
  const busybox = checker("busybox") ?? "";
  for (const name of ["bin", "etc", "usr/local/bin"]) mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, "bin/busybox"), readFileSync(busybox), { mode: 0o755 });
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  writeFileSync(join(root, "etc/group"), "root:x:0:root\n");
  const { code, err } = run(["chroot", root, "/bin/busybox", "--install", "-s", "/bin"]);
  if (code !== 0) throw new Error(err);
}

describe.skipIf(fault !== "").each(FILES)("a container of %s", (file) => {
  const withoutBase = file === "Dockerfile.alpine" && checker("busybox") === null;
  const at = join(folder, file);
  let image: Image;

  test.skipIf(withoutBase)("is built, with its folders the user's and all else root's", () => {
    image = buildImage({
      dockerfile: textOf(file),
      folder: at,
      args: { VERSION: "1.2.3" },
      ...(file === "Dockerfile" ? {} : { base: alpine }),
    });
    addMountPoints(image, "127.0.0.1 localhost\n");
    expect(image.config.labels["org.opencontainers.image.version"]).toBe("1.2.3");
    const owner = (path: string): number => statSync(join(image.root, path)).uid;
    expect(["/data", image.config.entrypoint[0] ?? "", "/etc/passwd", "/licenses/LICENSE"].map(owner)).toEqual([
      65532, 0, 0, 0,
    ]);
    expect(readFileSync(join(image.root, "etc/passwd"), "utf8")).toMatch(/^infermesh:x:65532:65532:/m);
    expect(image.config.volumes).toEqual(["/data"]);
  });

  test.skipIf(withoutBase)("runs its command as its user, is well, keeps what it must, and ends in order", async () => {
    const volume = makeVolume(image, "/data", join(at, "volumes", "data"));
    const env = containerEnv(image);
    const { entrypoint, cmd, healthcheck } = image.config;
    // A network of its own, where nothing but loopback is.
    const command = [
      "unshare",
      "--net",
      "sh",
      "-c",
      'ip link set lo up && exec "$@"',
      "sh",
      ...inContainer(image, volume, [...entrypoint, ...cmd]),
    ];
    const child = Bun.spawn(command, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    const said = new Response(child.stdout).text();
    try {
      const probe = ["nsenter", "--net", "-t", String(child.pid), ...inContainer(image, volume, healthcheck)];
      const early = run(["unshare", "--net", ...inContainer(image, volume, healthcheck)], { env });
      expect([early.code, early.out]).toEqual([3, ""]);
      await until(() => Promise.resolve(run(probe, { env }).code === 0));
      expect(run(probe, { env })).toMatchObject({ code: 0, out: expect.stringContaining("degraded"), err: "" });
      // A proxy that the engine puts into every container has no part in it.
      expect(
        run(probe, { env: { ...env, HTTP_PROXY: "http://127.0.0.1:9", http_proxy: "http://127.0.0.1:9" } }).code,
      ).toBe(0);
      const first = firstProcess(child.pid) ?? 0;
      const status = readFileSync(`/proc/${first}/status`, "utf8");
      expect(status).toMatch(/^Uid:\t65532\t65532\t65532\t65532$/m);
      expect(status).toMatch(/^NSpid:\t\d+\t1$/m);
      expect(status).toMatch(/^CapEff:\t0+$/m);
      expect(status).toMatch(/^CapPrm:\t0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      process.kill(first, image.config.stopSignal);
      expect(await child.exited).toBe(0);
      expect(await said).toContain("stopped");
      // What it keeps is the user's, in the volume.
      expect(statSync(volume).uid).toBe(65532);
    } finally {
      await endContainer(child);
    }
  });

  test.skipIf(withoutBase)("runs an agent, which keeps its policies in the volume", async () => {
    const volume = makeVolume(image, "/data", join(at, "volumes", "agent"));
    const env = containerEnv(image);
    const { entrypoint, healthcheck } = image.config;
    const inside = inContainer(image, volume, [...entrypoint, "agent", "--mock", "--id", "gpu-1"]);
    const child = Bun.spawn(["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...inside], {
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    try {
      const enter = (command: readonly string[]): string[] => [
        "nsenter",
        "--net",
        "-t",
        String(child.pid),
        ...inContainer(image, volume, command),
      ];
      await until(() => Promise.resolve(run(enter(healthcheck), { env }).code === 0));
      await until(() => Promise.resolve(existsSync(join(volume, "control-gpu-1.sqlite"))));
      expect(statSync(join(volume, "control-gpu-1.sqlite")).uid).toBe(65532);
      // Drained, it is no less alive; the engine is not to start it anew.
      const policy = run(enter([...entrypoint, "ctl", "drain", "gpu-1"]), { env });
      expect([policy.err, policy.code]).toEqual(["", 0]);
      await until(() => Promise.resolve(run(enter([...entrypoint, "ctl", "health"]), { env }).code === 1));
      expect(run(enter(healthcheck), { env }).code).toBe(0);
      process.kill(firstProcess(child.pid) ?? 0, "SIGTERM");
      expect(await child.exited).toBe(0);
    } finally {
      await endContainer(child);
    }
  });
});
