/* Lets nothing be sent that a tool of another server finds fault with. */
#define SLUICE_ON_REQUEST
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-upstream", "0.1.0", "Lets nothing be sent that a tool of another server finds fault with.");
  sluice_need(m, "upstream:scanner check", "to have arguments checked", false);
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_REQUEST, "tools/call", NULL);
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  (void)config, (void)error;
  return true;
}

sluice_verdict_t sluice_on_request(const sluice_head_t *head, sluice_exchange_t x) {
  (void)head;
  sluice_string_t scanner = sluice_str("scanner"), check = sluice_str("check"), arguments, result, json;
  sluice_filter_upstream_error_t error;
  uint32_t timeout_ms = 2000;
  if (!sluice_get(x, "/params/arguments", &arguments)) arguments = sluice_copied("{}");
  bool asked = sluice_filter_upstream_call_tool(x, &scanner, &check, &arguments, &timeout_ms, &result, &error);
  sluice_string_free(&arguments);
  /* In doubt it does not pass. */
  if (!asked) {
    sluice_filter_upstream_error_free(&error);
    return sluice_reject(4031, "the scanner cannot be asked just now");
  }
  bool is_error = sluice_json_member(result, "isError", &json) && sluice_is(json, "true");
  sluice_string_free(&result);
  return is_error ? sluice_reject(4030, "the scanner does not let this pass") : sluice_next();
}
