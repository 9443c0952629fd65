/** Prometheus' configuration, its alerts and Grafana's dashboard: every metric that they name is one of ours. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as agentNames from "../../src/obs/agent-metric-names.ts";
import * as blockNames from "../../src/obs/block-metric-names.ts";
import type { Metric } from "../../src/obs/exposition.ts";
import { GPU_METRICS, GPU_SOURCE_METRICS } from "../../src/obs/gpu-metric-names.ts";
import { GPU_WEAR_METRICS } from "../../src/obs/gpu-wear-names.ts";
import * as lateNames from "../../src/obs/late-metric-names.ts";
import * as names from "../../src/obs/metric-names.ts";
import { checker, run } from "./checkers.ts";
import { CHECKOUT } from "./image.ts";
import { namesIn } from "./promql.ts";

const FOLDER = join(CHECKOUT, "deploy/monitoring");
const promtool = checker("promtool");
const folder = mkdtempSync(join(tmpdir(), "infermesh-monitoring-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly annotations: Readonly<Record<string, string>>;
}
interface Panel {
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const { groups } = Bun.YAML.parse(readFileSync(join(FOLDER, "alerts.yml"), "utf8")) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(readFileSync(join(FOLDER, "grafana/dashboards/infermesh.json"), "utf8")) as {
  panels: Panel[];
  templating: { list: { name: string; definition?: string }[] };
};
const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

const GPU_NAMES = { GPU_METRICS, GPU_SOURCE_METRICS, GPU_WEAR_METRICS };
const OWN = Object.values({ ...names, ...agentNames, ...blockNames, ...lateNames, ...GPU_NAMES }).flatMap(
  (group): Metric[] => Object.values(group),
);
/** Prometheus gives these to every target; `le` is every histogram's. */
const GIVEN = ["job", "instance", "le"];

/** What of an expression is not ours. */
function strangers(expression: string): string[] {
  const { metrics, grouped } = namesIn(expression);
  const known: string[] = [...GIVEN];
  const faults = metrics.flatMap(({ metric, labels }) => {
    if (metric === "up") return labels.filter((label) => !GIVEN.includes(label));
    const own = OWN.find(({ name, type }) => name === metric || (type === "histogram" && metric === `${name}_bucket`));
    if (own === undefined) return [metric];
    known.push(...own.labels);
    return labels.filter((label) => ![...own.labels, ...GIVEN].includes(label)).map((label) => `${metric}{${label}}`);
  });
  return [...faults, ...grouped.filter((label) => !known.includes(label))];
}

/** As Grafana fills it in. */
const filled = (query: string): string => query.replaceAll("$__rate_interval", "1m").replaceAll("$node", ".*");

describe("names in expressions", () => {
  test("are found, with labels, whatever stands around them", () => {
    const { metrics, grouped } = namesIn(
      'histogram_quantile(0.95, sum by (le, model) (rate(a_bucket{b=~"x{y}", c!="d"}[5m]))) > 5 and on (e) up == 0 or vector(0)',
    );
    expect(metrics).toEqual([
      { metric: "a_bucket", labels: ["b", "c"] },
      { metric: "up", labels: [] },
    ]);
    expect(grouped).toEqual(["le", "model", "e"]);
  });

  test("are told apart from those that there are not", () => {
    expect(strangers("infermesh_agent_ready == 0")).toEqual([]);
    expect(strangers("infermesh_agent_reddy == 0")).toEqual(["infermesh_agent_reddy"]);
    expect(strangers('infermesh_gpu_health{status="x"}')).toEqual(["infermesh_gpu_health{status}"]);
    expect(strangers("sum by (nod) (infermesh_gpu_health)")).toEqual(["nod"]);
  });
});

describe("alerts", () => {
  test("name metrics and labels that there are", () => {
    expect(rules.length).toBeGreaterThan(10);
    expect(rules.flatMap(({ alert, expr }) => strangers(expr).map((what) => `${alert}: ${what}`))).toEqual([]);
  });

  test("say in words what is wrong and what to do, of labels that their expressions keep", () => {
    for (const { alert, expr, annotations } of rules) {
      expect([alert, Object.keys(annotations)]).toEqual([alert, ["summary", "description"]]);
      const { metrics, grouped } = namesIn(expr);
      const kept =
        grouped.length > 0
          ? grouped
          : [...GIVEN, ...metrics.flatMap(({ metric }) => OWN.find(({ name }) => name === metric)?.labels ?? [])];
      const used = Object.values(annotations).flatMap((text) =>
        [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label ?? ""),
      );
      expect([alert, used.filter((label) => !kept.includes(label))]).toEqual([alert, []]);
    }
  });

  test("name commands that there are", async () => {
    const commands = rules.flatMap(({ annotations }) =>
      [...(annotations["description"] ?? "").matchAll(/infermesh ((?:ctl|agent|router) [a-z-]+(?: [a-z]+)?)/g)].map(
        ([, of]) => of ?? "",
      ),
    );
    const { CTL } = await import("../../src/ctl/catalogue.ts");
    const { CTL_GROUPS } = await import("../../src/ctl/catalogue-groups.ts");
    const roles = ["agent status", "router validate"];
    const known = [
      ...Object.keys(CTL).map((name) => `ctl ${name}`),
      ...Object.entries(CTL_GROUPS).flatMap(([group, { entries }]) =>
        Object.keys(entries).map((name) => `ctl ${group} ${name}`),
      ),
      ...roles,
    ];
    expect(commands.length).toBeGreaterThan(5);
    expect(
      commands.filter((command) => !known.some((one) => command === one || command.startsWith(`${one} `))),
    ).toEqual([]);
  });

  test.skipIf(promtool === null)("are right by promtool", () => {
    for (const [what, file] of [
      ["rules", "alerts.yml"],
      ["config", "prometheus.yml"],
    ] as const) {
      expect(run([promtool ?? "", "check", what, join(FOLDER, file)])).toMatchObject({ code: 0 });
    }
  });

  test.skipIf(promtool === null)("are raised when they should be, and not before", () => {
    const alerts = join(FOLDER, "alerts.yml");
    const labels = 'job="infermesh-router", instance="r:9091"';
    const series = (of: Record<string, string>) =>
      Object.entries(of).map(([name, values]) => ({ series: name, values }));
    const fires = (alertname: string, input: Record<string, string>, at: string, count: number) => ({
      interval: "15s",
      input_series: series(input),
      promql_expr_test: [
        {
          expr: `count(ALERTS{alertname="${alertname}", alertstate="firing"}) or vector(0)`,
          eval_time: at,
          exp_samples: [{ value: count }],
        },
      ],
    });
    const file = join(folder, "alerts.test.yml");
    const down = { [`up{${labels}}`]: "1x8 0x60" };
    const requests = (errors: string) => ({
      [`infermesh_router_requests_total{${labels}, model="m", code="200"}`]: "0+95x80",
      [`infermesh_router_requests_total{${labels}, model="m", code="503"}`]: errors,
    });
    const gpu = 'node="a", gpu_uuid="u", index="0", mig_profile="", name="H100"';
    const tests = [
      fires("InfermeshNodeDown", down, "2m45s", 0),
      fires("InfermeshNodeDown", down, "4m", 1),
      fires("InfermeshGpuQuarantined", { [`infermesh_gpu_health{${gpu}, state="quarantined"}`]: "0x4 1x20" }, "45s", 0),
      fires("InfermeshGpuQuarantined", { [`infermesh_gpu_health{${gpu}, state="quarantined"}`]: "0x4 1x20" }, "2m", 1),
      fires("InfermeshQueueGrowing", { [`infermesh_router_requests_waiting{${labels}}`]: "0+1x80" }, "15m", 1),
      fires("InfermeshQueueGrowing", { [`infermesh_router_requests_waiting{${labels}}`]: "40x80" }, "15m", 0),
      fires(
        "InfermeshNoLeader",
        {
          'infermesh_control_leader_known{instance="a"}': "1x80",
          'infermesh_control_leader_known{instance="b"}': "0x80",
        },
        "10m",
        0,
      ),
      fires(
        "InfermeshNoLeader",
        {
          'infermesh_control_leader_known{instance="a"}': "1x8 0x80",
          'infermesh_control_leader_known{instance="b"}': "0x80",
        },
        "5m",
        1,
      ),
      fires("InfermeshErrorRate", requests("0+1x80"), "15m", 0),
      fires("InfermeshErrorRate", requests("0+10x80"), "15m", 1),
      fires("InfermeshNoTarget", { [`infermesh_router_targets{${labels}, state="healthy"}`]: "0x20" }, "3m", 1),
    ];
    writeFileSync(file, JSON.stringify({ rule_files: [alerts], evaluation_interval: "15s", tests }));
    expect(run([promtool ?? "", "test", "rules", file])).toMatchObject({ code: 0 });
    writeFileSync(
      file,
      JSON.stringify({
        rule_files: [alerts],
        evaluation_interval: "15s",
        tests: [fires("InfermeshNodeDown", down, "4m", 0)],
      }),
    );
    expect(run([promtool ?? "", "test", "rules", file]).code).toBe(1);
  });
});

describe("the dashboard", () => {
  test("names metrics and labels that there are", () => {
    expect(queries.length).toBeGreaterThan(30);
    expect(queries.flatMap((query) => strangers(filled(query)))).toEqual([]);
    const asked = dashboard.templating.list.flatMap(({ definition }) =>
      definition === undefined ? [] : [/^label_values\((\w+), (\w+)\)$/.exec(definition)?.slice(1) ?? []],
    );
    expect(asked).toEqual([["infermesh_agent_info", "node"]]);
    expect(strangers("sum by (node) (infermesh_agent_info)")).toEqual([]);
  });

  test.skipIf(promtool === null)("asks in right PromQL", () => {
    const file = join(folder, "queries.yml");
    const asRules = (of: readonly string[]) =>
      JSON.stringify({
        groups: [{ name: "queries", rules: of.map((query, index) => ({ record: `q:${index}`, expr: filled(query) })) }],
      });
    writeFileSync(file, asRules(queries));
    expect(run([promtool ?? "", "check", "rules", file])).toMatchObject({ code: 0 });
    writeFileSync(file, asRules(["sum(rate(x[1m])"]));
    expect(run([promtool ?? "", "check", "rules", file]).code).toBe(1);
  });

  test("has panels that don't lie over one another, each with the chosen source", () => {
    const taken = new Set<string>();
    for (const { type, title, gridPos, datasource } of dashboard.panels) {
      if (type !== "row") expect([title, datasource?.uid]).toEqual([title, "${datasource}"]);
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, taken.has(`${x},${y}`)]).toEqual([title, false]);
          taken.add(`${x},${y}`);
        }
      }
    }
  });

  test("is found by what provides it, as its source is", () => {
    const read = (path: string) => Bun.YAML.parse(readFileSync(join(FOLDER, "grafana/provisioning", path), "utf8"));
    const compose = Bun.YAML.parse(readFileSync(join(CHECKOUT, "deploy/containers/docker-compose.yaml"), "utf8")) as {
      services: Record<string, { volumes: string[] }>;
    };
    const mounts = compose.services["grafana"]?.volumes ?? [];
    expect(read("dashboards/infermesh.yaml")).toMatchObject({
      providers: [{ options: { path: "/var/lib/grafana/dashboards" } }],
    });
    expect(mounts).toContain("../monitoring/grafana/dashboards:/var/lib/grafana/dashboards:ro");
    expect(mounts).toContain("../monitoring/grafana/provisioning:/etc/grafana/provisioning:ro");
    const { datasources } = read("datasources/prometheus.yaml") as { datasources: { url: string }[] };
    expect(Object.keys(compose.services)).toContain(new URL(datasources[0]?.url ?? "").hostname);
    expect(existsSync(join(FOLDER, "grafana/dashboards/infermesh.json"))).toBe(true);
  });
});
