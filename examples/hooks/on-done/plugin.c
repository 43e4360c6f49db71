/* Counts calls by how they ended. */
#define SLUICE_ON_DONE
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-on-done", "0.1.0", "Counts calls by how they ended.");
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_DONE, "tools/call", NULL);
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  (void)config, (void)error;
  return true;
}

void sluice_on_done(const sluice_head_t *head, const sluice_done_t *d, sluice_exchange_t x) {
  (void)head, (void)x;
  bool well = d->outcome == EXPORTS_SLUICE_FILTER_ON_DONE_OUTCOME_ANSWERED;
  sluice_tuple2_string_string_t ended = {sluice_str("ended"), sluice_str(well ? "well" : "badly")};
  sluice_list_tuple2_string_string_t labels = {&ended, 1};
  sluice_string_t name = sluice_str("calls");
  sluice_filter_metrics_add(&name, 1, &labels);
}
