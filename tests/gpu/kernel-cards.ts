/** Cards as their drivers show them, for trees of the kernel's files. */
import { type CardFiles, type Files, type KernelTree, metricsBytes } from "./kernel-tree.ts";

const GIB = 2 ** 30;
const LINK: Files = {
  current_link_speed: "32.0 GT/s PCIe\n",
  current_link_width: "16\n",
  max_link_speed: "32.0 GT/s PCIe\n",
  max_link_width: "16\n",
};

/** No sensor at the edge, figures in gpu_metrics 1.5, errors counted for each block. */
export function mi300x(address = "0000:05:00.0", more: Files = {}): CardFiles {
  return {
    driver: "amdgpu",
    address,
    ports: [[`${address.slice(0, 5)}00:01.1`, "0x1022", LINK]],
    files: {
      vendor: "0x1002\n",
      device: "0x74a1\n",
      vbios_version: "113-M3000100-102\n",
      unique_id: "79ccd5616cc31b1b\n",
      product_name: "AMD Instinct MI300X OAM\n",
      serial_number: "692251000123\n",
      gpu_busy_percent: "93\n",
      mem_busy_percent: "41\n",
      mem_info_vram_total: `${192 * GIB}\n`,
      mem_info_vram_used: `${150 * GIB}\n`,
      mem_info_vis_vram_total: `${192 * GIB}\n`,
      mem_info_vis_vram_used: `${150 * GIB}\n`,
      mem_info_gtt_total: `${1024 * GIB}\n`,
      mem_info_gtt_used: `${3 * GIB}\n`,
      pp_dpm_sclk: "0: 132Mhz\n1: 1980Mhz *\n2: 2100Mhz\n",
      pp_dpm_mclk: "0: 900Mhz\n1: 1100Mhz\n2: 1300Mhz *\n",
      pcie_replay_count: "7\n",
      gpu_metrics: metricsBytes("1.5", {
        temperature_hotspot: 61,
        curr_socket_power: 702,
        vcn_activity: [20, 40],
        jpeg_activity: [50],
        energy_accumulator: 65_536 * 5000,
        throttle_status: 0,
        pcie_link_width: 16,
        pcie_link_speed: 320,
        pcie_replay_count_acc: 7,
        xgmi_read_data_acc: [1000, 2000, 0, 0, 0, 0, 0, 0],
        xgmi_write_data_acc: [500, 500, 0, 0, 0, 0, 0, 0],
        current_gfxclk: [1980, 1960],
        current_vclk0: [29],
      }),
      "ras/features": "feature mask: 0x7fff\n",
      "ras/umc_err_count": "ue: 0\nce: 3\n",
      "ras/gfx_err_count": "ue: 1\nce: 2\n",
      "ras/gpu_vram_bad_pages": "0x00000abc : 0x00001000 : R\n0x00000abd : 0x00001000 : P\n",
      "xgmi_hive_info/xgmi_hive_id": "0xb3d54c87b1e7d4c5\n",
      ...LINK,
      ...more,
    },
    hwmon: {
      name: "amdgpu\n",
      in0_label: "vddgfx\n",
      in0_input: "850\n",
      temp2_label: "junction\n",
      temp2_input: "61000\n",
      temp2_crit: "100000\n",
      temp2_emergency: "105000\n",
      temp3_label: "mem\n",
      temp3_input: "48000\n",
      temp3_crit: "95000\n",
      power1_label: "PPT\n",
      power1_input: "702000000\n",
      power1_cap: "750000000\n",
      power1_cap_max: "750000000\n",
      power1_cap_min: "0\n",
      freq1_input: "1980000000\n",
      freq1_label: "sclk\n",
      freq2_input: "1300000000\n",
    },
  };
}

/** Sensors of edge, junction and memory, power as a mean, gpu_metrics 1.3. */
export const MI210: CardFiles = {
  driver: "amdgpu",
  address: "0000:63:00.0",
  files: {
    vendor: "0x1002\n",
    device: "0x740f\n",
    vbios_version: "113-D67301-063\n",
    unique_id: "0a1b2c3d4e5f\n",
    gpu_busy_percent: "0\n",
    mem_busy_percent: "0\n",
    mem_info_vram_total: `${64 * GIB}\n`,
    mem_info_vram_used: `${10 * 2 ** 20}\n`,
    pp_dpm_sclk: "0: 500Mhz\n1: 800Mhz *\n2: 1700Mhz\n",
    gpu_metrics: metricsBytes("1.3", {
      temperature_mem: 40,
      average_socket_power: 42,
      average_mm_activity: 0,
      energy_accumulator: 65_536 * 12,
      throttlers_low: 1,
      throttlers_high: 1 << 4,
      current_gfxclk: 800,
      current_uclk: 1600,
    }),
    "ras/umc_err_count": "ue: 0\nce: 0\nde: 0\n",
    ...LINK,
    current_link_speed: "16.0 GT/s PCIe\n",
  },
  hwmon: {
    name: "amdgpu\n",
    in0_label: "vddgfx\n",
    in0_input: "806\n",
    temp1_label: "edge\n",
    temp1_input: "35000\n",
    temp1_crit: "100000\n",
    temp2_label: "junction\n",
    temp2_input: "38000\n",
    temp3_label: "mem\n",
    temp3_input: "40000\n",
    power1_average: "42000000\n",
    power1_cap: "300000000\n",
  },
};

/** A card with a switch of its own, whose link looks better than the slot; without a number and errors that are counted. */
export const RX7900: CardFiles = {
  driver: "amdgpu",
  address: "0000:0c:00.0",
  ports: [
    ["0000:00:03.1", "0x1022", LINK],
    ["0000:0a:00.0", "0x1002", { ...LINK, current_link_speed: "16.0 GT/s PCIe\n", current_link_width: "8\n" }],
    ["0000:0b:00.0", "0x1002", LINK],
  ],
  files: {
    vendor: "0x1002\n",
    device: "0x744c\n",
    vbios_version: "113-EXT86112-100\n",
    gpu_busy_percent: "17\n",
    mem_info_vram_total: `${24 * GIB}\n`,
    mem_info_vram_used: `${4 * GIB}\n`,
    pp_dpm_sclk: "0: 500Mhz\n1: 2304Mhz *\n2: 2482Mhz\n",
    ...LINK,
  },
  hwmon: {
    name: "amdgpu\n",
    in0_label: "vddgfx\n",
    in0_input: "806\n",
    temp1_label: "edge\n",
    temp1_input: "51000\n",
    power1_average: "98000000\n",
    pwm1: "51\n",
    pwm1_max: "255\n",
    fan1_input: "1020\n",
  },
};

/** xe: two tiles, each with its memory; utilisation by those who have it open. */
export const ARC_B580: CardFiles = {
  driver: "xe",
  address: "0000:03:00.0",
  ports: [
    ["0000:00:01.0", "0x8086", LINK],
    ["0000:01:00.0", "0x8086", { ...LINK, current_link_width: "8\n", max_link_width: "8\n" }],
    ["0000:02:01.0", "0x8086", LINK],
  ],
  files: {
    vendor: "0x8086\n",
    device: "0xe20b\n",
    "tile0/physical_vram_size_bytes": `${12 * GIB}\n`,
    "tile0/gt0/freq0/act_freq": "2850\n",
    "tile0/gt0/freq0/rp0_freq": "2900\n",
    "tile0/gt0/freq0/throttle/status": "1\n",
    "tile0/gt0/freq0/throttle/reason_pl1": "1\n",
    "tile0/gt0/freq0/throttle/reason_thermal": "0\n",
    "tile0/gt0/freq0/throttle/reason_prochot": "1\n",
    "tile0/gt1/freq0/act_freq": "3000\n",
    ...LINK,
    current_link_speed: "2.5 GT/s PCIe\n",
    current_link_width: "1\n",
  },
  hwmon: {
    name: "xe\n",
    energy1_input: "1000000000\n",
    power1_max: "0\n",
    power2_max: "190000000\n",
    power1_rated_max: "190000000\n",
    temp2_label: "pkg\n",
    temp2_input: "64000\n",
    temp3_label: "vram\n",
    temp3_input: "70000\n",
    fan1_input: "1500\n",
  },
};

/** i915, of a processor: no memory of its own, no link, no sensors. */
export const UHD: CardFiles = {
  driver: "i915",
  address: "0000:00:02.0",
  files: {
    vendor: "0x8086\n",
    device: "0x4680\n",
    max_link_width: "255\n",
    current_link_width: "0\n",
    current_link_speed: "Unknown\n",
  },
  nodeFiles: {
    "gt/gt0/rps_act_freq_mhz": "350\n",
    "gt/gt0/rps_RP0_freq_mhz": "1450\n",
    "gt/gt0/throttle_reason_status": "0\n",
    gt_act_freq_mhz: "999\n",
  },
};

/** Drivers of no GPU of ours, and parts of one. */
export function addStrangers(tree: KernelTree): void {
  const files = { vendor: "0x1a03\n", device: "0x2000\n" };
  tree.card({ driver: "ast", address: "0000:07:00.0", files });
  tree.card({ driver: "virtio-pci", address: "0000:00:05.0", files });
  tree.card({ driver: "nvidia", address: "0000:17:00.0", files: { vendor: "0x10de\n" } });
  tree.card({ driver: "simple-framebuffer", address: "simple-framebuffer.0", files: {}, isPlatform: true });
  tree.card({ driver: "amdgpu", address: "amdgpu_xcp.0", files: { gpu_busy_percent: "5\n" }, isPlatform: true });
  const virtual = tree.card({
    driver: "xe",
    address: "0000:03:00.1",
    files: { vendor: "0x8086\n", device: "0xe20b\n" },
  });
  tree.link("sys/bus/pci/devices/0000:03:00.0", `${virtual}/physfn`);
  tree.write({ "sys/class/drm/version": "drm 1.1.0 20060810\n", "sys/class/drm/card0-DP-1/status": "connected\n" });
}

/** The compute driver's nodes and processes: a processor, and a GPU for each address. */
export function addKfd(tree: KernelTree, addresses: readonly string[], gfx = 90_402): void {
  const nodes = "sys/class/kfd/kfd/topology/nodes";
  tree.write(
    { "0/io_links/none": "", "0/gpu_id": "0\n", "0/properties": "cpu_cores_count 96\n", "0/name": "\n" },
    nodes,
  );
  for (const [index, address] of addresses.entries()) {
    const [domain, bus, rest] = address.split(":") as [string, string, string];
    const [device] = rest.split(".") as [string];
    const location = (Number.parseInt(bus, 16) << 8) | (Number.parseInt(device, 16) << 3);
    const properties = [
      "cpu_cores_count 0",
      "simd_count 1216",
      "simd_arrays_per_engine 1",
      "array_count 32",
      "cu_per_simd_array 10",
      `location_id ${location}`,
      `domain ${Number.parseInt(domain, 16)}`,
      `gfx_target_version ${gfx}`,
      "hive_id 12958347648517526725",
    ].join("\n");
    const files = { gpu_id: `${40_000 + index}\n`, properties: `${properties}\n`, name: "ip discovery\n" };
    tree.write({ ...files, "io_links/none": "" }, `${nodes}/${index + 1}`);
  }
}
