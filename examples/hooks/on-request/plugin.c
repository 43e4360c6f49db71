/* Refuses one tool. */
#define SLUICE_ON_REQUEST
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

static sluice_string_t tool;

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-on-request", "0.1.0", "Refuses one tool.");
  sluice_schema(m, "{\"type\":\"object\",\"properties\":{\"tool\":{\"type\":\"string\"}},\"required\":[\"tool\"]}");
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_REQUEST, "tools/call", NULL);
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  sluice_string_t json;
  if (!sluice_json_member(config, "tool", &json)) return *error = sluice_copied("no tool"), false;
  tool = sluice_json_text(json);
  return true;
}

sluice_verdict_t sluice_on_request(const sluice_head_t *head, sluice_exchange_t x) {
  (void)x;
  bool same = head->name.is_some && sluice_equal(head->name.val, tool);
  return same ? sluice_reject(4030, "this tool is switched off") : sluice_next();
}
