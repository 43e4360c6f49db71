/* Lets each caller call tools three times a minute. */
#define SLUICE_ON_REQUEST
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-kv", "0.1.0", "Lets each caller call tools three times a minute.");
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_REQUEST, "tools/call", NULL);
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  (void)config, (void)error;
  return true;
}

static bool count(sluice_string_t caller, int64_t *calls) {
  sluice_filter_kv_own_bucket_t own;
  sluice_filter_kv_error_t error;
  sluice_string_t name = sluice_str("calls");
  bool done = sluice_filter_kv_static_bucket_open(&name, &own, &error);
  if (done) {
    sluice_filter_kv_borrow_bucket_t bucket = {own.__handle};
    done = sluice_filter_kv_method_bucket_incr(bucket, &caller, 1, 60000, calls, &error);
    sluice_filter_kv_bucket_drop_own(own);
  }
  if (!done) sluice_filter_kv_error_free(&error);
  return done;
}

sluice_verdict_t sluice_on_request(const sluice_head_t *head, sluice_exchange_t x) {
  (void)head;
  /* One text for who asks, which no two callers share. */
  sluice_string_t caller = {0};
  int64_t calls;
  sluice_attr(x, "principal.id", &caller);
  bool counted = count(caller, &calls);
  sluice_string_free(&caller);
  if (!counted) {
    sluice_log(SLUICE_FILTER_LOG_LEVEL_WARN, "calls cannot be counted");
    return sluice_reject(4291, "calls cannot be counted just now");
  }
  return calls <= 3 ? sluice_next() : sluice_reject(4290, "not more than three times a minute");
}
