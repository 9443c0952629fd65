/** GPUs in Prometheus' text, by infermesh's names and by dcgm-exporter's. */
import { describe, expect, test } from "bun:test";
import { DcgmText } from "../../src/gpu/dcgm-text.ts";
import { DCGM_METRICS, dcgmText } from "../../src/obs/dcgm-metrics.ts";
import { RECOVERY_ACTIONS } from "../../src/health/reading.ts";
import { gpuText } from "../../src/obs/gpu-metrics.ts";
import { expositionFaults } from "./exposition-text.ts";
import { fullGpu, SOURCES } from "./full-gpu.ts";

function series(text: string): Map<string, number> {
  return new Map(
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}

function expectAll(text: string, expected: Readonly<Record<string, number>>): void {
  const values = series(text);
  for (const [name, value] of Object.entries(expected)) expect([name, values.get(name)]).toEqual([name, value]);
}

describe("infermesh's own", () => {
  const text = gpuText("gpu-1", [fullGpu(0), fullGpu(1, { slices: 0 })], SOURCES);
  const LABELS = 'node="gpu-1",gpu_uuid="GPU-0",index="0",mig_profile="",name="NVIDIA H100 80GB HBM3"';

  test("are in base units, labelled by node, GPU and part", () => {
    expect(expositionFaults(text)).toEqual([]);
    const info =
      'vendor="nvidia",serial="1650922",pci_address="0000:3b:00.0",architecture="hopper",compute_capability="9.0",fabric="cluster-1",backend="nvml",driver="570.86.15"';
    expectAll(text, {
      [`infermesh_gpu_info{${LABELS},${info}}`]: 1,
      [`infermesh_gpu_health{${LABELS},state="healthy"}`]: 0,
      [`infermesh_gpu_health{${LABELS},state="degraded"}`]: 1,
      [`infermesh_gpu_health{${LABELS},state="quarantined"}`]: 0,
      [`infermesh_gpu_health_reasons{${LABELS}}`]: 2,
      [`infermesh_gpu_fresh{${LABELS}}`]: 1,
      [`infermesh_gpu_xid_errors_total{${LABELS},xid="31"}`]: 4,
      [`infermesh_gpu_utilization_ratio{${LABELS}}`]: 0.875,
      [`infermesh_gpu_activity_ratio{${LABELS},part="sm_occupancy"}`]: 0.4,
      [`infermesh_gpu_clock_hertz{${LABELS},clock="sm"}`]: 1.965e9,
      [`infermesh_gpu_clock_max_hertz{${LABELS},clock="memory"}`]: 2.619e9,
      [`infermesh_gpu_energy_joules_total{${LABELS}}`]: 251_885_217.371,
      [`infermesh_gpu_fan_speed_ratio{${LABELS},fan="1"}`]: 0.25,
      [`infermesh_gpu_throttle_reason{${LABELS},reason="hw_thermal"}`]: 1,
      [`infermesh_gpu_throttle_reason{${LABELS},reason="idle"}`]: 0,
      [`infermesh_gpu_link_active{${LABELS},link="1"}`]: 0,
      [`infermesh_gpu_link_crc_errors_total{${LABELS},link="3"}`]: 3,
      [`infermesh_gpu_processes{${LABELS}}`]: 2,
      [`infermesh_gpu_process_memory_bytes{${LABELS},pid="1001",gpu_instance="7",command="vllm \\"engine\\"\\\\"}`]:
        2 ** 21,
      [`infermesh_gpu_ecc_errors_total{${LABELS},kind="uncorrected"}`]: 1,
      [`infermesh_gpu_remapped_rows_total{${LABELS},kind="uncorrected"}`]: 6,
      [`infermesh_gpu_remap_pending{${LABELS}}`]: 1,
      [`infermesh_gpu_recovery_action{${LABELS},action="reset"}`]: 1,
      [`infermesh_gpu_recovery_action{${LABELS},action="none"}`]: 0,
    });
  });

  test("have a MIG device under its own UUID, with its profile", () => {
    const slice = 'node="gpu-1",gpu_uuid="MIG-0-1",index="0",mig_profile="1g.10gb",name="NVIDIA H100 80GB HBM3"';
    expectAll(text, {
      [`infermesh_gpu_memory_used_bytes{${slice}}`]: 4 * 2 ** 30,
      [`infermesh_gpu_memory_total_bytes{${slice}}`]: 10 * 2 ** 30,
      [`infermesh_gpu_multiprocessors{${slice}}`]: 16,
      [`infermesh_gpu_activity_ratio{${slice},part="tensor"}`]: 0.7,
      [`infermesh_gpu_memory_used_bytes{${LABELS}}`]: 70 * 2 ** 30,
    });
    expect(text).not.toContain("MIG-1-");
  });

  test("have the same labels of the GPU each, and nothing of a process that is gone", () => {
    const lines = text.split("\n").filter((line) => /^infermesh_gpu_(?!source_|probe_|look_)/.test(line));
    expect(lines.length).toBeGreaterThan(200);
    for (const line of lines) {
      expect(line).toMatch(/\{node="gpu-1",gpu_uuid="[^"]+",index="[01]",mig_profile="(1g\.10gb)?",name="NVIDIA H100/);
    }
    const { reading, ...rest } = fullGpu(0);
    const [stays, goes] = reading.traffic!.processes!;
    const told = (...processes: readonly { readonly pid: number }[]): string =>
      gpuText("n", [{ ...rest, reading: { ...reading, traffic: { ...reading.traffic, processes } } }], []);
    expect(told(stays!, goes!)).toContain(`pid="${goes!.pid}"`);
    expect(told(stays!)).not.toContain(`pid="${goes!.pid}"`);
    expect(told()).not.toContain('pid="');
  });

  test("have only those reasons for low clocks that the vendor's drivers can tell, and what is told all the same", () => {
    const { reading, ...rest } = fullGpu(0);
    const reasonsOf = (vendor: "nvidia" | "amd" | "intel", ...throttleReasons: string[]) => {
      const identity = { index: 0, vendor, name: "a card" };
      const told = series(
        gpuText("n", [{ ...rest, reading: { ...reading, identity, load: { throttleReasons } } }], []),
      );
      const own = [...told].filter(([name]) => name.startsWith("infermesh_gpu_throttle_reason{"));
      return Object.fromEntries(own.map(([name, value]) => [/reason="(\w+)"/.exec(name)?.[1], value]));
    };
    expect(reasonsOf("amd", "sw_thermal")).toEqual({ sw_power_cap: 0, sw_thermal: 1, hw_thermal: 0 });
    expect(reasonsOf("intel")).toEqual({ sw_power_cap: 0, hw_slowdown: 0, sw_thermal: 0, hw_thermal: 0 });
    expect(reasonsOf("amd", "idle")).toEqual({ sw_power_cap: 0, sw_thermal: 0, hw_thermal: 0, idle: 1 });
    expect(Object.keys(reasonsOf("nvidia", "idle"))).toHaveLength(9);
  });

  test("tell of what reads them", () => {
    expectAll(text, {
      'infermesh_gpu_source_state{node="gpu-1",source="nvidia",state="ok"}': 1,
      'infermesh_gpu_source_state{node="gpu-1",source="amd",state="unresponsive"}': 1,
      'infermesh_gpu_source_state{node="gpu-1",source="mock",state="broken"}': 0,
      'infermesh_gpu_probe_restarts_total{node="gpu-1",source="nvidia"}': 2,
      'infermesh_gpu_look_duration_seconds{node="gpu-1",source="nvidia"}': 0.0125,
    });
    expect(text).not.toContain('infermesh_gpu_look_duration_seconds{node="gpu-1",source="amd"}');
  });

  test("tell every word that a reading may have, those that have no name of their own too", () => {
    const { reading, ...rest } = fullGpu(0);
    for (const recoveryAction of RECOVERY_ACTIONS) {
      const told = series(gpuText("n", [{ ...rest, reading: { ...reading, wear: { recoveryAction } } }], []));
      const so = [...told].filter(([name, value]) => name.startsWith("infermesh_gpu_recovery_action{") && value === 1);
      expect(so.map(([name]) => /action="(\w+)"/.exec(name)?.[1])).toEqual([recoveryAction]);
    }
  });

  test("leave out what is not known, and what is not of now", () => {
    const old = gpuText("n", [fullGpu(0, { isFresh: false })], []);
    const names = new Set([...series(old).keys()].map((name) => name.slice(0, name.indexOf("{"))));
    expect(names.has("infermesh_gpu_info")).toBe(true);
    expect(names.has("infermesh_gpu_memory_total_bytes")).toBe(true);
    expect(names.has("infermesh_gpu_xid_errors_total")).toBe(true);
    for (const gone of [
      "utilization_ratio",
      "energy_joules_total",
      "ecc_errors_total",
      "processes",
      "throttle_reason",
    ]) {
      expect(names.has(`infermesh_gpu_${gone}`)).toBe(false);
    }
    const { reading, ...rest } = fullGpu(0);
    const identity = { index: 0, vendor: "intel", name: "Arc" } as const;
    const bare = { ...rest, reading: { uuid: "x", identity, load: {} } };
    const told = [...series(gpuText("n", [{ ...bare, xids: { counts: new Map(), last: undefined } }], [])).keys()];
    expect(reading.uuid).toBe("GPU-0");
    expect(new Set(told.map((name) => name.slice(0, name.indexOf("{"))))).toEqual(
      new Set(["infermesh_gpu_info", "infermesh_gpu_fresh", "infermesh_gpu_health", "infermesh_gpu_health_reasons"]),
    );
    expect(gpuText("n", [], [])).toBe("");
  });

  test("have 32 processes of a GPU at most, those with the most memory", () => {
    const many = gpuText("n", [fullGpu(0, { processes: 100 })], []);
    const pids = [...many.matchAll(/process_memory_bytes\{.*pid="(\d+)"/g)].map((match) => Number(match[1]));
    expect(pids).toHaveLength(32);
    expect(Math.min(...pids)).toBe(1068);
    expect(many).toContain(
      'infermesh_gpu_processes{node="n",gpu_uuid="GPU-0",index="0",mig_profile="",name="NVIDIA H100 80GB HBM3"} 100',
    );
  });
});

test("what a driver names twice is told once", () => {
  const { reading, ...rest } = fullGpu(0);
  const { traffic, load } = reading;
  const [process] = traffic!.processes!;
  const [link] = traffic!.links!;
  const [slice] = load!.slices!;
  const twice = {
    ...rest,
    reading: {
      ...reading,
      load: { ...load, slices: [slice!, slice!] },
      traffic: { ...traffic, processes: [process!, process!, { ...process!, gpuInstance: 8 }], links: [link!, link!] },
    },
  };
  const text = gpuText("n", [twice, twice], [...SOURCES, ...SOURCES]);
  expect(expositionFaults(text)).toEqual([]);
  expect(text.match(/^infermesh_gpu_process_memory_bytes\{/gm)).toHaveLength(2);
  expect(expositionFaults(dcgmText("a", [twice, twice]))).toEqual([]);
});

describe("dcgm-exporter's", () => {
  const LABELS =
    'gpu="1",UUID="GPU-1",pci_bus_id="00000000:3C:00.0",device="nvidia1",modelName="NVIDIA H100 80GB HBM3",Hostname="node-a",DCGM_FI_DRIVER_VERSION="570.86.15"';
  const MIG =
    'gpu="0",UUID="GPU-0",pci_bus_id="00000000:3B:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="1g.10gb",GPU_I_ID="8",Hostname="node-a",DCGM_FI_DRIVER_VERSION="570.86.15"';
  const text = dcgmText("node-a", [fullGpu(0), fullGpu(1, { slices: 0 })]);

  test("have its names, units and labels", () => {
    expect(expositionFaults(text)).toEqual([]);
    expectAll(text, {
      [`DCGM_FI_DEV_SM_CLOCK{${LABELS}}`]: 1965,
      [`DCGM_FI_DEV_GPU_TEMP{${LABELS}}`]: 67,
      [`DCGM_FI_DEV_POWER_USAGE{${LABELS}}`]: 512.25,
      [`DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{${LABELS}}`]: 251_885_217_371,
      [`DCGM_FI_DEV_GPU_UTIL{${LABELS}}`]: 88,
      [`DCGM_FI_DEV_FB_USED{${LABELS}}`]: 71_680,
      [`DCGM_FI_DEV_XID_ERRORS{${LABELS},err_code="79",err_msg="GPU has fallen off the bus"}`]: 79,
      [`DCGM_FI_DEV_ROW_REMAP_FAILURE{${LABELS}}`]: 0,
      [`DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{${LABELS}}`]: 0.7,
      [`DCGM_FI_PROF_PCIE_TX_BYTES{${LABELS}}`]: 123_456_790,
      [`DCGM_FI_DEV_FB_USED{${MIG}}`]: 4096,
      [`DCGM_FI_DEV_FB_FREE{${MIG}}`]: 6144,
      [`DCGM_FI_PROF_GR_ENGINE_ACTIVE{${MIG}}`]: 0.9,
    });
    expect(text).toContain(
      "# HELP DCGM_FI_DEV_SM_CLOCK SM clock frequency (in MHz).\n# TYPE DCGM_FI_DEV_SM_CLOCK gauge\n",
    );
  });

  test("are what its Grafana dashboard (12239) asks for", () => {
    const asked = [
      "DEV_GPU_TEMP",
      "DEV_POWER_USAGE",
      "DEV_SM_CLOCK",
      "DEV_GPU_UTIL",
      "DEV_FB_USED",
      "PROF_PIPE_TENSOR_ACTIVE",
      "PROF_GR_ENGINE_ACTIVE",
    ];
    for (const name of asked) {
      expect(DCGM_METRICS.map((metric) => metric.name)).toContain(`DCGM_FI_${name}`);
      expect(text).toMatch(new RegExp(`^DCGM_FI_${name}\\{gpu="1",.*Hostname="node-a"`, "m"));
    }
  });

  test("are of NVIDIA's GPUs alone, and only of now", () => {
    const { reading, ...rest } = fullGpu(0);
    const other = { ...rest, reading: { ...reading, identity: { ...reading.identity, vendor: "amd" as const } } };
    expect(dcgmText("a", [other])).toBe("");
    expect(dcgmText("a", [fullGpu(0, { isFresh: false })])).toBe("");
    const well = { ...fullGpu(0), xids: { counts: new Map(), last: undefined } };
    expect(dcgmText("a", [well])).toContain('err_code="0",err_msg="No Error"} 0\n');
    // Of one whose errors nobody sees it is not known that there were none.
    for (const reportsXids of [false, undefined]) {
      const identity = { ...reading.identity, reportsXids };
      const blind = dcgmText("a", [{ ...well, reading: { ...reading, identity } }]);
      expect(blind).toContain("DCGM_FI_DEV_GPU_TEMP{");
      expect(blind).not.toContain("XID_ERRORS");
      const seen = dcgmText("a", [{ ...fullGpu(0), reading: { ...reading, identity } }]);
      expect(seen).toContain('err_code="79"');
    }
  });

  test("are read again as they were by the source that reads dcgm-exporters", () => {
    const dcgm = new DcgmText("self");
    const reader = dcgm.reader(false);
    reader.push(new TextEncoder().encode(text));
    const [cut, whole] = dcgm.finish(reader).updates;
    const { load, wear, identity } = fullGpu(1, { slices: 0 }).reading;
    expect(whole).toMatchObject({
      uuid: "GPU-1",
      identity: { index: 1, name: identity.name, pciAddress: identity.pciAddress!, memoryTotalBytes: 80 * 2 ** 30 },
      load: { utilization: 0.88, powerWattsMean: 512.25, energyJoules: load!.energyJoules!, activity: load!.activity! },
    });
    expect(whole?.wear).toMatchObject({ eccUncorrected: wear!.eccUncorrected!, remapFailed: false });
    expect(cut?.load?.slices?.map(({ profile, gpuInstance }) => [profile, gpuInstance])).toEqual([
      ["1g.10gb", 7],
      ["1g.10gb", 8],
    ]);
  });
});
