/* A plugin with every hook and a call of every import: the component must export and import the whole contract. */
#define SLUICE_AUTHENTICATE
#define SLUICE_ON_HTTP
#define SLUICE_ON_REQUEST
#define SLUICE_ON_OUTBOUND
#define SLUICE_ON_RESPONSE
#define SLUICE_ON_CHUNK
#define SLUICE_ON_NOTIFICATION
#define SLUICE_ON_CATALOG
#define SLUICE_ON_DONE
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "every-hook", "0.1.0", "Has every hook.");
  sluice_need(m, "kv:shared", "to have a need", true);
  sluice_route(m, "/-/every-hook/x", "GET");
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  sluice_filter_patterns_pattern_t pattern = {sluice_str("x"), false};
  sluice_filter_patterns_list_pattern_t set = {&pattern, 1};
  sluice_string_t name = sluice_str("set");
  (void)config;
  return sluice_filter_patterns_define(&name, &set, error);
}

sluice_outcome_t sluice_authenticate(const sluice_credential_t *c, sluice_exchange_t x) {
  sluice_outcome_t abstain = {0};
  (void)c, (void)x;
  abstain.tag = EXPORTS_SLUICE_FILTER_AUTHENTICATE_OUTCOME_ABSTAIN;
  return abstain;
}

sluice_http_response_t sluice_on_http(const sluice_http_request_t *request, sluice_exchange_t x) {
  sluice_http_response_t response = {0};
  (void)request, (void)x;
  response.status = 204;
  return response;
}

static void fetch(sluice_exchange_t x) {
  sluice_filter_fetch_request_t request = {0};
  sluice_filter_fetch_list_tuple2_place_borrow_secret_t secrets = {0};
  sluice_filter_fetch_list_capture_t captures = {0};
  sluice_filter_fetch_response_t response;
  sluice_filter_fetch_error_t error;
  request.method = sluice_str("GET");
  request.url = sluice_str("https://api.example.com/");
  if (sluice_filter_fetch_send(x, &request, &secrets, &captures, &response, &error)) sluice_filter_fetch_response_free(&response);
  else sluice_filter_fetch_error_free(&error);
}

static void call(sluice_exchange_t x) {
  sluice_string_t upstream = sluice_str("u"), tool = sluice_str("t"), arguments = sluice_str("{}"), result;
  sluice_filter_upstream_error_t error;
  if (sluice_filter_upstream_call_tool(x, &upstream, &tool, &arguments, NULL, &result, &error)) sluice_string_free(&result);
  else sluice_filter_upstream_error_free(&error);
}

sluice_verdict_t sluice_on_request(const sluice_head_t *head, sluice_exchange_t x) {
  sluice_string_t json, method = sluice_method(head), bucket_name = sluice_str("b");
  sluice_list_tuple2_string_string_t none = {0};
  sluice_filter_kv_own_bucket_t bucket;
  sluice_filter_kv_error_t error;
  if (sluice_get(x, "/params/name", &json)) sluice_string_free(&json);
  if (sluice_filter_kv_static_bucket_open(&bucket_name, &bucket, &error)) sluice_filter_kv_bucket_drop_own(bucket);
  sluice_string_t secret_name = sluice_str("s");
  sluice_filter_secrets_own_secret_t secret;
  sluice_filter_secrets_error_t no_secret;
  if (sluice_filter_secrets_static_secret_open(&secret_name, &secret, &no_secret)) sluice_filter_secrets_secret_drop_own(secret);
  fetch(x);
  call(x);
  sluice_filter_metrics_add(&method, 1, &none);
  sluice_log(SLUICE_FILTER_LOG_LEVEL_INFO, "seen");
  return sluice_suspend("Sure?", "{\"type\":\"object\",\"properties\":{}}", 0);
}

sluice_outbound_verdict_t sluice_on_outbound(sluice_departure_t d, sluice_exchange_t x) {
  sluice_outbound_verdict_t verdict = sluice_leave();
  sluice_string_t url, name = sluice_str("s");
  sluice_filter_secrets_own_secret_t secret;
  sluice_filter_secrets_error_t none;
  (void)x;
  sluice_filter_outbound_method_departure_url(d, &url);
  sluice_string_free(&url);
  sluice_header(&verdict, "x-a", "1");
  if (sluice_filter_secrets_static_secret_open(&name, &secret, &none)) sluice_header_secret(&verdict, "authorization", "Bearer ", secret);
  return verdict;
}

sluice_verdict_t sluice_on_response(const sluice_head_t *head, sluice_exchange_t x) {
  (void)head, (void)x;
  return sluice_reply("{}");
}

sluice_chunk_verdict_t sluice_on_chunk(const sluice_head_t *head, sluice_batch_t b, sluice_exchange_t x) {
  sluice_chunk_verdict_t verdict = sluice_let_go();
  sluice_chunks_t chunks;
  sluice_chunk_hits_t hits;
  sluice_access_error_t error;
  (void)head, (void)x;
  if (!sluice_scan_chunks(b, "set", &hits, &error)) sluice_filter_types_access_error_free(&error);
  else sluice_chunk_hits_free(&hits);
  if (!sluice_chunks(b, &chunks, &error)) {
    sluice_filter_types_access_error_free(&error);
    return sluice_break_off(sluice_rejection(4000, "no"));
  }
  if (chunks.len > 0 && !chunks.ptr[0].key) sluice_chunk_splice(&verdict, 0, 0, 0, "x");
  sluice_chunks_free(&chunks);
  (void)sluice_filter_chunks_method_batch_ends(b);
  return verdict;
}

sluice_notification_verdict_t sluice_on_notification(const sluice_head_t *head, sluice_exchange_t x) {
  sluice_notification_verdict_t drop = {0};
  (void)head, (void)x;
  drop.tag = EXPORTS_SLUICE_FILTER_ON_NOTIFICATION_NOTIFICATION_VERDICT_DROP;
  return drop;
}

sluice_answer_t sluice_on_catalog(sluice_viewer_t v, sluice_list_kind_t kind, const sluice_entries_t *entries) {
  sluice_answer_t keep = {0};
  (void)kind, (void)entries;
  (void)sluice_filter_catalog_method_viewer_upstreams(v);
  return keep;
}

void sluice_on_done(const sluice_head_t *head, const sluice_done_t *d, sluice_exchange_t x) { (void)head, (void)d, (void)x; }
