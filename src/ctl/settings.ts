/** What the commands for people may be told. */
import { baseUrl } from "../base/settings-urls.ts";
import { type Infer, choice, duration, flag, section, text } from "../base/settings.ts";

const ENDPOINT = "the URL of a router's or an agent's --api port, such as http://127.0.0.1:50052";

const output = choice(["table", "json", "yaml", "text", "wide"], {
  default: "table",
  short: "o",
  doc: "How the answer is printed. table is for people, and wide has more columns; json and yaml hold all of it; text is one line for each thing, with tabs between, and wide's columns.",
});

const timeoutMs = duration({
  default: "5s",
  min: "10ms",
  max: "10m",
  doc: "How long to wait for an answer.",
});

/** What a profile may say. */
export const profileSettings = section({
  endpoint: baseUrl({
    default: "",
    expected: ENDPOINT,
    emptyMeans: "as without a profile",
    doc: "Whom to ask: the --api or --metrics port of a router or an agent.",
  }),
  output,
  timeoutMs,
});

export const ctlSettings = section({
  endpoint: baseUrl({
    default: "",
    expected: ENDPOINT,
    emptyMeans: "http://127.0.0.1:50052, else http://127.0.0.1:50051",
    doc: "Whom to ask: the --api or --metrics port of a router or an agent.",
  }),
  output,
  timeoutMs,
});
export type CtlConfig = Infer<typeof ctlSettings>;

export const liveField = {
  live: flag({
    default: false,
    doc: "Exit code 0 whatever it answers of itself: that it drains, or has no runtime or node yet, is no reason to end it.",
  }),
};

export const keyringSettings = section({
  ...ctlSettings.fields,
  endpoint: baseUrl({
    default: "",
    expected: ENDPOINT,
    emptyMeans: "http://127.0.0.1:50052, else http://127.0.0.1:50051",
    doc: "Whom to ask: the --api port of any router or agent of the mesh.",
  }),
  timeoutMs: duration({
    default: "60s",
    min: "10ms",
    max: "10m",
    doc: "How long to wait for an answer. The one who is asked waits 2 s for members that do not answer it.",
  }),
});
export type KeyringConfig = Infer<typeof keyringSettings>;

export const keyringChangeSettings = section({
  ...keyringSettings.fields,
  force: flag({
    default: false,
    doc: "Go on although some members failed or can't be reached. Those that have no key in common with the others are cut off.",
  }),
});
export const membersSettings = section({
  ...ctlSettings.fields,
  watch: flag({
    default: false,
    doc: "Go on with a line for each event as it happens, until Ctrl-C. As json, each line is an object.",
  }),
});
export type MembersConfig = Infer<typeof membersSettings>;

export const leaveSettings = section({
  endpoint: baseUrl({
    default: "",
    expected: ENDPOINT,
    emptyMeans: "the router or agent of this machine, if only one runs",
    doc: "Who is to leave: the --api port of a router or an agent.",
  }),
  timeoutMs: duration({
    default: "35s",
    min: "10ms",
    max: "24h",
    doc: "How long to wait for it to end. A little more than its --drain-timeout.",
  }),
});
export type LeaveConfig = Infer<typeof leaveSettings>;

/** For what a router does before it answers. */
export const operationSettings = section({
  ...ctlSettings.fields,
  endpoint: baseUrl({
    default: "",
    expected: ENDPOINT,
    emptyMeans: "http://127.0.0.1:50052, else http://127.0.0.1:50051",
    doc: "Which router: its --api port.",
  }),
  timeoutMs: duration({
    default: "60s",
    min: "10ms",
    max: "1h",
    doc: "How long to wait for it to be done.",
  }),
});

export const upgradeSettings = section({
  ...operationSettings.fields,
  executable: text({
    default: "",
    placeholder: "PATH",
    lengthMax: 4096,
    emptyMeans: "the file that the router was started from, as it is now",
    doc: "The executable to hand over to. It must belong to root or to the router's user, and be nobody else's to write.",
  }),
});
export type UpgradeConfig = Infer<typeof upgradeSettings>;

const id = text({
  default: "",
  placeholder: "ID",
  lengthMax: 128,
  pattern: /^[A-Za-z0-9][A-Za-z0-9._:@-]*$/,
  expected: "an agent's id",
  emptyMeans: "the only agent there is",
  doc: "Which agent of this machine.",
});

const dataDir = text({
  default: "",
  placeholder: "DIR",
  lengthMax: 4096,
  emptyMeans: "where agents keep their state by default",
  doc: "The --data-dir that the agent was started with.",
});

export const agentStatusSettings = section({ id, dataDir, output, timeoutMs });
export type AgentStatusConfig = Infer<typeof agentStatusSettings>;

export const agentStopSettings = section({
  id,
  dataDir,
  timeoutMs: duration({
    default: "35s",
    min: "10ms",
    max: "24h",
    doc: "How long to wait for the agent to end. A little more than its --drain-timeout.",
  }),
  force: flag({
    default: false,
    doc: "End the agent at once, without an end to its requests, if it outlasts the wait.",
  }),
});
export type AgentStopConfig = Infer<typeof agentStopSettings>;
