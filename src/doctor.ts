/**
 * `infermesh doctor`: looks at what an agent or a router needs of its machine and of its neighbours, before it runs or
 * while it does, and tells of each what is the case, why that matters and what to do. The checks run side by side, each
 * for a limited time: one that hangs is told as such, and holds up nobody.
 */
import { escaped } from "./base/printable.ts";
import { defaultsOf } from "./base/settings-reading.ts";
import { type Infer, type Section, section } from "./base/settings.ts";
import { agentSettings, resolveAgent, resolveRouter, routerSettings } from "./config.ts";
import type { Command } from "./ctl/command.ts";
import type { Terminal } from "./ctl/terminal.ts";
import { type Finding, fail, report, verdictOf } from "./diagnosis/finding.ts";
import { type DiagnosisConfig, diagnosisSettings } from "./diagnosis/settings.ts";
import { judgePort } from "./diagnosis/network-checks.ts";
import { discoveryFindings } from "./doctor-kube.ts";
import { certificateFindings, folderFindings, keyFindings } from "./doctor-files.ts";
import { clockFindings, executableFindings, limitFindings, udpFindings } from "./doctor-machine.ts";
import { localhostFindings, meshFindings } from "./doctor-mesh.ts";
import { tryPort } from "./doctor-ports.ts";
import { gpuFindings, runtimeFindings } from "./doctor-serving.ts";
import { agentSubject, machineSubject, routerSubject, type Subject } from "./doctor-subject.ts";
import { detectProbes } from "./gpu/detect.ts";
import { stateDirectory } from "./mesh/host.ts";

/** For the output to be taken, before the process ends whatever still hangs in it. */
const LEFT_MS = 200;

const how = diagnosisSettings.fields;

const NOTES = [
  [
    "What it does",
    "It reads what the system tells, binds each port for a moment, writes and removes a small file in the data directory, looks up the names of --join and asks the members there, connects to inference servers, asks the API server of --discover, and has the GPUs read once.",
  ],
  [
    "Exit codes",
    "0 no check failed\n1 a check failed, or with --strict is to be looked at\n2 wrong command line or configuration",
  ],
] as const;

/** The agent's settings, with what the doctor wants to know beside. */
export const doctorAgent = roleDoctor(
  "agent",
  section({ ...agentSettings.fields, ...how }, checkOf(agentSettings)),
  (config) => agentSubject(resolveAgent(config)),
);

export const doctorRouter = roleDoctor(
  "router",
  section({ ...routerSettings.fields, ...how }, checkOf(routerSettings)),
  (config) => routerSubject(resolveRouter(config)),
);

const { join, joinFile, mesh, dataDir, gpu } = agentSettings.fields;
export const doctorSettings = section({ join, joinFile, mesh, dataDir, gpu, ...how });

export const doctorMachine: Command<typeof doctorSettings> = {
  help: {
    command: "infermesh doctor",
    summary: "check this machine, before an agent or a router runs here or while it does",
    usage: ["[machine] [flags]", "agent | router [flags of that role]"],
    commands: [
      { name: "machine", doc: "Check what either needs; what happens when no command is given." },
      { name: "agent", doc: "Check what an agent of these settings needs." },
      { name: "router", doc: "Check what a router of these settings needs." },
    ],
    examples: [
      ["infermesh doctor", "The machine, the ports of both roles, the GPUs."],
      ["infermesh doctor router --config router.yaml", "What that router would really use."],
      ["infermesh doctor agent --join 10.0.0.5:7947 --json", "For a program."],
    ],
    notes: NOTES,
  },
  settings: doctorSettings,
  run(config, terminal) {
    const agent = resolveAgent(defaultsOf(agentSettings));
    const subject = machineSubject(
      { ...config, dataDir: config.dataDir || stateDirectory() },
      agent,
      resolveRouter(defaultsOf(routerSettings)),
    );
    return examine(subject, config, terminal);
  },
};

function checkOf({ check }: Section): {
  readonly check: (value: unknown) => ReturnType<NonNullable<Section["check"]>>;
} {
  return { check: (value) => check?.(value as never) ?? [] };
}

function roleDoctor<S extends Section>(
  role: "agent" | "router",
  settings: S,
  subjectOf: (config: Infer<S>) => Subject,
): Command<S> {
  return {
    help: {
      command: `infermesh doctor ${role}`,
      summary: `check what ${role === "agent" ? "an agent" : "a router"} of these settings needs of its machine and its neighbours`,
      usage: ["[flags]"],
      examples: [[`infermesh doctor ${role} --config ${role}.yaml`, `With the same flags as infermesh ${role}.`]],
      notes: NOTES,
    },
    settings,
    file: "flag",
    run: (config, terminal) => examine(subjectOf(config), config as unknown as DiagnosisConfig, terminal),
  };
}

interface Check {
  readonly name: string;
  readonly run: () => Finding[] | Promise<Finding[]>;
}

/** In the order in which they are told. */
function checksOf(subject: Subject, limitMs: number): Check[] {
  const { role, gpu: gpuConfig, ports } = subject;
  const hasGpu = gpuConfig !== undefined && detectProbes(gpuConfig.root).length > 0;
  // What waits by itself ends a little earlier, with more to say.
  const waitMs = limitMs * 0.9;
  return [
    { name: "executable", run: executableFindings },
    { name: "limits", run: () => limitFindings(subject, hasGpu) },
    { name: "udp-buffer", run: () => udpFindings(subject) },
    { name: "clock", run: clockFindings },
    { name: "data-dir", run: () => folderFindings(subject) },
    { name: "key", run: () => keyFindings(subject) },
    { name: "certificate", run: () => certificateFindings(subject) },
    ...ports.map((port) => ({
      name: `port-${port.label ?? port.name}`,
      run: async () => [judgePort(await tryPort(port))],
    })),
    { name: "localhost", run: () => localhostFindings(waitMs) },
    { name: "peer", run: () => meshFindings(subject, waitMs) },
    ...(gpuConfig === undefined ? [] : [{ name: "gpu", run: () => gpuFindings(gpuConfig, waitMs) }]),
    ...(role === "router" ? [{ name: "discovery", run: () => discoveryFindings(subject, waitMs) }] : []),
    ...(role === "agent" ? [{ name: "runtime", run: () => runtimeFindings(subject, waitMs / 4) }] : []),
  ];
}

async function examine(
  subject: Subject,
  { json, strict, limitMs }: DiagnosisConfig,
  terminal: Terminal,
): Promise<number> {
  const found = await Promise.all(checksOf(subject, limitMs).map((check) => limited(check, limitMs)));
  const findings = found.flat();
  const { counts, code } = verdictOf(findings, strict);
  if (json) terminal.out(`${JSON.stringify({ role: subject.role ?? null, counts, findings }, null, 2)}\n`);
  else terminal.out(report(findings, escaped, terminal.color));
  // What was given up may hold this process up for ever.
  setTimeout(() => process.exit(code), LEFT_MS);
  return code;
}

/** A check that throws is a bug of its own, and says so. */
async function limited({ name, run }: Check, limitMs: number): Promise<Finding[]> {
  const { promise: late, resolve } = Promise.withResolvers<Finding[]>();
  const timer = setTimeout(() => {
    const why = "what it asks hangs, and would hang for a node as well";
    resolve([
      fail(name, `no result within ${limitMs / 1000} s`, why, "look at what it reads, or allow more by --limit"),
    ]);
  }, limitMs);
  try {
    return await Promise.race([Promise.resolve().then(run), late]);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return [fail(name, `the check itself failed: ${message}`, "nothing is known of it", "report it with this line")];
  } finally {
    clearTimeout(timer);
  }
}
