/*
 * Field values: many figures in one call, each with a code and a type of its own. Only the bytes of that type are
 * written, so that a caller that reads a wider one sees what was there before.
 */
#include <string.h>
#include "nvml-double.h"

#define ALL_LINKS 0xFFFFFFFFu
#define FIELDS_MAX 303

enum type { F64, U32, ULONG, U64, I64, I32, U16 };

struct field { unsigned id, scope; long long time, latency; unsigned type; int code; unsigned char value[8]; };
_Static_assert(sizeof(struct field) == 40 && offsetof(struct field, value) == 32, "nvmlFieldValue_t");

/* Fields that have a name in the scenario; of a link where `part` says so. `field.ID` comes before any of them. */
static const struct named { unsigned id; enum type type; const char *part, *leaf; } NAMED[] = {
  { 1, U32, NULL, "ecc" },
  { 3, U64, NULL, "ecc_corrected" }, { 4, U64, NULL, "ecc_uncorrected" },
  { 5, U64, NULL, "ecc_corrected_lifetime" }, { 6, U64, NULL, "ecc_uncorrected_lifetime" },
  { 29, U32, NULL, "retired_corrected" }, { 30, U32, NULL, "retired_uncorrected" }, { 31, U32, NULL, "retired_pending" },
  { 82, U32, NULL, "memory_celsius" }, { 83, U64, NULL, "energy_mj" }, { 91, U32, NULL, "links" },
  { 94, U32, NULL, "pcie_replays" },
  { 138, U64, "link", "tx_kib" }, { 139, U64, "link", "rx_kib" },
  { 142, U32, NULL, "remapped_corrected" }, { 143, U32, NULL, "remapped_uncorrected" },
  { 144, U32, NULL, "remap_pending" }, { 145, U32, NULL, "remap_failed" },
  { 161, U64, "link", "replay" }, { 162, U64, "link", "recovery" }, { 163, U64, "link", "crc" },
  { 165, U32, "link", "state" }, { 166, U32, "link", "version" },
  { 185, U32, NULL, "power_mean_mw" }, { 186, U32, NULL, "power_mw" }, { 187, U32, NULL, "power_limit_min_mw" },
  { 188, U32, NULL, "power_limit_max_mw" }, { 189, U32, NULL, "power_default_limit_mw" },
  { 190, U32, NULL, "power_limit_mw" }, { 197, U64, NULL, "pcie_tx_bytes" }, { 198, U64, NULL, "pcie_rx_bytes" },
  { 202, U64, "link", "tx_bytes" }, { 204, U64, "link", "rx_bytes" }, { 230, U32, NULL, "recovery_action" },
};

static const struct named *namedOf(unsigned id) {
  for (size_t i = 0; i < sizeof NAMED / sizeof *NAMED; i++) {
    if (NAMED[i].id == id) return &NAMED[i];
  }
  return NULL;
}

static const struct value *valueOf(struct target at, const struct field *field, const struct named *named) {
  if (scenarioHasFields()) {
    const struct value *value = scenarioNumbered(at.gpu, NO_PART, 0, "field", field->id, field->scope);
    if (value == NULL) value = scenarioNumbered(at.gpu, NO_PART, 0, "field", field->id, NO_NUMBER);
    if (value != NULL) return value;
  }
  if (named == NULL) return NULL;
  if (named->part == NULL) return field->scope == 0 ? scenarioOf(at.gpu, NO_PART, 0, named->leaf) : NULL;
  if (field->scope == ALL_LINKS && (field->id == 138 || field->id == 139)) {
    return scenarioOf(at.gpu, NO_PART, 0, field->id == 138 ? "links_tx_kib" : "links_rx_kib");
  }
  if (field->scope >= wholeOr(scenarioOf(at.gpu, NO_PART, 0, "links"), 0)) return NULL;
  return scenarioOf(at.gpu, named->part, field->scope, named->leaf);
}

static void write(struct field *field, const struct value *value) {
  double real = valueReal(value);
  uint64_t whole = valueWhole(value);
  static const size_t SIZES[] = { 8, 4, 8, 8, 8, 4, 2 };
  if (field->type == F64) memcpy(field->value, &real, sizeof real);
  else memcpy(field->value, &whole, SIZES[field->type]);
}

EXPORT int nvmlDeviceGetFieldValues(handle device, int count, struct field *fields) {
  CALL(nvmlDeviceGetFieldValues);
  ON_WHOLE(device);
  if (count < 1) return misuse("nvmlDeviceGetFieldValues");
  NEEDS(fields);
  bool isAny = false;
  for (int i = 0; i < count; i++) {
    struct field *field = &fields[i];
    const struct named *named = namedOf(field->id);
    const struct value *value = valueOf(at, field, named);
    field->time = (long long)nowMicroseconds();
    field->latency = 1;
    if (field->id == 0 || field->id >= FIELDS_MAX) field->code = INVALID_ARGUMENT;
    else if (value == NULL || value->kind == TEXT) field->code = NOT_SUPPORTED;
    else if (value->kind == FAILURE) field->code = value->code;
    else {
      field->code = OK;
      field->type = value->type >= 0 ? (unsigned)value->type : named == NULL ? U64 : named->type;
      write(field, value);
      isAny = true;
    }
  }
  return isAny ? OK : NOT_SUPPORTED;
}
