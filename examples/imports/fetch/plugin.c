/* Asks a service of the operator whether a tool may be called. */
#define SLUICE_ON_REQUEST
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

static sluice_string_t url;

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-fetch", "0.1.0", "Asks a service of the operator whether a tool may be called.");
  sluice_schema(m, "{\"type\":\"object\",\"properties\":{\"url\":{\"type\":\"string\"}},\"required\":[\"url\"]}");
  sluice_need(m, "fetch", "to ask it", false);
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_REQUEST, "tools/call", NULL);
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  sluice_string_t json;
  if (!sluice_json_member(config, "url", &json)) return *error = sluice_copied("no url"), false;
  url = sluice_json_text(json);
  return true;
}

/* What it answers; 0 if it does not. */
static uint16_t ask(sluice_exchange_t x, sluice_string_t question) {
  sluice_filter_fetch_list_tuple2_place_borrow_secret_t secrets = {0};
  sluice_filter_fetch_list_capture_t captures = {0};
  sluice_tuple2_string_string_t type = {sluice_str("content-type"), sluice_str("application/json")};
  sluice_filter_fetch_request_t request = {0};
  request.method = sluice_str("POST");
  request.url = url;
  request.headers.ptr = &type;
  request.headers.len = 1;
  request.body.ptr = question.ptr;
  request.body.len = question.len;
  request.timeout_ms.is_some = true;
  request.timeout_ms.val = 2000;
  sluice_filter_fetch_response_t response;
  sluice_filter_fetch_error_t error;
  if (!sluice_filter_fetch_send(x, &request, &secrets, &captures, &response, &error)) {
    sluice_filter_fetch_error_free(&error);
    return 0;
  }
  uint16_t status = response.status;
  sluice_filter_fetch_response_free(&response);
  return status;
}

sluice_verdict_t sluice_on_request(const sluice_head_t *head, sluice_exchange_t x) {
  sluice_buf_t body = {0};
  sluice_buf_add_text(&body, "{\"tool\":");
  sluice_json_quote(&body, head->name.is_some ? head->name.val : sluice_str(""));
  sluice_buf_add_text(&body, "}");
  sluice_string_t question = sluice_buf_take(&body);
  uint16_t status = ask(x, question);
  sluice_string_free(&question);
  if (status == 403) return sluice_reject(4030, "the policy does not allow this call");
  /* In doubt it does not pass. */
  return status >= 200 && status <= 299 ? sluice_next() : sluice_reject(4031, "the policy cannot be asked just now");
}
