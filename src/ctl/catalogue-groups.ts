/** The groups of commands of `infermesh ctl`, imported like the others when they are run. */
import { STRATEGIES } from "../policy/spec.ts";
import type { Entry } from "./catalogue.ts";

interface Group {
  readonly summary: string;
  readonly entries: Readonly<Record<string, Entry>>;
}

/** Checked against the readers of the kinds by tests/ctl/policies.test.ts. */
const KIND_NOTES = `acl SUBJECT/MODEL/ACTION: effect=allow|deny reason=TEXT
balance MODEL or *: strategy=${STRATEGIES.join("|")} weights={NODE: NUMBER} zone=any|prefer|only session.field=NAME session.slackMs=N split={REVISION: SHARE} shadow.revision=REVISION shadow.share=SHARE
node ID: cordoned=true draining=true reason=TEXT
pin MODEL: nodes=[ID,...] or selector={LABEL: VALUE}, minReplicas=N maxReplicas=N revision=TEXT
priority TENANT, TENANT/MODEL or *: priority=0..3, 0 being served first
quota TENANT/MODEL: requestsPerSecond=NUMBER tokensPerMinute=N concurrency=N
scaling MODEL: minReplicas=N maxReplicas=N target.metric=queue-seconds|kv-usage|running-requests target.value=NUMBER
slo MODEL, TENANT/MODEL or *: class=latency|throughput deadlineMs=N ttftMs=N
A policy is set whole: keys that are not given are not in it. Values are YAML. docs/policies.md tells what each does.`;

const policies = async () => (await import("./policies.ts")).POLICIES;
const files = async () => (await import("./policy-apply.ts")).POLICY_FILES;
const quotas = async () => (await import("./quotas.ts")).QUOTAS;
const acls = async () => (await import("./acl.ts")).ACLS;
const snapshots = async () => (await import("./snapshot.ts")).SNAPSHOTS;
const members = async () => (await import("./control-members.ts")).CONTROL_MEMBERS;
const profiles = async () => (await import("./profiles.ts")).PROFILES;
const keyring = async () => (await import("./keyring.ts")).KEYRING_COMMANDS;

export const CTL_GROUPS: Readonly<Record<string, Group>> = {
  quota: {
    summary: "How much a tenant may use of a model.",
    entries: {
      set: {
        summary:
          "limit a tenant's requests, tokens and requests at once, of one model or of each, in place of what was said before",
        examples: [
          ["infermesh ctl quota set acme llama-3-8b --requests-per-second 10", "10 requests a second of one model."],
          ["infermesh ctl quota set acme --tokens-per-minute 60000 --concurrency 8", "Of each model."],
        ],
        load: async () => (await quotas()).set,
      },
      get: { summary: "show the limits of a tenant", load: async () => (await quotas()).get },
      list: { summary: "list all limits", load: async () => (await quotas()).list },
      delete: { summary: "take the limits of a tenant away", load: async () => (await quotas()).delete },
    },
  },
  acl: {
    summary: "Who may do what with which model.",
    entries: {
      allow: {
        summary: "allow a tenant or a key what it asks of a model",
        examples: [
          ["infermesh ctl acl allow tenant:acme llama-3-8b infer", "Everybody else is denied it from now on."],
        ],
        load: async () => (await acls()).allow,
      },
      deny: {
        summary: "deny a tenant or a key what it asks of a model",
        examples: [["infermesh ctl acl deny tenant:acme '*' --reason unpaid", "Every model, every action."]],
        load: async () => (await acls()).deny,
      },
      list: { summary: "list all rules", load: async () => (await acls()).list },
      test: {
        summary: "tell whether a tenant or a key may do what it asks, and which rule decides",
        notes: [["Exit code 1", "also: denied"]],
        load: async () => (await import("./acl-test.ts")).ACL_TEST,
      },
      delete: { summary: "take a rule away", load: async () => (await acls()).delete },
    },
  },
  policy: {
    summary: "Policies of every kind.",
    entries: {
      set: {
        summary: "make or replace a policy",
        examples: [
          ["infermesh ctl policy set balance llama-3-8b strategy=round-robin", "How requests are spread."],
          [
            "infermesh ctl policy set scaling llama-3-8b minReplicas=1 maxReplicas=4 target.metric=kv-usage target.value=0.8",
            "How many nodes a model should have.",
          ],
        ],
        notes: [["Kinds, their names and keys", KIND_NOTES]],
        load: async () => (await policies()).set,
      },
      get: { summary: "show a policy", load: async () => (await policies()).get },
      list: { summary: "list policies", load: async () => (await policies()).list },
      delete: { summary: "take a policy away", load: async () => (await policies()).delete },
      apply: {
        summary: "make all policies of a file those of the mesh, all of them or none, and show what that changes",
        examples: [
          ["infermesh ctl policy apply -f policies.yaml --dry-run", "What it would change."],
          ["infermesh ctl policy export | infermesh ctl policy apply -f - --prune quota", "From standard input."],
        ],
        notes: [
          [
            "File",
            "YAML documents, or JSON: each {kind, name, spec}, or a list of such. With a revision beside them a policy is changed only if it still has that revision, 0 for one that must not exist.",
          ],
        ],
        load: async () => (await files()).apply,
      },
      export: { summary: "print policies as policy apply takes them", load: async () => (await files()).export },
      recommendations: {
        summary: "show how many replicas models should have, by scaling policies and by pins that lack some",
        examples: [["infermesh ctl policy recommendations -o json", "For a script that starts and stops nodes."]],
        load: async () => (await import("./recommendations.ts")).RECOMMENDATIONS,
      },
    },
  },
  snapshot: {
    summary: "All policies as one file.",
    entries: {
      save: { summary: "save all policies to a file", load: async () => (await snapshots()).save },
      restore: { summary: "replace all policies by those of a file", load: async () => (await snapshots()).restore },
    },
  },
  control: {
    summary: "The control nodes, which hold the policies.",
    entries: {
      status: {
        summary: "show who holds the policies, and whether they can be changed",
        notes: [["Exit code 1", "also: they can't be changed now"]],
        load: async () => (await members()).status,
      },
      add: { summary: "make a node a control node", load: async () => (await members()).add },
      remove: { summary: "let a node be a control node no more", load: async () => (await members()).remove },
      transfer: {
        summary: "have another control node lead",
        load: async () => (await members()).transfer,
      },
    },
  },
  profiles: {
    summary: "Named ways to reach a mesh.",
    entries: {
      list: { summary: "list the profiles", load: async () => (await profiles()).list },
      current: {
        summary: "print the current profile's name",
        notes: [["Exit code 1", "also: no profile is current"]],
        load: async () => (await profiles()).current,
      },
      use: {
        summary: "make a profile the current one, or none without a name",
        load: async () => (await profiles()).use,
      },
      set: {
        summary: "make or change a profile",
        examples: [
          ["infermesh ctl profiles set prod --endpoint http://10.0.0.5:50052 --use", "The current one from now on."],
        ],
        load: async () => (await profiles()).set,
      },
      delete: { summary: "delete a profile", load: async () => (await profiles()).delete },
      show: { summary: "show a profile, by default the current one", load: async () => (await profiles()).show },
    },
  },
  keyring: {
    summary: "The keys that seal the gossip, and their change under way.",
    entries: {
      list: {
        summary: "list the keys that seal the gossip, and which members have them",
        load: async () => (await keyring()).list,
      },
      generate: { summary: "print a new key", load: async () => (await keyring()).generate },
      add: {
        summary:
          "give every member a key that opens from now on: KEY, which other users can see, or a line of standard input",
        load: async () => (await keyring()).add,
      },
      use: {
        summary: "let every member seal with a key that all of them have",
        load: async () => (await keyring()).use,
      },
      remove: {
        summary: "take a key from every member, when none seals with it any more",
        load: async () => (await keyring()).remove,
      },
    },
  },
};
